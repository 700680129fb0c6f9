//! Tokens to text and back.
//!
//! Three vocabularies are in use, told apart by their size: 51864 (`.en`, the byte pairs of GPT-2), 51865
//! (multilingual) and 51866 (large-v3 and turbo: one more language). Text comes first, then the special tokens in the
//! order of [`Special`], then 1501 timestamps of 20 ms.

mod bpe;
mod non_speech;
mod vocabulary;
mod words;

#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use crate::language::Language;
use crate::model::Token;
use crate::{Error, Result};

use vocabulary::Vocabulary;
pub use words::WordTokens;
pub(crate) use words::strip;

/// What is to be written about the speech.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Task {
    /// What is said, in its own language.
    #[default]
    Transcribe,
    /// What it means, in English.
    Translate,
}

/// The tokens with a meaning of their own, in the order of their ids but for the languages, which follow `sot`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Special {
    /// `<|endoftext|>`; everything below it is text.
    pub eot: Token,
    /// `<|startoftranscript|>`
    pub sot: Token,
    /// `<|translate|>`
    pub translate: Token,
    /// `<|transcribe|>`
    pub transcribe: Token,
    /// `<|startoflm|>`
    pub sot_lm: Token,
    /// `<|startofprev|>`: the text before this window follows.
    pub sot_prev: Token,
    /// `<|nospeech|>`
    pub no_speech: Token,
    /// `<|notimestamps|>`
    pub no_timestamps: Token,
    /// `<|0.00|>`, the first of 1501 timestamps; everything from it on is one.
    pub timestamp_begin: Token,
}

// Text tokens, one a line: its bytes in base 64, its id. Source: openai/whisper `whisper/assets`.
const GPT2: &str = include_str!("../assets/gpt2.tiktoken");
const WHISPER: &str = include_str!("../assets/multilingual.tiktoken");

/// One of Whisper's three vocabularies. Copies share the tables, which are built once and kept.
#[derive(Clone, Copy)]
pub struct Tokenizer {
    tables: &'static Tables,
}

struct Tables {
    vocabulary: Vocabulary,
    languages: &'static [Language],
    special: Special,
    non_speech: Vec<Token>,
}

impl Tokenizer {
    /// The tokenizer of a model with `n_vocab` tokens: 51864, 51865 or 51866.
    ///
    /// The first call for a size takes some milliseconds.
    ///
    /// # Errors
    /// Any other size is [`Error::Request`].
    pub fn new(n_vocab: usize) -> Result<Tokenizer> {
        static ENGLISH: OnceLock<Tables> = OnceLock::new();
        static MULTILINGUAL: OnceLock<Tables> = OnceLock::new();
        static LARGE_V3: OnceLock<Tables> = OnceLock::new();
        let all = Language::all();
        let before_v3 = &all[..all.len() - 1];
        let tables = match n_vocab {
            51864 => ENGLISH.get_or_init(|| Tables::new(Vocabulary::new(GPT2, before_v3), &[Language::ENGLISH])),
            51865 => MULTILINGUAL.get_or_init(|| Tables::new(Vocabulary::new(WHISPER, before_v3), before_v3)),
            51866 => LARGE_V3.get_or_init(|| Tables::new(Vocabulary::new(WHISPER, all), all)),
            _ => {
                return Err(Error::Request(format!(
                    "no text for a vocabulary of {n_vocab} tokens: those of Whisper have 51864 (.en), 51865 \
                     (multilingual) or 51866 (large-v3, turbo)"
                )));
            }
        };
        Ok(Tokenizer { tables })
    }

    /// Whether the model chooses among languages and tasks; `.en` models do not.
    pub fn is_multilingual(&self) -> bool {
        self.languages().len() > 1
    }

