//! Log-mel spectrogram as mlx_whisper computes it, in one pass over a recording of any length.
//!
//! mlx_whisper pads the whole recording with 30 s of zeros, takes 400-sample windows every 160 samples (centred, the
//! start reflected), and scales every value by the maximum of the *whole* file:
//!
//! ```text
//! power = |rfft(hann * frame)|^2             201 bins
//! level = log10(max(filters * power, 1e-10))
//! value = (max(level, max over the file - 8) + 4) / 4
//! ```
//!
//! The maximum is known only at the end, so [`LogMelBuilder`] keeps levels and [`LogMel::fill`] scales what is asked for.
//! Frames past the recording hold nothing but padding: they are one constant and are not stored. A recording of 3 h
//! takes 345 MB at 80 bands.

mod filterbank;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use crate::audio::SAMPLE_RATE;
use crate::voice::VoiceDetector;
use filterbank::FilterBank;

/// Samples between frames: 10 ms.
pub const HOP: usize = 160;

/// Samples a frame looks at: 25 ms.
const N_FFT: usize = 400;
const N_BINS: usize = N_FFT / 2 + 1;

/// The level of digital silence, and the least there is: log10(1e-10).
const FLOOR: f32 = -10.0;

/// Frames in one allocation: memory grows in steps of 30 s and what is stored never moves.
const BLOCK_FRAMES: usize = 3000;

/// The log-mel spectrogram of a whole recording, 100 frames a second.
pub struct LogMel {
    n_mels: usize,
    n_samples: usize,
    /// Unscaled levels, `[frames, n_mels]` a block: every frame that sees a sample.
    blocks: Vec<Vec<f32>>,
    max: f32,
    voice: Option<Vec<f32>>,
}

impl LogMel {
    /// The spectrogram of 16 kHz mono `samples` with `n_mels` bands (80, or 128 for large-v3 and turbo).
    pub fn from_samples(samples: &[f32], n_mels: usize) -> LogMel {
        let mut builder = LogMelBuilder::new(n_mels);
        builder.push(samples);
        builder.finish()
    }

    /// Bands a frame.
    pub fn n_mels(&self) -> usize {
        self.n_mels
    }

    /// Whole frames of sound, `n_samples / 160`: what there is to transcribe. The last fraction of 10 ms is lost, as in
    /// mlx_whisper.
    pub fn content_frames(&self) -> usize {
        self.n_samples / HOP
    }

    /// Length of the recording in seconds.
    pub fn duration(&self) -> f64 {
        self.n_samples as f64 / f64::from(SAMPLE_RATE)
    }

    /// Replaces `out` by the frames `from_frame..from_frame + n_frames`, scaled, `[n_frames, n_mels]`.
    ///
    /// Frames past [`content_frames`](LogMel::content_frames) are those of the zeros that mlx_whisper appends; there is
    /// no last one.
    pub fn fill(&self, from_frame: usize, n_frames: usize, out: &mut Vec<f32>) {
        out.clear();
        self.append(from_frame..from_frame.saturating_add(n_frames), self.max, out);
    }

    /// The same behind what `out` has, scaled by `max` instead of the greatest level of the recording.
    pub(crate) fn append(&self, frames: Range<usize>, max: f32, out: &mut Vec<f32>) {
        let least = max - 8.0;
        let scale = |level: f32| (level.max(least) + 4.0) / 4.0;
        out.reserve(frames.len() * self.n_mels);
        for frame in frames {
            match self.levels(frame) {
                Some(levels) => out.extend(levels.iter().copied().map(scale)),
                None => out.extend(std::iter::repeat_n(scale(FLOOR), self.n_mels)),
            }
        }
    }

    /// The greatest level of all.
    pub(crate) fn max(&self) -> f32 {
        self.max
    }

    /// The greatest level of some frames.
    pub(crate) fn max_of(&self, frames: Range<usize>) -> f32 {
        let levels = frames.filter_map(|frame| self.levels(frame)).flatten();
        levels.copied().fold(FLOOR, f32::max)
    }

    /// How loud a frame is: the mean of its levels, powers of ten, none lower than what [`fill`](LogMel::fill) shows.
    pub(crate) fn loudness(&self, frame: usize) -> f32 {
        let least = self.max - 8.0;
        match self.levels(frame) {
            Some(levels) => levels.iter().map(|level| level.max(least)).sum::<f32>() / self.n_mels as f32,
            None => FLOOR.max(least),
        }
    }

    /// The scores of [`LogMelBuilder::detecting_voice`], where it was asked for.
    pub(crate) fn voice(&self) -> Option<&[f32]> {
        self.voice.as_deref()
    }

    /// The same, with these scores of its voice.
    #[cfg(test)]
    pub(crate) fn with_voice(self, scores: Vec<f32>) -> LogMel {
        LogMel {
            voice: Some(scores),
            ..self
        }
    }

    /// The unscaled levels of a frame, `None` where it sees padding only.
    fn levels(&self, frame: usize) -> Option<&[f32]> {
        let start = frame % BLOCK_FRAMES * self.n_mels;
        self.blocks.get(frame / BLOCK_FRAMES)?.get(start..start + self.n_mels)
    }
}

