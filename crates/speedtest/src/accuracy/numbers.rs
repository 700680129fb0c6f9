//! Spelled-out numbers as digits: "two hundred and five dollars" is `$205`.
//!
//! Source: `EnglishNumberNormalizer` of `whisper/normalizers/english.py`, openai-whisper 20250625.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::decimal;
use super::text::{ends_word, is_space, is_word, substitute, words};

const ONES: [&str; 19] = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 8] = [
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
];
/// With the number of their zeros.
const MULTIPLIERS: [(&str, usize); 12] = [
    ("hundred", 2),
    ("thousand", 3),
    ("million", 6),
    ("billion", 9),
    ("trillion", 12),
    ("quadrillion", 15),
    ("quintillion", 18),
    ("sextillion", 21),
    ("septillion", 24),
    ("octillion", 27),
    ("nonillion", 30),
    ("decillion", 33),
];
/// Signs that may stand before a number.
const PREFIXES: [char; 6] = ['-', '+', '£', '€', '$', '¢'];

/// A word that a number may be made of. The text is the suffix of an ordinal or plural, which ends the number.
#[derive(Clone, Copy)]
enum Word {
    Zero,
    /// 0 to 19; 0 only as "zeroth".
    Unit(u8, &'static str),
    Ten(u8, &'static str),
    /// A one and so many zeros.
    Multiplier(usize, &'static str),
    /// Stands before the number, as does its sign.
    Sign(char),
    /// Stands behind the number, its sign before it.
    Currency(char),
    Percent,
    Per,
    And,
    /// "double", "triple".
    Repeat(usize),
    Point,
}

static WORDS: LazyLock<HashMap<String, Word>> = LazyLock::new(|| {
    let mut words = HashMap::new();
    for zero in ["o", "oh", "zero"] {
        words.insert(zero.to_owned(), Word::Zero);
    }
    words.insert("zeroth".to_owned(), Word::Unit(0, "th"));
    for (value, name) in (1..).zip(ONES) {
        let plural = if name == "six" {
            "sixes".to_owned()
        } else {
            format!("{name}s")
        };
        let (ordinal, suffix) = match value {
            1 => ("first".to_owned(), "st"),
            2 => ("second".to_owned(), "nd"),
            3 => ("third".to_owned(), "rd"),
            5 => ("fifth".to_owned(), "th"),
            12 => ("twelfth".to_owned(), "th"),
            8 => ("eighth".to_owned(), "th"),
            _ => (format!("{name}th"), "th"), // "nineth", too
        };
        words.insert(name.to_owned(), Word::Unit(value, ""));
        words.insert(plural, Word::Unit(value, "s"));
        words.insert(ordinal, Word::Unit(value, suffix));
    }
    for (value, name) in (20..).step_by(10).zip(TENS) {
        words.insert(name.to_owned(), Word::Ten(value, ""));
        words.insert(name.replace('y', "ies"), Word::Ten(value, "s"));
        words.insert(name.replace('y', "ieth"), Word::Ten(value, "th"));
    }
    for (name, zeros) in MULTIPLIERS {
        words.insert(name.to_owned(), Word::Multiplier(zeros, ""));
        words.insert(format!("{name}s"), Word::Multiplier(zeros, "s"));
        words.insert(format!("{name}th"), Word::Multiplier(zeros, "th"));
    }
    let others = [
        ("minus", Word::Sign('-')),
        ("negative", Word::Sign('-')),
        ("plus", Word::Sign('+')),
        ("positive", Word::Sign('+')),
        ("pound", Word::Currency('£')),
        ("pounds", Word::Currency('£')),
        ("euro", Word::Currency('€')),
        ("euros", Word::Currency('€')),
        ("dollar", Word::Currency('$')),
        ("dollars", Word::Currency('$')),
        ("cent", Word::Currency('¢')),
        ("cents", Word::Currency('¢')),
        ("per", Word::Per),
        ("percent", Word::Percent),
        ("and", Word::And),
        ("double", Word::Repeat(2)),
        ("triple", Word::Repeat(3)),
        ("point", Word::Point),
    ];
    words.extend(others.map(|(name, word)| (name.to_owned(), word)));
    words
});

fn word(text: &str) -> Option<Word> {
    WORDS.get(text).copied()
}

/// Writes the numbers of a text with digits: signs and currencies before them, per cent and the ends of ordinals behind.
pub(super) fn standardize(text: &str) -> String {
    let text = prepare(text);
    let mut numbers = Numbers::default();
    numbers.read(&words(&text).collect::<Vec<_>>());
    let text = numbers.out.join(" ");
    let text = substitute(&text, cents_after_currency);
    let text = substitute(&text, cents_alone);
    substitute(&text, one)
}

/// "and a half" behind a number is "point five"; a space parts letters and digits, but for the ends of ordinals.
fn prepare(text: &str) -> String {
    let parts = split_and_a_half(text);
    let mut out: Vec<&str> = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        let Some(last) = words(part).last() else { continue };
        out.push(part);
        if i + 1 < parts.len() {
            let number = matches!(
                word(last),
                Some(Word::Zero | Word::Ten(_, "") | Word::Multiplier(_, "") | Word::Unit(_, ""))
            );
            out.push(if number { "point five" } else { "and a half" });
        }
    }
    let text = substitute(&out.join(" "), |_, rest| {
        let (c, next) = first_two(rest)?;
        let border = c.is_ascii_lowercase() && next.is_ascii_digit();
        border.then(|| (2, format!("{c} {next}")))
    });
    let text = substitute(&text, |_, rest| {
        let (c, next) = first_two(rest)?;
        let border = c.is_ascii_digit() && next.is_ascii_lowercase();
        border.then(|| (2, format!("{c} {next}")))
    });
    substitute(&text, end_of_ordinal)
}

fn first_two(rest: &str) -> Option<(char, char)> {
    let mut chars = rest.chars();
    chars.next().zip(chars.next())
}

/// Splits at `\band\s+a\s+half\b`.
fn split_and_a_half(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut from = 0;
    for (at, _) in text.match_indices("and") {
        let length = || {
            let mut rest = &text[at + 3..];
            for next in ["a", "half"] {
                let trimmed = rest.trim_start_matches(is_space);
                rest = trimmed.strip_prefix(next).filter(|_| trimmed.len() < rest.len())?;
            }
            ends_word(rest).then_some(text.len() - rest.len() - at)
        };
        if !text[..at].ends_with(is_word)
            && let Some(n) = length()
        {
            parts.push(&text[from..at]);
            from = at + n;
        }
    }
    parts.push(&text[from..]);
    parts
}

/// `1960 s` is `1960s`.
fn end_of_ordinal(_: &str, rest: &str) -> Option<(usize, String)> {
    let digit = rest.chars().next().filter(char::is_ascii_digit)?;
    let spaced = &rest[1..];
    let end = spaced.trim_start_matches(is_space);
    let suffix = ["st", "nd", "rd", "th", "s"]
        .into_iter()
        .find(|s| end.strip_prefix(s).is_some_and(ends_word))?;
    let n = rest.len() - end.len() + suffix.len();
    (end.len() < spaced.len()).then(|| (n, format!("{digit}{suffix}")))
}

/// `$2 and ¢7` is `$2.07`.
fn cents_after_currency(_: &str, rest: &str) -> Option<(usize, String)> {
    let currency = rest.chars().next().filter(|&c| "€£$".contains(c))?;
    let behind = &rest[currency.len_utf8()..];
    let after = behind.trim_start_matches(|c: char| c.is_ascii_digit());
    let whole = &behind[..behind.len() - after.len()];
    let after = after.strip_prefix(' ').filter(|_| !whole.is_empty())?;
    let after = after.strip_prefix("and ").unwrap_or(after).strip_prefix('¢')?;
    let (cents, n) = up_to_two_digits(after)?;
    Some((rest.len() - after.len() + n, format!("{currency}{whole}.{cents:02}")))
}

/// `$0.07` is `¢7`. Any character may stand for the point, as in the source.
fn cents_alone(_: &str, rest: &str) -> Option<(usize, String)> {
    let mut chars = rest.chars();
    chars.next().filter(|&c| "€£$".contains(c))?;
    chars.next().filter(|&c| c == '0')?;
    chars.next()?;
    let (cents, n) = up_to_two_digits(chars.as_str())?;
    Some((rest.len() - chars.as_str().len() + n, format!("¢{cents}")))
}

/// `[0-9]{1,2}\b`: value and length.
fn up_to_two_digits(text: &str) -> Option<(u8, usize)> {
    let n = text.bytes().take_while(u8::is_ascii_digit).take(3).count();
    let value = text[..n].parse().ok()?;
    (n <= 2 && ends_word(&text[n..])).then_some((value, n))
}

/// A lone `1` is "one", `1s` is "ones".
fn one(before: &str, rest: &str) -> Option<(usize, String)> {
    let after = rest.strip_prefix('1').filter(|_| !before.ends_with(is_word))?;
    match after.strip_prefix('s') {
        Some(after) if ends_word(after) => Some((2, "ones".to_owned())),
        _ => ends_word(after).then(|| (1, "one".to_owned())),
    }
}

/// A number that is being read.
enum Value {
    /// An integer, in its shortest form.
    Integer(String),
    /// Digits put side by side, perhaps with points.
    Text(String),
}

impl Value {
    fn into_text(self) -> String {
        match self {
            Value::Integer(text) | Value::Text(text) => text,
        }
    }

    /// `digits` put behind.
    fn beside(self, digits: &str) -> Value {
        Value::Text(self.into_text() + digits)
    }
}

/// The text written so far, and the number that is not yet.
#[derive(Default)]
struct Numbers {
    out: Vec<String>,
    prefix: Option<char>,
    value: Option<Value>,
}

impl Numbers {
    fn read(&mut self, words: &[&str]) {
        let mut i = 0;
        while i < words.len() {
            let prev = i.checked_sub(1).map(|i| words[i]);
            let next = words.get(i + 1).copied();
            i += if self.word(prev, words[i], next) { 2 } else { 1 };
        }
        self.flush();
    }

    /// Reads `current`; true if that took `next` as well.
    fn word(&mut self, prev: Option<&str>, current: &str, next: Option<&str>) -> bool {
        let unsigned = current.strip_prefix(PREFIXES);
        if let Some(number) = decimal::parse(unsigned.unwrap_or(current)) {
            let prefix = unsigned.and_then(|_| current.chars().next());
            self.digits(current, number, prefix, unsigned.unwrap_or(current));
            return false;
        }
        let Some(word) = word(current) else {
            self.flush();
            self.write(current);
            return false;
        };
        let prev = prev.and_then(self::word);
        let next_word = next.and_then(self::word);
        let next_is_digits = next.is_some_and(|next| decimal::parse(next).is_some());
        let number_may_follow = next_word.is_some() || next_is_digits;
        match word {
            Word::Zero => self.value = Some(Value::Text(self.take_nonzero() + "0")),
            Word::Unit(n, suffix) => {
                let value = with_unit(self.value.take(), n, prev);
                self.put(value, suffix);
            }
            Word::Ten(n, suffix) => {
                let value = match self.value.take() {
                    None => Value::Integer(n.to_string()),
                    Some(Value::Integer(digits)) if decimal::ends_in_zeros(&digits, 2) => {
                        Value::Integer(decimal::add(&digits, &n.to_string()))
                    }
                    Some(value) => value.beside(&n.to_string()),
                };
                self.put(value, suffix);
            }
            Word::Multiplier(zeros, suffix) => self.multiply(zeros, suffix),
            Word::Sign(sign) => {
                self.flush();
                if number_may_follow {
                    self.prefix = Some(sign);
                } else {
                    self.write(current);
                }
            }
            Word::Currency(sign) => {
                if self.value.is_some() {
                    self.prefix = Some(sign);
                    self.flush();
                } else {
                    self.write(current);
                }
            }
            Word::Percent => match self.value.take() {
                Some(value) => self.write(&(value.into_text() + "%")),
                None => self.write(current),
            },
            Word::Per => match self.value.take() {
                Some(value) if next == Some("cent") => {
                    self.write(&(value.into_text() + "%"));
                    return true;
                }
                value => {
                    self.value = value;
                    self.flush_and_write(current);
                }
            },
            Word::And | Word::Repeat(_) | Word::Point if !number_may_follow => self.flush_and_write(current),
            Word::And => {
                if !matches!(prev, Some(Word::Multiplier(_, ""))) {
                    self.flush_and_write(current);
                }
            }
            Word::Repeat(times) => {
                let digit = match next_word {
                    Some(Word::Unit(n, "")) => n,
                    Some(Word::Zero) => 0,
                    _ => {
                        self.flush_and_write(current);
                        return false;
                    }
                };
                self.value = Some(Value::Text(self.take_nonzero() + &digit.to_string().repeat(times)));
                return true;
            }
            Word::Point => {
                let digits = matches!(next_word, Some(Word::Zero | Word::Unit(_, "") | Word::Ten(_, "")));
                if digits || next_is_digits {
                    self.value = Some(Value::Text(self.take_nonzero() + "."));
                }
            }
        }
        false
    }

    /// A number written in digits: `current`, which is `prefix` and `number`, written as `unsigned`.
    fn digits(&mut self, current: &str, number: decimal::Decimal, prefix: Option<char>, unsigned: &str) {
        match self.value.take() {
            Some(Value::Text(text)) if text.ends_with('.') => {
                self.value = Some(Value::Text(text + current));
                return;
            }
            value => {
                self.value = value;
                self.flush();
            }
        }
        self.prefix = prefix.or(self.prefix);
        self.value = Some(match number.shifted(0) {
            Some(integer) => Value::Integer(integer),
            None => Value::Text(unsigned.to_owned()),
        });
    }

    fn multiply(&mut self, zeros: usize, suffix: &'static str) {
        let multiplier = || Value::Integer(format!("1{}", "0".repeat(zeros)));
        let value = match self.value.take() {
            None => multiplier(),
            Some(Value::Integer(digits)) => {
                let (thousands, rest) = decimal::split_thousands(&digits);
                Value::Integer(decimal::add(&thousands, &decimal::shift(&rest, zeros)))
            }
            Some(Value::Text(text)) => match decimal::parse_loosely(&text).and_then(|number| number.shifted(zeros)) {
                Some(integer) => Value::Integer(integer),
                None => {
                    self.write(&text);
                    multiplier()
                }
            },
        };
        self.put(value, suffix);
    }

    /// Keeps `value`, or writes it where a suffix ends it.
    fn put(&mut self, value: Value, suffix: &str) {
        if suffix.is_empty() {
            self.value = Some(value);
        } else {
            self.write(&(value.into_text() + suffix));
        }
    }

    /// The digits so far, none if they are the integer zero.
    fn take_nonzero(&mut self) -> String {
        let text = self
            .value
            .take()
            .map(|value| (matches!(value, Value::Integer(_)), value.into_text()));
        text.filter(|(integer, text)| !(*integer && text == "0"))
            .map(|(_, text)| text)
            .unwrap_or_default()
    }

    fn flush_and_write(&mut self, text: &str) {
        self.flush();
        self.write(text);
    }

    fn flush(&mut self) {
        if let Some(value) = self.value.take() {
            self.write(&value.into_text());
        }
    }

    /// Writes a word, with the sign that waits for one.
    fn write(&mut self, text: &str) {
        let prefix = self.prefix.take().map(String::from).unwrap_or_default();
        self.out.push(prefix + text);
        self.value = None;
    }
}

/// A number of 0 to 19 behind `value`: added where there is room for it ("twenty one"), else put beside ("one two").
fn with_unit(value: Option<Value>, n: u8, prev: Option<Word>) -> Value {
    let digits = n.to_string();
    let after_unit = matches!(prev, Some(Word::Unit(1.., "")));
    let after_ten = matches!(prev, Some(Word::Ten(_, "")));
    let places = if n < 10 { 1 } else { 2 };
    match value {
        None => Value::Integer(digits),
        Some(Value::Text(mut text)) if after_ten && n < 10 => {
            text.pop(); // the zero of the ten
            Value::Text(text + &digits)
        }
        Some(Value::Integer(value)) if !after_unit && decimal::ends_in_zeros(&value, places) => {
            Value::Integer(decimal::add(&value, &digits))
        }
        Some(value) => value.beside(&digits),
    }
}
