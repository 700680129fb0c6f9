//! Names and texts are anybody's bytes: each form has characters that do something.

/// For HTML, in text and in attributes between double quotes.
pub(super) fn html(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() && c != '\n' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
        escaped
    })
}

/// For Markdown, in a cell of a table: what starts markup, HTML or another cell is taken literally.
pub(super) fn markdown(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' => escaped.extend(['\\', c]),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
        escaped
    })
}

/// A cell of CSV (RFC 4180). What a spreadsheet would run as a formula gets an apostrophe before it, which makes it text.
pub(super) fn csv(text: &str) -> String {
    let runs = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
        && text.parse::<f64>().is_err();
    let text = if runs { format!("'{text}") } else { text.to_owned() };
    let text: String = text.chars().map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect();
    if text.contains([',', '"', '\n', '\r', ';', '\'']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_does_anything() {
        assert_eq!(
            html("<script>\"a\" & 'b'</script>\x1b"),
            "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/script&gt;\u{fffd}"
        );
        assert_eq!(
            markdown("a|b\n<img> [x](y) `c` *d*"),
            "a\\|b &lt;img&gt; \\[x\\](y) \\`c\\` \\*d\\*"
        );
        assert_eq!(csv("=cmd|' /C calc'!A0"), "\"'=cmd|' /C calc'!A0\"");
        assert_eq!(csv("@SUM(1)"), "\"'@SUM(1)\"");
        assert_eq!(csv("-1.5"), "-1.5");
        assert_eq!(csv("-1+1"), "\"'-1+1\"");
        assert_eq!(csv("say \"a\", b"), "\"say \"\"a\"\", b\"");
        assert_eq!(csv("plain"), "plain");
    }
}
