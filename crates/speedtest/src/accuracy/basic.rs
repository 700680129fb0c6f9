//! Whisper's basic normaliser, for every language: lower case, no brackets with their content, no punctuation.
//!
//! Source: `whisper/normalizers/basic.py`, openai-whisper 20250625.

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};
use unicode_segmentation::UnicodeSegmentation;

use super::text::single_spaces;

/// `text` in lower case, without brackets and their content, with a space for every mark, symbol and punctuation.
pub(super) fn basic(text: &str) -> String {
    single_spaces(&clean(text))
}

/// As [`basic`], with a space between all letters: for writing without spaces.
pub(super) fn letters(text: &str) -> String {
    let text = clean(text);
    let letters: Vec<&str> = text.graphemes(true).collect();
    single_spaces(&letters.join(" "))
}

fn clean(text: &str) -> String {
    let text = without_brackets(&text.to_lowercase());
    let text: String = text.nfkc().map(|c| if is_symbol(c) { ' ' } else { c }).collect();
    text.to_lowercase()
}

/// Without `<words>`, `[words]`, then without `(words)`.
pub(super) fn without_brackets(text: &str) -> String {
    let text = without(text, ['<', '['], ['>', ']'], false);
    without(&text, ['('; 2], [')'; 2], true)
}

/// Without what lies from an opening to the next closing character; something must lie between, if `filled`.
fn without(text: &str, open: [char; 2], close: [char; 2], filled: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(open) {
        let inside = &rest[start + 1..]; // all these characters are one byte long
        match inside.find(close) {
            Some(0) if filled => {
                out.push_str(&rest[..start + 1]);
                rest = inside;
            }
            Some(n) => {
                out.push_str(&rest[..start]);
                rest = &inside[n + 1..];
            }
            None => break,
        }
    }
    out.push_str(rest);
    out
}

/// `text` with its letters in their plainest form and a space for every symbol but those in `keep`; accents are dropped.
pub(super) fn without_diacritics(text: &str, keep: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.nfkd() {
        if keep.contains(c) {
            out.push(c);
        } else if let Some(plain) = plain(c) {
            out.push_str(plain);
        } else if c.general_category() != GeneralCategory::NonspacingMark {
            out.push(if is_symbol(c) { ' ' } else { c });
        }
    }
    out
}

fn is_symbol(c: char) -> bool {
    use GeneralCategoryGroup::{Mark, Punctuation, Symbol};
    matches!(c.general_category_group(), Mark | Symbol | Punctuation)
}

/// Letters that no decomposition takes apart.
fn plain(c: char) -> Option<&'static str> {
    Some(match c {
        'œ' => "oe",
        'Œ' => "OE",
        'ø' => "o",
        'Ø' => "O",
        'æ' => "ae",
        'Æ' => "AE",
        'ß' => "ss",
        'ẞ' => "SS",
        'đ' | 'ð' => "d",
        'Đ' | 'Ð' => "D",
        'þ' | 'Þ' => "th",
        'ł' => "l",
        'Ł' => "L",
        _ => return None,
    })
}
