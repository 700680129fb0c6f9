//! The end of an Ogg file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    whisper::fuzz::ogg(bytes);
});
