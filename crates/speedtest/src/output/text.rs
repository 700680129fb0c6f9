//! Plain text: the segments' own, and where a form gives a segment one line.

use whisper::transcript::Segment;

/// A line a segment.
pub(super) fn txt(segment: &Segment) -> String {
    format!("{}\n", stripped(segment))
}

/// The text without white space around it; Python's `strip` also takes the four separators of ASCII.
pub(super) fn stripped(segment: &Segment) -> &str {
    segment
        .text
        .trim_matches(|c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c))
}

/// The text as one line.
pub(super) fn one_line(segment: &Segment) -> String {
    stripped(segment).replace(['\n', '\r'], " ")
}
