//! Whisper's English normaliser: spoken and written forms of the same words become one.
//!
//! Source: `whisper/normalizers/english.py`, openai-whisper 20250625, whose oddities are kept: error rates are compared with
//! those that others publish.

use std::collections::HashMap;
use std::sync::LazyLock;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use super::basic::{without_brackets, without_diacritics};
use super::numbers;
use super::text::{is_space, replace_phrase, single_spaces, substitute, words};

/// Sounds that are no words.
const FILLERS: &[&str] = &["hmm", "mm", "mhm", "mmm", "uh", "um"];

/// Whole words, in the order in which they are replaced.
#[rustfmt::skip]
const WORDS: &[(&str, &str)] = &[
    ("won't", "will not"), ("can't", "can not"), ("let's", "let us"), ("ain't", "aint"), ("y'all", "you all"),
    ("wanna", "want to"), ("gotta", "got to"), ("gonna", "going to"), ("i'ma", "i am going to"), ("imma", "i am going to"),
    ("woulda", "would have"), ("coulda", "could have"), ("shoulda", "should have"), ("ma'am", "madam"),
    // titles
    ("mr", "mister "), ("mrs", "missus "), ("st", "saint "), ("dr", "doctor "), ("prof", "professor "),
    ("capt", "captain "), ("gov", "governor "), ("ald", "alderman "), ("gen", "general "), ("sen", "senator "),
    ("rep", "representative "), ("pres", "president "), ("rev", "reverend "), ("hon", "honorable "),
    ("asst", "assistant "), ("assoc", "associate "), ("lt", "lieutenant "), ("col", "colonel "), ("jr", "junior "),
    ("sr", "senior "), ("esq", "esquire "),
];

/// Ends of words, then in the order in which they are replaced.
#[rustfmt::skip]
const ENDINGS: &[(&str, &str)] = &[
    ("'d been", " had been"), ("'s been", " has been"), ("'d gone", " had gone"), ("'s gone", " has gone"),
    ("'d done", " had done"), ("'s got", " has got"),
    ("n't", " not"), ("'re", " are"), ("'s", " is"), ("'d", " would"), ("'ll", " will"), ("'t", " not"),
    ("'ve", " have"), ("'m", " am"),
];

/// British to American spelling.
static SPELLINGS: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    let json = include_str!("../../assets/english.json");
    serde_json::from_str(json).expect("the table is a part of the program and tested")
});

/// Normalises English.
pub(super) fn english(text: &str) -> String {
    let mut text = without_brackets(&text.to_lowercase());
    for filler in FILLERS {
        text = replace_phrase(&text, filler, "", true);
    }
    text = without_space_before_apostrophe(&text);
    for (phrase, with) in WORDS {
        text = replace_phrase(&text, phrase, with, true);
    }
    for (ending, with) in ENDINGS {
        text = replace_phrase(&text, ending, with, false);
    }
    text = substitute(&text, comma_in_number);
    text = substitute(&text, full_stop);
    text = without_diacritics(&text, ".%$¢€£");
    text = numbers::standardize(&text);
    text = american(&text);
    text = substitute(&text, unit_without_number);
    text = substitute(&text, percent_without_number);
    single_spaces(&text)
}

fn without_space_before_apostrophe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\'' {
            out.truncate(out.trim_end_matches(is_space).len());
        }
        out.push(c);
    }
    out
}

/// `1,000` is `1000`.
fn comma_in_number(_: &str, rest: &str) -> Option<(usize, String)> {
    let is_digit = |c: &char| c.general_category() == GeneralCategory::DecimalNumber;
    let mut chars = rest.chars();
    let left = chars.next().filter(is_digit)?;
    chars.next().filter(|&c| c == ',')?;
    let right = chars.next().filter(is_digit)?;
    Some((left.len_utf8() + 1 + right.len_utf8(), format!("{left}{right}")))
}

/// A full stop that no digit follows is a space.
fn full_stop(_: &str, rest: &str) -> Option<(usize, String)> {
    match rest.strip_prefix('.')?.chars().next() {
        Some(c) if c.is_ascii_digit() => None,
        Some(c) => Some((1 + c.len_utf8(), format!(" {c}"))),
        None => Some((1, " ".to_owned())),
    }
}

fn american(text: &str) -> String {
    let words: Vec<&str> = words(text)
        .map(|word| SPELLINGS.get(word).copied().unwrap_or(word))
        .collect();
    words.join(" ")
}

/// A sign of a currency, or a point, that no digit follows is a space.
fn unit_without_number(_: &str, rest: &str) -> Option<(usize, String)> {
    let mut chars = rest.chars();
    let unit = chars.next().filter(|&c| ".$¢€£".contains(c))?;
    let next = chars.next().filter(|c| !c.is_ascii_digit())?;
    Some((unit.len_utf8() + next.len_utf8(), format!(" {next}")))
}

/// A sign of per cent that follows no digit is a space.
fn percent_without_number(_: &str, rest: &str) -> Option<(usize, String)> {
    let mut chars = rest.chars();
    let c = chars.next().filter(|c| !c.is_ascii_digit())?;
    chars.next().filter(|&c| c == '%')?;
    Some((c.len_utf8() + 1, format!("{c} ")))
}
