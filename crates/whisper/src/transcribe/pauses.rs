//! What lies between the pauses of a recording.
//!
//! Thresholds and times are those of faster-whisper's batches (`vad.py`, `VadOptions`; `BatchedInferencePipeline`).

use std::ops::Range;

use crate::mel::HOP;
use crate::voice::VOICE_HOP;

/// Somebody begins to speak at such a score.
const BEGINS: f32 = 0.5;

/// And has ended below this one,
const ENDS: f32 = 0.35;

/// if it stays there for more than so many scores: 160 ms.
const PAUSE: usize = 10;

/// Scores to either side that are kept, as far as the pause goes: 400 ms. Words begin softly.
const MARGIN: usize = 25;

/// The frames in which somebody speaks, and what is around them. Where a pause is too short to leave anything out, two stretches
/// meet in its middle. The last one may end behind the recording.
pub(super) fn stretches(scores: &[f32]) -> Vec<Range<usize>> {
    let speech = speech(scores);
    let mut stretches = Vec::with_capacity(speech.len());
    let mut start = 0;
    for (i, now) in speech.iter().enumerate() {
        let next = speech.get(i + 1).map_or(usize::MAX, |next| next.start);
        let half = (next - now.end) / 2;
        let end = now.end + half.min(MARGIN);
        stretches.push(now.start.saturating_sub(MARGIN).max(start)..end);
        start = if half < MARGIN {
            end
        } else {
            next.saturating_sub(MARGIN)
        };
    }
    let frame = |score: usize| score * VOICE_HOP / HOP;
    let in_frames = |stretch: Range<usize>| frame(stretch.start)..frame(stretch.end);
    stretches.into_iter().map(in_frames).collect()
}

/// From one pause to the next, in scores.
fn speech(scores: &[f32]) -> Vec<Range<usize>> {
    let mut speech = Vec::new();
    let (mut begun, mut quiet) = (None, 0);
    for (i, &score) in scores.iter().enumerate() {
        let Some(start) = begun else {
            begun = (score >= BEGINS).then_some(i);
            quiet = 0;
            continue;
        };
        if score >= BEGINS {
            quiet = 0;
        } else if quiet > 0 || score < ENDS {
            quiet += 1;
        }
        if quiet > PAUSE {
            speech.push(start..i + 1 - quiet);
            begun = None;
        }
    }
    speech.extend(begun.map(|start| start..scores.len()));
    speech
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores of so many pieces each, in turns none and full.
    fn scores(pieces: &[usize]) -> Vec<f32> {
        let piece = |(i, &n): (usize, &usize)| std::iter::repeat_n((i % 2) as f32, n);
        pieces.iter().enumerate().flat_map(piece).collect()
    }

    fn all(scores: &[f32]) -> Vec<(usize, usize)> {
        stretches(scores)
            .iter()
            .map(|stretch| (stretch.start, stretch.end))
            .collect()
    }

    #[test]
    fn nothing_is_spoken_in_silence() {
        assert_eq!(all(&[]), []);
        assert_eq!(all(&scores(&[1000])), []);
        assert_eq!(all(&[f32::NAN; 50]), []);
        assert_eq!(all(&[0.45; 50]), []); // enough to go on, not to begin
    }

    #[test]
    fn speech_has_a_margin_and_long_pauses_go() {
        // In scores: 100..200 and 300..400 with 25 to either side, 1.6 frames each.
        assert_eq!(all(&scores(&[100, 100, 100, 100, 100])), [(120, 360), (440, 680)]);
        assert_eq!(all(&scores(&[10, 100])), [(0, 160 + 56)]); // to the recording's end, and a margin that is cut off later
    }

    #[test]
    fn stretches_meet_in_a_short_pause() {
        assert_eq!(all(&scores(&[100, 100, 20, 100, 100])), [(120, 336), (336, 552)]);
        assert_eq!(all(&scores(&[100, 100, PAUSE, 100, 100])), [(120, 536)]); // no pause: a stop of the tongue
    }

    #[test]
    fn a_voice_that_sinks_goes_on() {
        let mut scores = scores(&[100, 100, 100]);
        scores[150..200].fill(0.4);
        assert_eq!(all(&scores), [(120, 360)]);
    }
}