    /// The tokens with a meaning of their own.
    pub fn special(&self) -> &'static Special {
        &self.tables.special
    }

    /// The languages that a model of this vocabulary writes, in the order of their tokens.
    ///
    /// Only English for `.en`: its vocabulary has the tokens of 99, but nobody trained them.
    pub fn languages(&self) -> &'static [Language] {
        self.tables.languages
    }

    /// The token that announces `language`; none for `.en`, and none for Cantonese before large-v3.
    pub fn language_token(&self, language: Language) -> Option<Token> {
        let known = self.is_multilingual() && self.languages().contains(&language);
        known.then(|| Token(self.special().sot.0 + 1 + language.index()))
    }

    /// The language that `token` announces, if it does; the inverse of [`language_token`](Self::language_token).
    pub fn language_of(&self, token: Token) -> Option<Language> {
        let index = token.0.checked_sub(self.special().sot.0 + 1)?;
        let language = *self.languages().get(usize::try_from(index).ok()?)?;
        self.is_multilingual().then_some(language)
    }

    /// What starts a transcript: `[sot, language, task]`, or `[sot]` alone for `.en`.
    ///
    /// # Errors
    /// [`Error::Request`] where the model lacks the language, or is `.en` and asked to translate.
    pub fn sot_sequence(&self, language: Language, task: Task) -> Result<Vec<Token>> {
        let special = self.special();
        if !self.languages().contains(&language) {
            let remedy = if self.is_multilingual() {
                "large-v3 and turbo do"
            } else {
                "take one without .en"
            };
            return Err(Error::Request(format!("this model does not know {language}: {remedy}")));
        }
        let task = match task {
            Task::Transcribe => special.transcribe,
            Task::Translate => special.translate,
        };
        match self.language_token(language) {
            Some(language) => Ok(vec![special.sot, language, task]),
            None if task == special.transcribe => Ok(vec![special.sot]),
            None => Err(Error::Request(
                "this model knows only English and cannot translate: take one without .en".into(),
            )),
        }
    }

    /// The tokens of `text`.
    ///
    /// # Errors
    /// [`Error::Request`] where it contains the text of a special token, such as `<|endoftext|>`: as tokens they would
    /// command the model, as text it has never seen them.
    pub fn encode(&self, text: &str) -> Result<Vec<Token>> {
        match self.tables.vocabulary.find_special(text) {
            Some(special) => Err(Error::Request(format!(
                "the text contains the special token {special}: remove it"
            ))),
            None => Ok(self.tables.vocabulary.encode(text)),
        }
    }

    /// The text of `tokens` without timestamps. Other special tokens show as `<|..|>`; ids outside the vocabulary are
    /// left out.
    ///
    /// A token may end within a character: only whole sequences are sure to decode, each broken part becomes U+FFFD, as
    /// in Python.
    pub fn decode(&self, tokens: &[Token]) -> String {
        self.text(tokens.iter().filter(|&&token| token < self.special().timestamp_begin))
    }

    /// The text of `tokens`, with timestamps as `<|1.08|>`; else like [`decode`](Self::decode).
    pub fn decode_with_timestamps(&self, tokens: &[Token]) -> String {
        self.text(tokens.iter())
    }

    /// The bytes of one token, not always whole characters: those of `<|..|>` for a special one, none outside the
    /// vocabulary.
    pub fn token_bytes(&self, token: Token) -> &'static [u8] {
        self.tables.vocabulary.bytes(token)
    }

    /// The time that `token` marks, in steps of 20 ms from the start of the window (0 to 1500), if it is a timestamp.
    pub fn timestamp(&self, token: Token) -> Option<u32> {
        let steps = token.0.checked_sub(self.special().timestamp_begin.0)?;
        (steps < vocabulary::N_TIMESTAMPS).then_some(steps)
    }

    /// What a window's text must not start with: a lone space, and the end.
    pub fn blank(&self) -> [Token; 2] {
        let space = self.tables.vocabulary.encode(" ")[0];
        [space, self.special().eot]
    }

    /// The tokens of symbols nobody speaks, such as brackets and notes: 84 for `.en`, else 82; ascending.
    pub fn non_speech(&self) -> &'static [Token] {
        &self.tables.non_speech
    }

    fn text<'a>(&self, tokens: impl Iterator<Item = &'a Token>) -> String {
        let bytes: Vec<u8> = tokens.flat_map(|&token| self.token_bytes(token)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Tables {
    fn new(vocabulary: Vocabulary, languages: &'static [Language]) -> Tables {
        Tables {
            special: Special {
                eot: vocabulary.special("<|endoftext|>"),
                sot: vocabulary.special("<|startoftranscript|>"),
                translate: vocabulary.special("<|translate|>"),
                transcribe: vocabulary.special("<|transcribe|>"),
                sot_lm: vocabulary.special("<|startoflm|>"),
                sot_prev: vocabulary.special("<|startofprev|>"),
                no_speech: vocabulary.special("<|nospeech|>"),
                no_timestamps: vocabulary.special("<|notimestamps|>"),
                timestamp_begin: vocabulary.special("<|0.00|>"),
            },
            non_speech: non_speech::tokens(&vocabulary),
            languages,
            vocabulary,
        }
    }
}
