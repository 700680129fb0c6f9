//! Where somebody speaks: a score for each 16 ms of a recording.
//!
//! The crate `earshot` judges (a small recurrent network, pure Rust, 1 % of the time that the smallest Whisper takes).

/// Samples that a score is about: 16 ms.
pub(crate) const VOICE_HOP: usize = 256;

/// Listens to a recording in pieces of any size.
pub(crate) struct VoiceDetector {
    network: Box<earshot::Detector>,
    pending: Vec<f32>,
    scores: Vec<f32>,
}

impl VoiceDetector {
    pub(crate) fn new() -> Self {
        Self {
            network: Box::default(),
            pending: Vec::with_capacity(VOICE_HOP),
            scores: Vec::new(),
        }
    }

    /// Appends 16 kHz mono samples; what is louder than 1 is clipped, and what is no number is silence.
    pub(crate) fn push(&mut self, mut samples: &[f32]) {
        while !samples.is_empty() {
            let (now, later) = samples.split_at(samples.len().min(VOICE_HOP - self.pending.len()));
            let within = |&sample: &f32| if sample.is_nan() { 0.0 } else { sample.clamp(-1.0, 1.0) };
            self.pending.extend(now.iter().map(within));
            if self.pending.len() == VOICE_HOP {
                self.judge();
            }
            samples = later;
        }
    }

    /// The scores, 0 to 1; from 0.5 on somebody speaks. The last piece is filled up with silence.
    pub(crate) fn finish(mut self) -> Vec<f32> {
        if !self.pending.is_empty() {
            self.pending.resize(VOICE_HOP, 0.0);
            self.judge();
        }
        self.scores
    }

    fn judge(&mut self) {
        self.scores.push(self.network.predict_f32(&self.pending));
        self.pending.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(samples: &[f32], piece: usize) -> Vec<f32> {
        let mut detector = VoiceDetector::new();
        samples.chunks(piece).for_each(|samples| detector.push(samples));
        detector.finish()
    }

    #[test]
    fn pieces_leave_no_trace() {
        let samples: Vec<f32> = (0..5000).map(|i| (i as f32 * 0.3).sin() * 0.2).collect();
        let whole = scores(&samples, 5000);
        assert_eq!(whole.len(), 20); // the last piece of 256 has 136 samples
        for piece in [1, 255, 256, 257, 4999] {
            assert_eq!(scores(&samples, piece), whole);
        }
        assert!(scores(&[], 1).is_empty());
    }

    #[test]
    fn any_samples_are_heard() {
        let samples: Vec<f32> = [1.5, -2.0, f32::NAN, f32::INFINITY, f32::MIN].repeat(300);
        assert!(scores(&samples, 256).iter().all(|score| score.is_finite()));
    }

    #[test]
    fn nobody_speaks_in_silence_and_noise() {
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        let noise: Vec<f32> = (0..160_000).map(|_| 0.1 * noise()).collect();
        for samples in [vec![0.0; 160_000], noise] {
            let scores = scores(&samples, 1000);
            let voiced = scores.iter().filter(|&&score| score >= 0.5).count();
            assert!(voiced <= scores.len() / 50, "{voiced} of {}", scores.len());
        }
    }
}
