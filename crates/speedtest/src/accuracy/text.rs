//! What a word and a space are to Python, whose regular expressions define the normalisers, and replacing by such rules.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// Whether Python's `\w` matches: letters, numbers of every kind and the underscore, but no combining mark.
pub(super) fn is_word(c: char) -> bool {
    let group = c.general_category_group();
    c == '_' || matches!(group, GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number)
}

/// Whether Python's `\s` matches: white space and the four information separators.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// The words between spaces, as `str.split()` gives them.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// Writes each run of spaces as one space.
pub(super) fn single_spaces(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut after_space = false;
    for c in text.chars() {
        let space = is_space(c);
        if !space {
            out.push(c);
        } else if !after_space {
            out.push(' ');
        }
        after_space = space;
    }
    out
}

/// Whether a word ends, or none begins, before `rest` when the character before it is a part of a word.
pub(super) fn ends_word(rest: &str) -> bool {
    !rest.starts_with(is_word)
}

/// Replaces `phrase` where a word ends behind it and, if `whole`, one begins at it: `\bphrase\b` or `phrase\b`.
///
/// `phrase` ends, and if `whole` begins, with a character of a word.
pub(super) fn replace_phrase(text: &str, phrase: &str, with: &str, whole: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for (at, _) in text.match_indices(phrase) {
        let end = at + phrase.len();
        let begins = !whole || !text[..at].ends_with(is_word);
        if begins && ends_word(&text[end..]) {
            out.push_str(&text[copied..at]);
            out.push_str(with);
            copied = end;
        }
    }
    out.push_str(&text[copied..]);
    out
}

/// Asks `rule` at every character, from the left, with the text before and from there. What it matches (`Some`: bytes, and the
/// text to put there) is replaced and passed over: `re.sub`.
pub(super) fn substitute(text: &str, rule: impl Fn(&str, &str) -> Option<(usize, String)>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let (before, rest) = text.split_at(at);
        if let Some((n, with)) = rule(before, rest) {
            out.push_str(&with);
            at += n;
        } else {
            out.push(c);
            at += c.len_utf8();
        }
    }
    out
}
