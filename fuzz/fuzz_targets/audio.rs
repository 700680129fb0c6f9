//! A recording of any form: read, damaged or not, or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    whisper::fuzz::audio(bytes);
});
