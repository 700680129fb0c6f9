//! safetensors: every tensor of up to a megabyte is read.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    whisper::fuzz::tensors(bytes);
});
