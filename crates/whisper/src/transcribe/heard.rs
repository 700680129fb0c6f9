//! What of a recording is heard: all of it, or what lies between its pauses.
//!
//! ```text
//! recorded   ....[ stretch ]......[ stretch ][ stretch ]...
//! heard      [ stretch ][ stretch ][ stretch ]                 windows, segments and words are found in these times,
//! ```
//!
//! and are given away in those of the recording.

use std::ops::Range;

use super::passage::seconds;
use super::pauses::stretches;
use crate::mel::LogMel;
use crate::transcript::{Segment, Warning};

pub(super) struct Heard<'a> {
    pub(super) mel: &'a LogMel,
    is_whole: bool,
    /// In order. What is heard after the last one is what the recording has there.
    stretches: Vec<Stretch>,
}

/// Frames that follow one another.
struct Stretch {
    /// Where they begin in what is heard.
    start: usize,
    recorded: Range<usize>,
}

impl Stretch {
    fn end(&self) -> usize {
        self.start + self.recorded.len()
    }
}

impl<'a> Heard<'a> {
    /// All of it: both times are the same.
    pub(super) fn whole(mel: &'a LogMel) -> Self {
        Self {
            mel,
            is_whole: true,
            stretches: vec![Stretch {
                start: 0,
                recorded: 0..mel.content_frames(),
            }],
        }
    }

    /// `clips` of the recording without their pauses, by the `scores` of its voice; and the clips as they are heard.
    pub(super) fn spoken(mel: &'a LogMel, scores: &[f32], clips: &[Range<usize>]) -> (Self, Vec<Range<usize>>) {
        let mut heard = Self {
            mel,
            is_whole: false,
            stretches: Vec::new(),
        };
        let stretches = stretches(scores);
        let heard_clips = clips.iter().map(|clip| {
            let start = heard.n_frames();
            let first = stretches.partition_point(|stretch| stretch.end <= clip.start);
            for stretch in stretches[first..].iter().take_while(|stretch| stretch.start < clip.end) {
                let start = heard.n_frames();
                let recorded = stretch.start.max(clip.start)..stretch.end.min(clip.end);
                if !recorded.is_empty() {
                    heard.stretches.push(Stretch { start, recorded });
                }
            }
            start..heard.n_frames()
        });
        let heard_clips = heard_clips.collect();
        (heard, heard_clips)
    }

    /// Frames of all stretches.
    pub(super) fn n_frames(&self) -> usize {
        self.stretches.last().map_or(0, Stretch::end)
    }

    /// Seconds: what comes to the end of the recording where nothing follows the last stretch.
    pub(super) fn duration(&self) -> f64 {
        let rest = self.mel.duration() - seconds(self.recorded(self.n_frames()));
        seconds(self.n_frames()) + rest.max(0.0)
    }

    /// Replaces `out` by the frames of `window`, as [`LogMel::fill`] has them, or, where pauses are left out, scaled by the
    /// loudest of the window alone: so the network was trained, and a quiet speaker is heard beside a loud one.
    pub(super) fn fill(&self, window: &Range<usize>, out: &mut Vec<f32>) {
        let of_stretch = |stretch: &Stretch| {
            let recorded = |heard: usize| stretch.recorded.start + heard - stretch.start;
            let (from, to) = (window.start.max(stretch.start), window.end.min(stretch.end()));
            (from < to).then(|| recorded(from)..recorded(to))
        };
        let from = window.start.max(self.n_frames());
        let behind = (from < window.end).then(|| self.recorded(from)..self.recorded(from) + window.end - from);
        let frames = self.stretches.iter().filter_map(of_stretch).chain(behind);
        let max = match self.is_whole {
            true => self.mel.max(),
            false => (frames.clone())
                .map(|frames| self.mel.max_of(frames))
                .fold(f32::MIN, f32::max),
        };
        out.clear();
        frames.for_each(|frames| self.mel.append(frames, max, out));
    }

    /// See [`LogMel::loudness`].
    pub(super) fn loudness(&self, frame: usize) -> f32 {
        self.mel.loudness(self.recorded(frame))
    }

    /// The last pause in `frames`: where a stretch ends.
    pub(super) fn last_pause(&self, frames: Range<usize>) -> Option<usize> {
        let ends = self.stretches.iter().rev().map(Stretch::end);
        ends.into_iter().find(|end| frames.contains(end))
    }

