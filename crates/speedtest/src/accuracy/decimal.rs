//! Numbers of any length as decimal digits: what Python's integers and fractions do in the normaliser of numbers.

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// A number without a sign: ASCII digits before and behind the point.
pub(super) struct Decimal {
    whole: String,
    fraction: String,
}

/// `\d+(\.\d+)?`
pub(super) fn parse(text: &str) -> Option<Decimal> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (digits(whole)?, digits(fraction)?),
        None => (digits(text)?, "0".to_owned()),
    };
    (!whole.is_empty() && !fraction.is_empty()).then_some(Decimal { whole, fraction })
}

/// As [`parse`], but digits may lack on one side of the point: what `Fraction` reads.
pub(super) fn parse_loosely(text: &str) -> Option<Decimal> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let (whole, fraction) = (digits(whole)?, digits(fraction)?);
    (!whole.is_empty() || !fraction.is_empty()).then_some(Decimal { whole, fraction })
}

impl Decimal {
    /// The number times ten to the power of `zeros`, if that is an integer.
    pub(super) fn shifted(&self, zeros: usize) -> Option<String> {
        let (moved, rest) = self.fraction.split_at(zeros.min(self.fraction.len()));
        let integer = format!("{}{moved}{}", self.whole, "0".repeat(zeros - moved.len()));
        rest.bytes().all(|digit| digit == b'0').then(|| shortest(&integer))
    }
}

/// The sum of two integers.
pub(super) fn add(a: &str, b: &str) -> String {
    let mut sum = Vec::with_capacity(a.len().max(b.len()) + 1);
    let (mut a, mut b) = (a.bytes().rev(), b.bytes().rev());
    let mut carry = 0;
    loop {
        let digits = (a.next(), b.next());
        if digits == (None, None) && carry == 0 {
            break;
        }
        let total = digits.0.map_or(0, |d| d - b'0') + digits.1.map_or(0, |d| d - b'0') + carry;
        sum.push(char::from(b'0' + total % 10));
        carry = total / 10;
    }
    shortest(&sum.into_iter().rev().collect::<String>())
}

/// `digits` times ten to the power of `zeros`.
pub(super) fn shift(digits: &str, zeros: usize) -> String {
    shortest(&format!("{digits}{}", "0".repeat(zeros)))
}

/// The thousands, as a number of units, and what is below a thousand.
pub(super) fn split_thousands(digits: &str) -> (String, String) {
    let (thousands, rest) = digits.split_at(digits.len().saturating_sub(3));
    (shift(thousands, 3), rest.to_owned())
}

/// Whether ten to the power of `places` divides an integer.
pub(super) fn ends_in_zeros(digits: &str, places: usize) -> bool {
    digits == "0" || digits.len() >= places && digits.bytes().rev().take(places).all(|digit| digit == b'0')
}

fn shortest(digits: &str) -> String {
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() { "0" } else { digits }.to_owned()
}

/// The decimal digits of any script as ASCII; nothing if `text` has other characters.
fn digits(text: &str) -> Option<String> {
    text.chars()
        .map(|c| digit(c).map(|value| char::from(b'0' + value)))
        .collect()
}

/// The value of a decimal digit. Unicode keeps the ten digits of a script together, zero first.
fn digit(c: char) -> Option<u8> {
    let is_digit = |c: char| c.general_category() == GeneralCategory::DecimalNumber;
    if c.is_ascii() {
        return c.to_digit(10).and_then(|value| u8::try_from(value).ok());
    }
    is_digit(c).then_some(())?;
    let below = ('\0'..c).rev().take_while(|&c| is_digit(c)).count();
    u8::try_from(below % 10).ok()
}
