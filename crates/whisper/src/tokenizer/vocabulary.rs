//! One vocabulary: every token's bytes, and what they are looked up by.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::language::Language;
use crate::model::Token;

use super::bpe;

/// Timestamps from 0 s to 30 s in steps of 20 ms.
pub(super) const N_TIMESTAMPS: u32 = 1501;

/// Text tokens, which are ranks of byte pairs too (the lower, the earlier merged), and special tokens after them.
///
/// The bytes are leaked: a vocabulary lives in a static.
pub(super) struct Vocabulary {
    tokens: Vec<&'static [u8]>,
    ranks: HashMap<&'static [u8], Token>,
    special: HashMap<&'static str, Token>,
}

impl Vocabulary {
    /// Reads a table of text tokens and appends the special ones.
    ///
    /// # Panics
    /// Where the table is not well-formed: it is part of the program.
    pub(super) fn new(table: &str, languages: &[Language]) -> Vocabulary {
        let mut bytes = Vec::with_capacity(table.len());
        let mut ends = Vec::new();
        for (place, line) in table.lines().enumerate() {
            let (code, id) = line.split_once(' ').expect("two fields a line");
            assert_eq!(id.parse(), Ok(place), "ids count the lines");
            // One token is empty and written as a lone `=`.
            STANDARD_NO_PAD
                .decode_vec(code.trim_end_matches('='), &mut bytes)
                .expect("base 64");
            ends.push(bytes.len());
        }
        let bytes: &'static [u8] = bytes.leak();
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let mut tokens: Vec<&'static [u8]> = starts.zip(&ends).map(|(start, &end)| &bytes[start..end]).collect();
        let ranks = (0..)
            .map(Token)
            .zip(&tokens)
            .map(|(token, &bytes)| (bytes, token))
            .collect();

        let texts: Vec<&'static str> = special_texts(languages).map(|text| &*text.leak()).collect();
        let ids = (0..).map(Token).skip(tokens.len());
        let special = texts.iter().copied().zip(ids).collect();
        tokens.extend(texts.iter().map(|text| text.as_bytes()));
        Vocabulary { tokens, ranks, special }
    }

    /// The bytes of a token; none outside the vocabulary.
    pub(super) fn bytes(&self, token: Token) -> &'static [u8] {
        usize::try_from(token.0)
            .ok()
            .and_then(|id| self.tokens.get(id))
            .copied()
            .unwrap_or_default()
    }

    /// The tokens of plain text; that of special tokens has no meaning here.
    pub(super) fn encode(&self, text: &str) -> Vec<Token> {
        let mut tokens = Vec::new();
        for piece in bpe::pieces(text) {
            bpe::encode(piece.as_bytes(), &self.ranks, &mut tokens);
        }
        tokens
    }

    /// A special token of every vocabulary.
    ///
    /// # Panics
    /// Where there is none.
    pub(super) fn special(&self, text: &str) -> Token {
        self.special[text]
    }

    /// The first text of a special token in `text`.
    pub(super) fn find_special<'a>(&self, text: &'a str) -> Option<&'a str> {
        // Each starts with `<|` and ends with the next `|>`.
        text.match_indices("<|")
            .zip(text.split("<|").skip(1))
            .find_map(|((start, _), rest)| {
                let end = start + 2 + rest.find("|>")? + 2;
                let found = &text[start..end];
                self.special.contains_key(found).then_some(found)
            })
    }
}

/// The special tokens in the order of their ids.
fn special_texts(languages: &[Language]) -> impl Iterator<Item = String> {
    let begin = ["<|endoftext|>", "<|startoftranscript|>"];
    let languages = languages.iter().map(|language| format!("<|{}|>", language.code()));
    let modes = [
        "<|translate|>",
        "<|transcribe|>",
        "<|startoflm|>",
        "<|startofprev|>",
        "<|nospeech|>",
        "<|notimestamps|>",
    ];
    let timestamps = (0..N_TIMESTAMPS).map(|steps| format!("<|{}.{:02}|>", steps / 50, steps % 50 * 2));
    begin
        .map(String::from)
        .into_iter()
        .chain(languages)
        .chain(modes.map(String::from))
        .chain(timestamps)
}
