//! A byte that chooses the vocabulary, then a text, then the ids of tokens.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    whisper::fuzz::tokenizer(bytes);
});
