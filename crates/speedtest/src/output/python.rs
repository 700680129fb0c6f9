//! JSON in Python's spelling.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// `value` as `json.dumps(value, ensure_ascii=False)` spells it, but that NaN and infinities, which JSON does not have, are null.
pub(super) fn json(value: &impl Serialize) -> String {
    let mut text = Vec::new();
    let written = value.serialize(&mut Serializer::with_formatter(&mut text, Python));
    written.expect("nothing here fails to serialize: keys are strings, and memory takes all bytes");
    String::from_utf8(text).expect("a serializer of strings writes UTF-8")
}

/// A space after commas and colons, and floats as `repr` has them.
struct Python;

impl Formatter for Python {
    fn write_f64<W: ?Sized + Write>(&mut self, out: &mut W, value: f64) -> io::Result<()> {
        out.write_all(repr(value).as_bytes())
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
}

/// The shortest digits that read back as `value`, with an exponent of two digits below 1e-4 and from 1e16 on.
///
/// Rust takes the larger digits where two are as near, Python the even ones: a widened float32 such as 0.99259185791015625
/// often lies in the middle. So the digits are rounded again, to as many.
fn repr(value: f64) -> String {
    let even = |rounded: String, shortest: &str| match rounded.parse::<f64>() {
        Ok(same) if value == same => rounded,
        _ => shortest.to_owned(),
    };
    let shortest = format!("{value:e}");
    let Some((digits, exponent)) = shortest.split_once('e') else {
        return shortest; // no number
    };
    let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..16).contains(&exponent) && value != 0.0 => {
            let digits = even(format!("{value:.decimals$e}"), &shortest);
            let digits = digits.split_once('e').map_or("", |(digits, _)| digits);
            format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
        }
        Ok(exponent) => {
            let decimals = decimals.saturating_add_signed(-exponent as isize).max(1);
            even(format!("{value:.decimals$}"), &format!("{value:?}"))
        }
        Err(_) => shortest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_read_as_in_python() {
        // python3 -c 'print([0.0, -0.0, ...])'
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (2.0, "2.0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (1.2345e-7, "1.2345e-07"),
            (-5e-324, "-5e-324"),
            (123_456_789.0, "123456789.0"),
            (1e15, "1000000000000000.0"),
            (f64::from(0.992_591_86_f32), "0.9925918579101562"),
            (0.001_220_703_125, "0.001220703125"),
            (12345.5, "12345.5"),
            (9.999_999_999_999_998e15, "9999999999999998.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (f64::MAX, "1.7976931348623157e+308"),
        ] {
            assert_eq!(repr(value), expected);
        }
    }

    #[test]
    fn text_and_separators_read_as_in_python() {
        let value = serde_json::json!({"a": [1, 2.5, null, true], "t": "Ω\u{7f}\u{1}\u{8}\u{c}\n\"\\/\u{2028}"});
        assert_eq!(
            json(&value),
            "{\"a\": [1, 2.5, null, true], \"t\": \"Ω\u{7f}\\u0001\\b\\f\\n\\\"\\\\/\u{2028}\"}"
        );
    }

    #[test]
    fn what_is_no_number_is_null() {
        assert_eq!(json(&[f64::NAN, f64::INFINITY]), "[null, null]");
    }
}
