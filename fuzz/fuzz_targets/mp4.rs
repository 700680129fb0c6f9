//! The edit lists of an MP4.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    whisper::fuzz::mp4(bytes);
});
