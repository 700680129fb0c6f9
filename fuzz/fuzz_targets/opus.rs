//! The header of an Opus stream and its packets, each after a byte with its length.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    whisper::fuzz::opus(bytes);
});
