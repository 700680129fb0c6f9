//! Segments that the network has made up around silence, known by their words: too short, too long, improbable.
//!
//! Source: `transcribe.py` of openai/whisper, `hallucination_silence_threshold`.

use super::Surroundings;
use crate::transcript::{Segment, Word};

/// From where on a window is made up, and where to read on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MadeUp {
    /// The first segment to leave out; all after it are left out, too.
    pub(crate) from: usize,
    /// In seconds of the recording; `None`: nothing but silence follows.
    pub(crate) read_on: Option<f64>,
}

/// The seconds before the first segment with words, if it is odd and they are more than `threshold`: the window should be
/// read again without them.
pub(crate) fn leading_silence(segments: &[Segment], window: Surroundings, threshold: f64) -> Option<f64> {
    let first = with_words(segments).filter(|first| is_odd(first))?;
    Some(first.start - window.start).filter(|silence| *silence > threshold)
}

/// The first odd segment that has silence (of more than `threshold` seconds) or the like on both sides.
pub(crate) fn made_up(segments: &[Segment], window: Surroundings, threshold: f64) -> Option<MadeUp> {
    const FULL_WINDOW: f64 = 30.0;
    const NEAR: f64 = 2.0;
    let mut spoken_until = window.spoken_until;
    for (from, segment) in segments
        .iter()
        .enumerate()
        .filter(|(_, segment)| !words(segment).is_empty())
    {
        if is_odd(segment) {
            let next = with_words(&segments[from + 1..]);
            let next_start = next.map_or(window.end, |next| words(next)[0].start);
            let silence_before = segment.start - spoken_until > threshold
                || segment.start < threshold
                || segment.start - window.start < NEAR;
            let silence_after = next_start - segment.end > threshold
                || next.is_some_and(is_odd)
                || window.start + FULL_WINDOW - segment.end < NEAR;
            if silence_before && silence_after {
                let more_follows = window.duration - segment.end >= threshold;
                return Some(MadeUp {
                    from,
                    read_on: more_follows.then_some(segment.start.max(window.start + 1.0)),
                });
            }
        }
        spoken_until = segment.end;
    }
    None
}

fn with_words(segments: &[Segment]) -> Option<&Segment> {
    segments.iter().find(|segment| !words(segment).is_empty())
}

fn words(segment: &Segment) -> &[Word] {
    segment.words.as_deref().unwrap_or_default()
}

/// Whether the first eight words of a segment are odd on the whole.
fn is_odd(segment: &Segment) -> bool {
    const PUNCTUATION: &str = "\"'“¿([{-\"'.。,，!！?？:：”)]}、";
    let words = words(segment).iter();
    let spoken = words.filter(|word| !PUNCTUATION.contains(&word.word)).take(8);
    let (n_words, score) = spoken.fold((0.0, 0.0), |(n, score), word| (n + 1.0, score + oddness(word)));
    score >= 3.0 || score + 0.01 >= n_words
}

/// 0 for a usual word, 1 and more for one to doubt.
fn oddness(word: &Word) -> f64 {
    let duration = word.end - word.start;
    let improbable = if word.probability < 0.15 { 1.0 } else { 0.0 };
    improbable + (0.133 - duration).max(0.0) * 15.0 + (duration - 2.0).max(0.0)
}
