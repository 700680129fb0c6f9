//! Command lines written for Python's argparse.

use std::ffi::OsString;

/// Commands written for mlx_whisper and whisper: `--word_timestamps True` is `--word-timestamps=True`.
pub(super) fn spelling(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut spelled: Vec<OsString> = Vec::new();
    let mut options = true;
    for arg in args {
        let long = spelled
            .last()
            .and_then(|last| last.to_str())
            .filter(|last| last.starts_with("--") && !last.contains('='));
        match (arg.to_str(), long) {
            (Some("--"), _) => options = false,
            (Some(value @ ("True" | "False" | "true" | "false")), Some(name)) if options => {
                let joined = format!("{name}={value}");
                spelled.pop();
                spelled.push(joined.into());
                continue;
            }
            (Some(text), _) if options && text.starts_with("--") => {
                let (name, value) = text.split_at(text.find('=').unwrap_or(text.len()));
                spelled.push(format!("{}{value}", name.replace('_', "-")).into());
                continue;
            }
            _ => {}
        }
        spelled.push(arg);
    }
    spelled
}
