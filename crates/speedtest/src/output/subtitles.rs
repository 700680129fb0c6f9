//! SubRip and WebVTT: cues of a time and a text.

use super::text::stripped;
use super::time::clock;
use whisper::transcript::Segment;

pub(super) const VTT_HEAD: &str = "WEBVTT\n\n";

/// A cue.
pub(super) fn vtt(segment: &Segment) -> String {
    let (start, end) = (clock(segment.start, false, '.'), clock(segment.end, false, '.'));
    format!("{start} --> {end}\n{}\n\n", cue(segment))
}

/// A cue, numbered from 1.
pub(super) fn srt(index: usize, segment: &Segment) -> String {
    let (start, end) = (clock(segment.start, true, ','), clock(segment.end, true, ','));
    format!("{}\n{start} --> {end}\n{}\n\n", index + 1, cue(segment))
}

/// The text, without what would end the cue: an arrow, an empty line.
fn cue(segment: &Segment) -> String {
    let text = stripped(segment).replace("-->", "->");
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}