    /// The frame of the recording that is heard as `frame`.
    pub(super) fn recorded(&self, frame: usize) -> usize {
        let after = self.stretches.partition_point(|stretch| stretch.start <= frame);
        match after.checked_sub(1).and_then(|i| self.stretches.get(i)) {
            Some(stretch) => stretch.recorded.start + frame - stretch.start,
            None => frame,
        }
    }

    /// `segment`, found in what is heard, with the times of the recording.
    ///
    /// A word often begins where the one before it ends, and so before the pause that is left out between the two: each lies in
    /// the stretch that has its middle, and a segment begins and ends with its words. One without words begins with the later
    /// and ends with the earlier of two stretches that meet near by. None begins before `earliest`, the start of the last one.
    pub(super) fn in_the_recording(&self, mut segment: Segment, earliest: &mut f64) -> Segment {
        if self.is_whole {
            return segment; // whose times may go back, as mlx_whisper's do
        }
        segment.seek = self.recorded(segment.seek);
        let (start, end) = (segment.start, segment.end);
        let middle = f64::midpoint(start, end);
        segment.start = self.moved(start, middle.min(start + NEAR));
        segment.end = self.moved(end, middle.max(end - NEAR));
        for word in segment.words.iter_mut().flatten() {
            let middle = f64::midpoint(word.start, word.end);
            word.start = self.moved(word.start, middle);
            word.end = self.moved(word.end, middle);
        }
        if let Some([first, .., last] | [first @ last]) = segment.words.as_deref() {
            (segment.start, segment.end) = (first.start, last.end);
        }
        segment.start = segment.start.max(*earliest);
        segment.end = segment.end.max(segment.start);
        for word in segment.words.iter_mut().flatten() {
            word.start = word.start.max(segment.start);
            word.end = word.end.max(word.start);
        }
        *earliest = segment.start;
        segment
    }

    /// The same of a warning.
    pub(super) fn warning_in_the_recording(&self, warning: &mut Warning) {
        if let Warning::EndlessWindow { seek } = warning {
            *seek = self.recorded(*seek);
        }
    }

    /// `time` moved with the stretch that has `inside`, and not out of it.
    fn moved(&self, time: f64, inside: f64) -> f64 {
        let begun = |stretch: &Stretch| seconds(stretch.start) <= inside + ROUNDING;
        let i = self.stretches.partition_point(begun).saturating_sub(1);
        let Some(stretch) = self.stretches.get(i) else {
            return time;
        };
        let moved = time + seconds(stretch.recorded.start - stretch.start);
        let hundredths = (moved * 100.0).round() / 100.0; // as times are, but for the end of a recording
        let moved = if (moved - hundredths).abs() < ROUNDING {
            hundredths
        } else {
            moved
        };
        let end = match i + 1 == self.stretches.len() {
            true => self.mel.duration(),
            false => seconds(stretch.recorded.end),
        };
        moved.max(seconds(stretch.recorded.start)).min(end)
    }
}

/// Seconds: half of what is kept around speech.
const NEAR: f64 = 0.2;

