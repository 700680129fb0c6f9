//! SubRip and WebVTT: cues of a time and a text.

use super::cues::Cue;
use super::time::clock;

pub(super) const VTT_HEAD: &str = "WEBVTT\n\n";

pub(super) fn vtt(Cue { start, end, text }: &Cue) -> String {
    let (start, end) = (clock(*start, false, '.'), clock(*end, false, '.'));
    format!("{start} --> {end}\n{text}\n\n")
}

/// A cue, the `number`th from 1.
pub(super) fn srt(number: usize, Cue { start, end, text }: &Cue) -> String {
    let (start, end) = (clock(*start, true, ','), clock(*end, true, ','));
    format!("{number}\n{start} --> {end}\n{text}\n\n")
}
