//! Where to read on behind a window whose words are known.
//!
//! Timestamps say roughly where a segment ends, words say it better; and they tell where the network has made up text over
//! silence, which is better read again from its end.

use super::passage::frame;
use crate::transcript::Segment;
use crate::words::Surroundings;
use crate::words::hallucination::{self, MadeUp};

/// Where to read on, in frames of what is heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ReadOn {
    /// Where the timestamps have it.
    AsTold,
    /// Here.
    At(usize),
    /// Here, and nothing of the window is to be believed, or to be remembered.
    Again(usize),
}

/// Source: `transcribe.py` of openai/whisper. `complete`: a timestamp says that nobody speaks behind the last word.
/// Segments that look made up are taken away, where `threshold` (in seconds) says how much silence makes them suspect.
pub(super) fn behind_words(
    segments: &mut Vec<Segment>,
    complete: bool,
    window: Surroundings,
    threshold: Option<f64>,
) -> ReadOn {
    let last_word = end_of_words(segments).filter(|&end| !complete && end > window.start);
    let behind_last_word = last_word.map_or(ReadOn::AsTold, |end| ReadOn::At(frame(end)));
    let Some(threshold) = threshold else {
        return behind_last_word;
    };
    if let Some(silence) = hallucination::leading_silence(segments, window, threshold) {
        return ReadOn::Again(frame(window.start) + frame(silence));
    }
    if let Some(MadeUp { from, read_on }) = hallucination::made_up(segments, window, threshold) {
        segments.truncate(from);
        return ReadOn::At(read_on.map_or(usize::MAX, frame));
    }
    match last_word {
        Some(end) if window.start + 30.0 - end <= threshold => ReadOn::At(frame(window.end)),
        _ => behind_last_word,
    }
}

/// The end of the last word, else of the last segment.
pub(super) fn end_of_words(segments: &[Segment]) -> Option<f64> {
    let words = segments
        .iter()
        .rev()
        .flat_map(|segment| segment.words.iter().flatten().rev());
    let last = words.map(|word| word.end).next();
    last.or_else(|| segments.last().map(|segment| segment.end))
}
