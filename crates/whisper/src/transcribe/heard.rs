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
use super::pauses::spoken;
use crate::mel::LogMel;
use crate::transcript::Segment;

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
        let heard_clips = clips.iter().map(|clip| {
            let start = heard.n_frames();
            for recorded in spoken(scores, clip.clone()) {
                let start = heard.n_frames();
                heard.stretches.push(Stretch { start, recorded });
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

    /// `segment`, found in what is heard, with the times of the recording. Where two stretches meet something begins with
    /// the later and ends with the earlier one.
    pub(super) fn in_the_recording(&self, mut segment: Segment) -> Segment {
        if self.is_whole {
            return segment; // whose times may go back, as mlx_whisper's do
        }
        segment.seek = self.recorded(segment.seek);
        segment.start = self.shifted(segment.start, |start, time| start <= time + NEAR);
        segment.end = self.shifted(segment.end, |start, time| start < time - NEAR);
        segment.end = segment.end.max(segment.start);
        for word in segment.words.iter_mut().flatten() {
            word.start = self.shifted(word.start, |start, time| start <= time + NEAR);
            word.start = word.start.min(segment.end);
            word.end = self.shifted(word.end, |start, time| start < time - NEAR);
            word.end = word.end.clamp(word.start, segment.end);
        }
        segment
    }

    /// `time` moved as the last stretch is that `has_begun(start, time)`, or as the first.
    fn shifted(&self, time: f64, has_begun: impl Fn(f64, f64) -> bool) -> f64 {
        let after = self
            .stretches
            .partition_point(|stretch| has_begun(seconds(stretch.start), time));
        match self.stretches.get(after.saturating_sub(1)) {
            Some(stretch) => time + seconds(stretch.recorded.start - stretch.start),
            None => time,
        }
    }
}

/// Seconds that rounding may leave between a time and the border it stands for.
const NEAR: f64 = 1e-6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mel::HOP;
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
        assert_eq!(heard.in_the_recording(segment.clone()), segment);
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
            let segment = heard.in_the_recording(segment(start, end));
            [segment.start - first, segment.end - first].map(|time| (time * 1000.0).round())
        };
        assert_eq!(placed(0.0, 4.8), [0.0, 4800.0]); // ends where the first stretch does
        assert_eq!(placed(4.8, 9.6), [8000.0, 12800.0]); // begins where the second does
        assert_eq!(placed(4.0, 6.0), [4000.0, 9200.0]);
        assert_eq!(placed(4.8, 4.8), [8000.0, 8000.0]); // nothing ends before it begins
    }
}
