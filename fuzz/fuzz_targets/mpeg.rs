//! A stream of MPEG frames.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    whisper::fuzz::mpeg(bytes);
});
