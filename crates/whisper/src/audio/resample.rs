//! Any sample rate to 16 kHz, in pieces, without a shift in time.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _};

use super::SAMPLE_RATE;

/// Samples of one FFT block on the side of the lower rate: a filter this long passes 98 % of its band.
const BLOCK: u64 = 1024;

/// `n` samples at `rate` become exactly `round(n * 16000 / rate)`, and sample `i` stays at its time. A recording that
/// is at 16 kHz already passes through unchanged, bit for bit.
pub(super) struct Resampler {
    rate: u64,
    /// `None` at 16 kHz.
    filter: Option<Filter>,
    /// Samples taken and given so far.
    taken: u64,
    given: u64,
}

struct Filter {
    fft: Fft<f32>,
    input: Vec<f32>,
    output: Vec<f32>,
    /// Leading output samples still to drop: the delay of the filter.
    delay: usize,
}

impl Resampler {
    /// From `rate`, 1 kHz to 768 kHz.
    pub(super) fn new(rate: u32) -> Resampler {
        let filter = (rate != SAMPLE_RATE).then(|| Filter::new(u64::from(rate)));
        Resampler {
            rate: u64::from(rate),
            filter,
            taken: 0,
            given: 0,
        }
    }

    /// Takes samples, appends to `out` what is ready.
    pub(super) fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        self.taken += samples.len() as u64;
        let Some(filter) = &mut self.filter else {
            out.extend_from_slice(samples);
            return;
        };
        let before = out.len();
        filter.push(samples, out);
        self.given += (out.len() - before) as u64;
    }

    /// Appends what the filter still holds.
    pub(super) fn finish(&mut self, out: &mut Vec<f32>) {
        let Some(filter) = &mut self.filter else { return };
        let length = (self.taken * u64::from(SAMPLE_RATE) + self.rate / 2) / self.rate;
        while self.given < length {
            let before = out.len();
            filter.flush(out);
            let more = usize::try_from(length - self.given).unwrap_or(usize::MAX);
            out.truncate(before.saturating_add(more));
            self.given += (out.len() - before) as u64;
        }
    }
}

impl Filter {
    fn new(rate: u64) -> Filter {
        // Even blocks on both sides: only then is the centre of the filter a whole sample, and the delay exact.
        let smallest = 2 * rate / gcd(rate, u64::from(SAMPLE_RATE));
        let block = (BLOCK * rate / u64::from(SAMPLE_RATE))
            .max(BLOCK)
            .next_multiple_of(smallest);
        let block = usize::try_from(block).expect("at most twice a sample rate");
        let rate = usize::try_from(rate).expect("a sample rate fits");
        let fft = Fft::new_custom(rate, SAMPLE_RATE as usize, block, 1, 1, WINDOW, FixedSync::Both)
            .expect("rates and block are not zero");
        Filter {
            input: Vec::with_capacity(fft.input_frames_max()),
            output: vec![0.0; fft.output_frames_max()],
            delay: fft.output_delay(),
            fft,
        }
    }

    fn push(&mut self, mut samples: &[f32], out: &mut Vec<f32>) {
        while !samples.is_empty() {
            let wanted = self.fft.input_frames_next() - self.input.len();
            let (now, later) = samples.split_at(wanted.min(samples.len()));
            self.input.extend_from_slice(now);
            samples = later;
            if now.len() == wanted {
                self.process(out);
            }
        }
    }

    /// Completes the block with silence.
    fn flush(&mut self, out: &mut Vec<f32>) {
        self.input.resize(self.fft.input_frames_next(), 0.0);
        self.process(out);
    }

    fn process(&mut self, out: &mut Vec<f32>) {
        let capacity = self.output.len();
        let input = InterleavedSlice::new(&self.input, 1, self.input.len()).expect("one channel");
        let mut output = InterleavedSlice::new_mut(&mut self.output, 1, capacity).expect("one channel");
        let (_, given) = self
            .fft
            .process_into_buffer(&input, &mut output, None)
            .expect("buffers have the sizes asked for");
        self.input.clear();
        let late = self.delay.min(given);
        self.delay -= late;
        out.extend_from_slice(&self.output[late..given]);
    }
}

/// Side lobes below -90 dB.
const WINDOW: rubato::WindowFunction = rubato::WindowFunction::BlackmanHarris2;

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "test data")]
mod tests {
    use super::*;

    fn resample(rate: u32, samples: &[f32], piece: usize) -> Vec<f32> {
        let (mut resampler, mut out) = (Resampler::new(rate), Vec::new());
        for piece in samples.chunks(piece) {
            resampler.push(piece, &mut out);
        }
        resampler.finish(&mut out);
        out
    }

    /// A 440 Hz tone with soft ends, evaluated at any time in seconds.
    fn tone(t: f64, length: f64) -> f64 {
        (2.0 * std::f64::consts::PI * 440.0 * t).sin() * (std::f64::consts::PI * t / length).sin().powi(2)
    }

    #[test]
    fn time_and_length_hold_at_every_rate() {
        for rate in [
            1000, 4000, 7919, 8000, 11_025, 22_050, 44_100, 47_999, 48_000, 96_000, 192_000, 768_000,
        ] {
            let n = rate as usize / 2 + 17;
            let length = n as f64 / f64::from(rate);
            let samples: Vec<f32> = (0..n)
                .map(|i| tone(i as f64 / f64::from(rate), length) as f32)
                .collect();
            let found = resample(rate, &samples, 1000);
            assert_eq!(
                found.len(),
                (n as f64 * 16000.0 / f64::from(rate)).round() as usize,
                "rate {rate}"
            );
            for (i, &x) in found.iter().enumerate() {
                let expected = tone(i as f64 / 16000.0, length);
                assert!(
                    (f64::from(x) - expected).abs() < 2e-3,
                    "rate {rate}, sample {i}: {x} for {expected}"
                );
            }
        }
    }

    #[test]
    fn pieces_leave_no_trace() {
        let samples: Vec<f32> = (0..30_000).map(|i| ((i * i) as f32 * 1e-5).sin()).collect();
        let whole = resample(44_100, &samples, samples.len());
        for piece in [1, 13, 882, 4096] {
            assert_eq!(resample(44_100, &samples, piece), whole);
        }
    }

    #[test]
    fn nothing_stays_nothing_and_16_khz_stays_as_it_is() {
        assert!(resample(44_100, &[], 1).is_empty());
        assert_eq!(resample(16_000, &[0.1, -0.2, 0.3], 2), [0.1, -0.2, 0.3]);
    }
}
