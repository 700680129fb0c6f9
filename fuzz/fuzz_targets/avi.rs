//! AVI, its first two tracks.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    whisper::fuzz::avi(bytes);
});
