//! Values as Python's commands spell them.

use std::num::NonZeroUsize;

/// A number, or `None` as Python's commands spell its absence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Maybe(pub(crate) Option<f64>);

/// A number, or `None`.
pub(crate) fn optional(text: &str) -> Result<Maybe, String> {
    match text {
        "None" | "none" => Ok(Maybe(None)),
        _ => text
            .parse()
            .map(|number| Maybe(Some(number)))
            .map_err(|_| "expected a number or None".into()),
    }
}

/// A number from 1 on; 0 and `None` mean any, as in Python's commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit(pub(crate) Option<NonZeroUsize>);

/// A number, or `None`.
pub(crate) fn limit(text: &str) -> Result<Limit, String> {
    match text {
        "None" | "none" => Ok(Limit(None)),
        _ => text
            .parse()
            .map(|number| Limit(NonZeroUsize::new(number)))
            .map_err(|_| "expected a whole number or None".into()),
    }
}

/// Times, one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seconds(pub(crate) Vec<f64>);

/// Numbers with commas between them; none in an empty text.
pub(crate) fn seconds(text: &str) -> Result<Seconds, String> {
    if text.is_empty() {
        return Ok(Seconds::default());
    }
    let all: Result<_, _> = text.split(',').map(|number| number.trim().parse()).collect();
    all.map(Seconds)
        .map_err(|_| "expected seconds with commas between them, as in 0,30,60,90".into())
}

/// `True`, `False`, and what else means the same.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("expected True or False".into()),
    }
}

/// Bytes, with a unit of 1024 where one is given: `4G`, `800M`.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let text = text.trim().to_uppercase();
    let number = text.trim_end_matches(['B', 'I', 'K', 'M', 'G']);
    let unit = match text[number.len()..].trim_end_matches('B').trim_end_matches('I') {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return Err("expected bytes, as 4G or 800M".into()),
    };
    let number: Option<u64> = number.trim().parse().ok();
    let bytes = number.and_then(|number| number.checked_mul(unit));
    bytes.ok_or_else(|| "expected bytes, as 4G or 800M".into())
}

/// How many windows are decoded side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Batch {
    /// What suits the model.
    Auto,
    /// So many.
    Windows(NonZeroUsize),
}

impl Batch {
    pub(crate) fn parse(text: &str) -> Result<Batch, String> {
        match text {
            "auto" => Ok(Batch::Auto),
            _ => text
                .parse()
                .map(Batch::Windows)
                .map_err(|_| "expected auto or a number from 1 on".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units() {
        for (text, expected) in [
            ("800M", 800 << 20),
            ("4g", 4 << 30),
            ("4GiB", 4 << 30),
            ("12", 12),
            ("1 kB", 1024),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "G", "4T", "-1", "1.5G", "99999999999G", "4MG"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
