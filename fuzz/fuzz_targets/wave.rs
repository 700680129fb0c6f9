//! WAVE, RF64, Wave64.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    whisper::fuzz::wave(bytes);
});
