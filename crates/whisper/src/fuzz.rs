//! Every parser of foreign bytes by itself, as the fuzz targets under `fuzz/` and their corpus test call it.
//!
//! Each takes any bytes and says whether it understood them. A panic is a fault of ours.

pub use crate::audio::fuzz::{au, audio, avi, mp4, mpeg, ogg, opus, wave};

use crate::language::Language;
use crate::model::Token;
use crate::tokenizer::Tokenizer;
use crate::weights::{Config, Tensors};

/// A parser: whether it understood the bytes.
pub type Target = fn(&[u8]) -> bool;

/// All of them, by name.
pub const TARGETS: [(&str, Target); 12] = [
    ("audio", audio),
    ("wave", wave),
    ("au", au),
    ("avi", avi),
    ("mpeg", mpeg),
    ("mp4", mp4),
    ("ogg", ogg),
    ("opus", opus),
    ("config", config),
    ("safetensors", tensors),
    ("npz", tensors),
    ("tokenizer", tokenizer),
];

/// `config.json`.
pub fn config(json: &[u8]) -> bool {
    Config::parse(json).is_ok()
}

/// A file of tensors: those of up to a megabyte are read.
pub fn tensors(bytes: &[u8]) -> bool {
    let Ok(tensors) = Tensors::from_bytes("fuzz", bytes.to_vec()) else {
        return false;
    };
    let mut out = Vec::new();
    tensors
        .iter()
        .filter(|(_, tensor)| tensor.n_bytes() <= 1 << 20)
        .all(|(name, _)| tensors.read(name, &mut out).is_ok())
}

/// The first byte chooses the vocabulary and the language; the rest is a text, and then the ids of tokens.
pub fn tokenizer(bytes: &[u8]) -> bool {
    let Some((&first, rest)) = bytes.split_first() else {
        return false;
    };
    let Ok(tokenizer) = Tokenizer::new(51_864 + usize::from(first % 3)) else {
        return false;
    };
    let language = Language::all()[usize::from(first) % Language::all().len()];
    let text = String::from_utf8_lossy(rest);
    let encoded = tokenizer.encode(&text);
    if let Ok(tokens) = &encoded {
        assert_eq!(tokenizer.decode(tokens), text, "decoding inverts encoding");
    }
    // 17 bits: all ids there are, and some that are none.
    let token = |id: &[u8]| Token((u32::from(id[0]) | u32::from(id[1]) << 8 | u32::from(id[2]) << 16) & 0x1_ffff);
    let tokens: Vec<Token> = rest.chunks_exact(3).map(token).collect();
    tokenizer.decode_with_timestamps(&tokens);
    let words = tokenizer.split_words(&tokens, language);
    assert_eq!(
        words.iter().map(|word| word.tokens.len()).sum::<usize>(),
        tokens.len(),
        "every token belongs to a word"
    );
    encoded.is_ok()
}