/// Takes a recording in pieces of any size, whose borders leave no trace in the result.
pub struct LogMelBuilder {
    mel: LogMel,
    /// The samples that frames to come still look at; starts with the 200 before the recording.
    pending: Vec<f32>,
    transform: Transform,
    voice: Option<VoiceDetector>,
}

impl LogMelBuilder {
    /// A builder for `n_mels` bands.
    pub fn new(n_mels: usize) -> LogMelBuilder {
        LogMelBuilder {
            mel: LogMel {
                n_mels,
                n_samples: 0,
                blocks: Vec::new(),
                max: FLOOR,
                voice: None,
            },
            pending: Vec::new(),
            transform: Transform::new(n_mels),
            voice: None,
        }
    }

    /// Listens for voices as well, so that pauses can be left out: see [`Options::batch`](crate::Options::batch). Takes 0.3 s
    /// for a quarter of an hour.
    pub fn detecting_voice(self) -> LogMelBuilder {
        LogMelBuilder {
            voice: Some(VoiceDetector::new()),
            ..self
        }
    }

    /// Appends 16 kHz mono samples.
    pub fn push(&mut self, samples: &[f32]) {
        // In steps, so that a whole file given at once is not copied at once.
        for step in samples.chunks(100 * HOP) {
            self.mel.n_samples += step.len();
            self.append(step);
            if let Some(voice) = &mut self.voice {
                voice.push(step);
            }
        }
    }

    /// The spectrogram of all that was pushed.
    pub fn finish(mut self) -> LogMel {
        // Frame t looks at samples 160 t - 200 .. 160 t + 200, so this many see the recording.
        let frames = if self.mel.n_samples == 0 {
            0
        } else {
            (self.mel.n_samples + N_FFT / 2).div_ceil(HOP)
        };
        while self.frames() < frames {
            self.append(&[0.0; HOP]);
        }
        self.mel.voice = self.voice.map(VoiceDetector::finish);
        self.mel
    }

    fn frames(&self) -> usize {
        let full = self.mel.blocks.len().saturating_sub(1) * BLOCK_FRAMES;
        full + self.mel.blocks.last().map_or(0, |block| block.len() / self.mel.n_mels)
    }

    fn append(&mut self, samples: &[f32]) {
        self.pending.extend_from_slice(samples);
        if self.frames() == 0 {
            // The start is reflected about sample 0: 200 values that are known once 201 samples are.
            if self.pending.len() <= N_FFT / 2 {
                return;
            }
            let reflection: Vec<f32> = self.pending[1..=N_FFT / 2].iter().rev().copied().collect();
            self.pending.splice(0..0, reflection);
        }
        let mut used = 0;
        while let Some(frame) = self.pending[used..].first_chunk() {
            if self
                .mel
                .blocks
                .last()
                .is_none_or(|block| block.len() == BLOCK_FRAMES * self.mel.n_mels)
            {
                self.mel.blocks.push(Vec::with_capacity(BLOCK_FRAMES * self.mel.n_mels));
            }
            if let Some(block) = self.mel.blocks.last_mut() {
                self.mel.max = self.mel.max.max(self.transform.levels(frame, block));
            }
            used += HOP;
        }
        self.pending.drain(..used);
    }
}

/// One frame of samples to one frame of levels.
struct Transform {
    window: Vec<f32>,
    fft: Arc<dyn RealToComplex<f32>>,
    input: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
    power: [f32; N_BINS],
    filters: FilterBank,
    n_mels: usize,
}

impl Transform {
    fn new(n_mels: usize) -> Transform {
        let fft = RealFftPlanner::new().plan_fft_forward(N_FFT);
        Transform {
            window: hann(),
            input: fft.make_input_vec(),
            spectrum: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            fft,
            power: [0.0; N_BINS],
            filters: FilterBank::new(n_mels),
            n_mels,
        }
    }

    /// Appends the levels of a frame to `out`; returns the greatest.
    fn levels(&mut self, frame: &[f32; N_FFT], out: &mut Vec<f32>) -> f32 {
        for ((windowed, sample), weight) in self.input.iter_mut().zip(frame).zip(&self.window) {
            *windowed = sample * weight;
        }
        self.fft
            .process_with_scratch(&mut self.input, &mut self.spectrum, &mut self.scratch)
            .expect("the planner made these buffers");
        for (power, bin) in self.power.iter_mut().zip(&self.spectrum) {
            *power = bin.norm_sqr();
        }
        let start = out.len();
        out.resize(start + self.n_mels, 0.0);
        let bands = &mut out[start..];
        self.filters.apply(&self.power, bands);
        let mut max = FLOOR;
        for band in bands {
            *band = band.max(1e-10).log10();
            max = max.max(*band);
        }
        max
    }
}

/// The periodic Hann window, `np.hanning(401)[:-1]`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "computed in f64, then rounded, as in NumPy"
)]
fn hann() -> Vec<f32> {
    let weight = |n: usize| 0.5 - 0.5 * (2.0 * std::f64::consts::PI * n as f64 / N_FFT as f64).cos();
    (0..N_FFT).map(|n| weight(n) as f32).collect()
}