/// Seconds that sums may be off.
const ROUNDING: f64 = 1e-6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mel::HOP;
    use crate::transcript::Word;
    use crate::voice::VOICE_HOP;

    /// 20 s, frame by frame louder; a voice from second 4 to 8 and from 12 to 16.
    fn recording() -> LogMel {
        let samples: Vec<f32> = (0..2000 * HOP)
            .map(|i| (i as f32 * 0.7).sin() * i as f32 * 1e-6)
            .collect();
        let speaks = |score: usize| matches!(score * VOICE_HOP / 16_000, 4..8 | 12..16);
        let scores = (0..samples.len() / VOICE_HOP).map(|i| f32::from(speaks(i)));
        LogMel::from_samples(&samples, 80).with_voice(scores.collect())
    }

    fn without_pauses(mel: &LogMel) -> Heard<'_> {
        let (heard, _) = Heard::spoken(mel, mel.voice().unwrap(), std::slice::from_ref(&(0..2000)));
        heard
    }

    fn segment(start: f64, end: f64) -> Segment {
        Segment {
            id: 0,
            seek: 0,
            start,
            end,
            text: String::new(),
            tokens: Vec::new(),
            temperature: 0.0,
            avg_logprob: 0.0,
            compression_ratio: 0.0,
            no_speech_prob: 0.0,
            words: None,
        }
    }

    #[test]
    fn the_whole_is_the_recording() {
        let mel = recording();
        let heard = Heard::whole(&mel);
        assert_eq!((heard.n_frames(), heard.recorded(1234)), (2000, 1234));
        assert_eq!(heard.duration().to_bits(), mel.duration().to_bits());
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        mel.fill(1500, 700, &mut expected); // with what follows the recording
        heard.fill(&(1500..2200), &mut found);
        assert_eq!(found, expected);
        let segment = segment(0.1 + 0.2, 19.99);
        assert_eq!(heard.in_the_recording(segment.clone(), &mut 50.0), segment);
    }

    #[test]
    fn stretches_follow_one_another() {
        let mel = recording();
        let heard = without_pauses(&mel); // 3.6 to 8.4 s and 11.6 to 16.4 s, as scores of 16 ms have it
        assert_eq!(heard.n_frames(), 960);
        let first = heard.recorded(0);
        assert_eq!(
            [0, 479, 480, 959].map(|frame| heard.recorded(frame) - first),
            [0, 479, 800, 1279]
        );
        assert_eq!(heard.last_pause(100..900), Some(480));
        assert_eq!(heard.last_pause(481..900), None);
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        let max = mel.max_of(first + 800..first + 805); // it becomes louder
        mel.append(first + 470..first + 480, max, &mut expected);
        mel.append(first + 800..first + 805, max, &mut expected);
        heard.fill(&(470..485), &mut found);
        assert_eq!(found, expected);
    }

    #[test]
    fn times_are_those_of_the_recording() {
        let mel = recording();
        let heard = without_pauses(&mel);
        let first = seconds(heard.recorded(0));
        let placed = |start, end| {
            let segment = heard.in_the_recording(segment(start, end), &mut 0.0);
            [segment.start - first, segment.end - first].map(|time| (time * 1000.0).round())
        };
        assert_eq!(placed(0.0, 4.8), [0.0, 4800.0]); // ends where the first stretch does
        assert_eq!(placed(4.8, 9.6), [8000.0, 12800.0]); // begins where the second does
        assert_eq!(placed(4.0, 6.0), [4000.0, 9200.0]);
        assert_eq!(placed(4.8, 4.8), [8000.0, 8000.0]); // nothing ends before it begins
        assert_eq!(placed(1.0, 4.9), [1000.0, 4800.0]); // the pause is in neither of two that meet a little beside it
        assert_eq!(placed(4.7, 9.0), [8000.0, 12200.0]);
    }

    #[test]
    fn a_word_lies_in_one_stretch() {
        let mel = recording();
        let heard = without_pauses(&mel);
        let first = seconds(heard.recorded(0));
        let word = |start, end| Word {
            word: String::new(),
            start,
            end,
            probability: 1.0,
        };
        // Two words, the first of which ends where the second begins: in the margin after, or before the pause.
        for border in [4.5, 5.1] {
            let words = vec![word(4.0, border), word(border, 5.6)];
            let heard = heard.in_the_recording(
                Segment {
                    words: Some(words),
                    ..segment(4.0, 5.6)
                },
                &mut 0.0,
            );
            let times = heard.words.unwrap().into_iter().map(|word| [word.start, word.end]);
            let times: Vec<_> = times.map(|word| word.map(|time| time - first)).collect();
            let end = border.min(4.8);
            let start = border.max(4.8) + 3.2;
            for (found, expected) in times.iter().flatten().zip([4.0, end, start, 8.8]) {
                assert!((found - expected).abs() < 1e-9, "{times:?}");
            }
            assert_eq!(
                [heard.start, heard.end].map(|time| time - first),
                [times[0][0], times[1][1]]
            );
        }
    }

    #[test]
    fn nothing_ends_after_the_recording() {
        let mel = LogMel::from_samples(&[0.1; 18_080], 80); // 1.12 + 0.01 is more than 1.13
        let scores = (0..71).map(|score| f32::from(score >= 26));
        let mel = mel.with_voice(scores.collect());
        let (heard, _) = Heard::spoken(&mel, mel.voice().unwrap(), std::slice::from_ref(&(0..113)));
        assert_eq!((heard.recorded(0), heard.n_frames()), (1, 112));
        let end = heard.in_the_recording(segment(0.0, 1.12), &mut 0.0).end;
        assert_eq!(end.to_bits(), mel.duration().to_bits());
    }

    #[test]
    fn only_the_clips_count() {
        let mel = recording();
        let clips = [700..700, 750..800, 850..1500, 1990..1995, 1995..2000];
        let (heard, heard_clips) = Heard::spoken(&mel, mel.voice().unwrap(), &clips);
        assert_eq!(heard_clips, [0..0, 0..50, 50..390, 390..390, 390..390]);
        assert_eq!([0, 50, 389].map(|frame| heard.recorded(frame)), [750, 1160, 1499]);
    }
}
