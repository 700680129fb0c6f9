//! Where a recording can be cut so that its parts can be transcribed side by side: at its silences.

use std::ops::Range;

use super::heard::Heard;
use crate::model::MEL_FRAMES;

/// A part is at least so long, where the recording is: what it lacks to 30 s is computed for nothing.
const SHORTEST: usize = MEL_FRAMES / 2;

/// Where no pause is known the last part is at least so long, where there are two: a second of sound alone is easily misheard.
const SHORTEST_LAST: usize = MEL_FRAMES / 6;

/// Frames to either side over which loudness is averaged: a pause for breath, not the closure of a `t`.
const REACH: usize = 20;

/// The sound that is louder by one power of ten, 10 dB, may stand 30 s earlier: longer parts are fewer.
const TIME_AGAINST_LOUDNESS: f32 = 1.0 / MEL_FRAMES as f32;

/// `clip` in parts of at most 30 s, each but the last cut off in its second half: at the last pause of the voice, or, where none is
/// known, at the quietest place.
pub(super) fn cut(heard: &Heard<'_>, clip: Range<usize>) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut start = clip.start;
    while clip.end.saturating_sub(start) > MEL_FRAMES {
        let (earliest, latest) = (start + SHORTEST, start + MEL_FRAMES);
        let pause = heard.last_pause(earliest..latest + 1);
        let end = pause.unwrap_or_else(|| {
            let latest = latest.min(clip.end - SHORTEST_LAST);
            quietest(heard, earliest..latest + 1)
        });
        parts.push(start..end);
        start = end;
    }
    if start < clip.end {
        parts.push(start..clip.end);
    }
    parts
}

/// The frame around which `range` is quietest; late ones are preferred a little.
fn quietest(heard: &Heard<'_>, range: Range<usize>) -> usize {
    let first = range.start.saturating_sub(REACH);
    let loudness: Vec<f32> = (first..range.end + REACH).map(|frame| heard.loudness(frame)).collect();
    let mean_around = |frame: usize| {
        let around = &loudness[frame.saturating_sub(first + REACH)..=frame - first + REACH - 1];
        around.iter().sum::<f32>() / around.len() as f32
    };
    let cost = |frame: usize| mean_around(frame) - TIME_AGAINST_LOUDNESS * (frame - range.start) as f32;
    let costs = range.clone().map(|frame| (frame, cost(frame)));
    costs
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map_or(range.end, |(frame, _)| frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mel::LogMel;
    use crate::voice::VOICE_HOP;

    /// A tone of so many seconds, silent in `pauses` (in seconds).
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few minutes")]
    fn tone(seconds: f64, pauses: &[(f64, f64)]) -> LogMel {
        let sample = |i: usize| {
            let time = i as f64 / 16_000.0;
            let is_pause = pauses.iter().any(|(from, to)| (*from..*to).contains(&time));
            if is_pause {
                0.0
            } else {
                0.3 * (2764.6 * time).sin() as f32
            }
        };
        let samples: Vec<f32> = (0..(seconds * 16_000.0) as usize).map(sample).collect();
        LogMel::from_samples(&samples, 80)
    }

    fn parts_of(mel: &LogMel, clip: Range<usize>) -> Vec<Range<usize>> {
        cut(&Heard::whole(mel), clip)
    }

    #[test]
    fn what_fits_a_window_stays_whole() {
        assert_eq!(parts_of(&tone(29.0, &[(14.0, 15.0)]), 0..2900), vec![0..2900; 1]);
        assert!(parts_of(&tone(29.0, &[]), 0..0).is_empty());
        assert_eq!(parts_of(&tone(40.0, &[]), 700..3700), vec![700..3700; 1]);
    }

    #[test]
    fn cuts_fall_into_pauses() {
        let mel = tone(70.0, &[(5.0, 8.0), (20.0, 20.6), (28.0, 28.1), (44.0, 45.0)]);
        let parts = parts_of(&mel, 0..7000);
        assert_eq!(parts.len(), 3);
        assert_eq!((parts[0].start, parts[2].end), (0, 7000));
        for (part, pause) in parts.iter().zip([2000..2060, 4400..4500]) {
            assert!(pause.contains(&part.end), "{parts:?}");
        }
    }

    #[test]
    fn a_known_pause_may_leave_little() {
        let speaks = |score: usize| !matches!(score * VOICE_HOP / 16_000, 28..30);
        let voice = (0..33 * 16_000 / VOICE_HOP).map(|score| f32::from(speaks(score)));
        let mel = tone(33.0, &[]).with_voice(voice.collect());
        let (heard, clips) = Heard::spoken(&mel, mel.voice().unwrap(), std::slice::from_ref(&(0..3300)));
        let parts = cut(&heard, clips[0].clone());
        assert_eq!((parts.len(), parts[0].start, parts[1].end), (2, 0, heard.n_frames()));
        assert!(
            (2800..2900).contains(&parts[0].end) && parts[1].len() < SHORTEST_LAST,
            "{parts:?}"
        );
    }

    #[test]
    fn without_a_pause_parts_are_as_long_as_can_be() {
        let parts = parts_of(&tone(100.0, &[]), 0..10_000);
        assert!(parts.iter().all(|part| part.len() <= MEL_FRAMES), "{parts:?}");
        assert!(parts[..3].iter().all(|part| part.len() > MEL_FRAMES - 100), "{parts:?}");
        assert_eq!(parts_of(&tone(60.0, &[]), 0..6000).len(), 2);
        assert!(parts_of(&tone(30.5, &[]), 0..3050)[1].len() >= SHORTEST_LAST);
        assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start), "{parts:?}");
    }
}
