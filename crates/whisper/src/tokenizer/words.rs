//! Tokens to words, for the times of words.

use std::ops::Range;

use crate::language::Language;
use crate::model::Token;

use super::Tokenizer;

/// A word with the space before it, or a run of punctuation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordTokens {
    /// What is written.
    pub text: String,
    /// Where its tokens lie.
    pub tokens: Range<usize>,
}

/// Written without spaces between words: there, each character counts as one.
const WITHOUT_SPACES: [&str; 6] = ["zh", "ja", "th", "lo", "my", "yue"];

/// `string.punctuation` of Python.
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

impl Tokenizer {
    /// Cuts `tokens` into words: at spaces, punctuation and special tokens, or at every character in a language that is
    /// written without spaces. Every token belongs to exactly one word, in order.
    ///
    /// OpenAI's words wherever the tokens are valid UTF-8; on broken UTF-8 theirs lose tokens or fail.
    ///
    /// Source: `split_to_word_tokens`, openai/whisper `tokenizer.py`.
    pub fn split_words(&self, tokens: &[Token], language: Language) -> Vec<WordTokens> {
        let subwords = self.split_characters(tokens);
        if WITHOUT_SPACES.contains(&language.code()) {
            return subwords;
        }
        let mut words: Vec<WordTokens> = Vec::new();
        for subword in subwords {
            let special = tokens[subword.tokens.start] >= self.special().eot;
            let spaced = subword.text.starts_with(' ');
            // A test for a substring, so white space counts too, and `()`, but not `?!`: the next rules expect that.
            let punctuation = PUNCTUATION.contains(strip(&subword.text));
            match words.last_mut() {
                Some(word) if !(special || spaced || punctuation) => {
                    word.text.push_str(&subword.text);
                    word.tokens.end = subword.tokens.end;
                }
                _ => words.push(subword),
            }
        }
        words
    }

    /// The shortest runs of tokens that end no character in its middle.
    fn split_characters(&self, tokens: &[Token]) -> Vec<WordTokens> {
        let bytes: Vec<u8> = tokens
            .iter()
            .flat_map(|&token| self.token_bytes(token))
            .copied()
            .collect();
        let within_character = within_character(&bytes);
        let mut subwords = Vec::new();
        let (mut first, mut start, mut end) = (0, 0, 0);
        for (index, &token) in tokens.iter().enumerate() {
            end += self.token_bytes(token).len();
            if !within_character[end] {
                let text = String::from_utf8_lossy(&bytes[start..end]).into_owned();
                subwords.push(WordTokens {
                    text,
                    tokens: first..index + 1,
                });
                (first, start) = (index + 1, end);
            }
        }
        subwords
    }
}

/// For every place between two bytes, both ends included, whether it parts a valid character.
fn within_character(bytes: &[u8]) -> Vec<bool> {
    let mut within = vec![false; bytes.len() + 1];
    let mut start = 0;
    for chunk in bytes.utf8_chunks() {
        for (offset, character) in chunk.valid().char_indices() {
            within[start + offset + 1..start + offset + character.len_utf8()].fill(true);
        }
        start += chunk.valid().len() + chunk.invalid().len();
    }
    within
}

/// `str.strip` of Python, which takes four separators for white space that Unicode does not.
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c))
}
