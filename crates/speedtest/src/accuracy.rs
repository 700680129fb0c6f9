//! How right a text is: word and character error rates against a reference, both normalised as Whisper's authors do.

mod align;
mod basic;
mod decimal;
mod english;
mod numbers;
mod reference;
mod text;

#[cfg(test)]
mod tests;

use std::iter::Sum;
use std::ops::Add;

use anyhow::Result;
use serde::{Deserialize, Serialize};

pub(crate) use reference::{Reference, References};

/// Edits that turn a reference into a text, in words or in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Errors {
    pub(crate) substitutions: u64,
    pub(crate) deletions: u64,
    pub(crate) insertions: u64,
    /// Words, or characters, of the reference.
    pub(crate) reference: u64,
}

impl Errors {
    pub(crate) fn total(&self) -> u64 {
        self.substitutions + self.deletions + self.insertions
    }

    /// Errors a unit of the reference (may pass 1); nothing if the reference is empty.
    #[expect(clippy::cast_precision_loss, reason = "counts of words")]
    pub(crate) fn rate(&self) -> Option<f64> {
        (self.reference > 0).then(|| self.total() as f64 / self.reference as f64)
    }
}

impl Add for Errors {
    type Output = Errors;

    fn add(self, other: Errors) -> Errors {
        Errors {
            substitutions: self.substitutions + other.substitutions,
            deletions: self.deletions + other.deletions,
            insertions: self.insertions + other.insertions,
            reference: self.reference + other.reference,
        }
    }
}

impl Sum for Errors {
    fn sum<I: Iterator<Item = Errors>>(errors: I) -> Errors {
        errors.fold(Errors::default(), Errors::add)
    }
}

/// The errors of a text against its reference.
///
/// In languages written without spaces (Chinese, Japanese, and Korean, whose spaces vary) `words` counts letters too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Accuracy {
    pub(crate) words: Errors,
    /// Of the normalised texts, the spaces between words included.
    pub(crate) characters: Errors,
}

impl Add for Accuracy {
    type Output = Accuracy;

    fn add(self, other: Accuracy) -> Accuracy {
        Accuracy {
            words: self.words + other.words,
            characters: self.characters + other.characters,
        }
    }
}

/// Counts the errors of `text`.
///
/// # Errors
///
/// Where both texts are so long, and so unlike, that counting would take minutes.
pub(crate) fn accuracy(reference: &Reference, text: &str) -> Result<Accuracy> {
    let expected = normalize(&reference.text, &reference.language);
    let found = normalize(text, &reference.language);
    let (expected_words, found_words): (Vec<&str>, Vec<&str>) =
        (text::words(&expected).collect(), text::words(&found).collect());
    let joined = |words: &[&str]| {
        let between = if is_written_without_spaces(&reference.language) {
            ""
        } else {
            " "
        };
        words.join(between).chars().collect::<Vec<char>>()
    };
    Ok(Accuracy {
        words: align::errors(&expected_words, &found_words)?,
        characters: align::errors(&joined(&expected_words), &joined(&found_words))?,
    })
}

/// `text` as it is compared: Whisper's English normaliser for `en`, letters apart where writing knows no spaces, else the
/// basic one. Traditional and simplified Chinese stay two.
pub(crate) fn normalize(text: &str, language: &str) -> String {
    match language {
        "en" => english::english(text),
        "ja" | "ko" => basic::letters(&text.replace(' ', "")),
        "zh" | "yue" => basic::letters(text),
        _ => basic::basic(text),
    }
}

fn is_written_without_spaces(language: &str) -> bool {
    matches!(language, "ja" | "ko" | "zh" | "yue")
}
