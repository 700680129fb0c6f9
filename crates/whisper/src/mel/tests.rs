#![expect(clippy::cast_possible_truncation, reason = "test data")]

use std::io::Write as _;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

/// mlx_whisper's `log_mel_spectrogram(samples, n_mels, padding=480000)`, step by step, in f64: all frames at once.
fn naive(samples: &[f32], n_mels: usize) -> Vec<f32> {
    let mut padded: Vec<f64> = samples.iter().map(|&x| f64::from(x)).collect();
    padded.resize(samples.len() + 480_000, 0.0);
    let start: Vec<f64> = padded[1..=200].iter().rev().copied().collect();
    let end: Vec<f64> = padded[padded.len() - 201..padded.len() - 1]
        .iter()
        .rev()
        .copied()
        .collect();
    let signal = [start, padded, end].concat();

    let window = hann();
    let filters = FilterBank::new(n_mels);
    let n_frames = (signal.len() - 400) / 160; // the last one is dropped
    let mut levels = Vec::new();
    for t in 0..n_frames {
        let frame = &signal[t * 160..t * 160 + 400];
        let silent = frame.iter().all(|&x| x == 0.0);
        let mut power = [0.0_f32; N_BINS];
        for (k, power) in power.iter_mut().enumerate().filter(|_| !silent) {
            let (mut re, mut im) = (0.0, 0.0);
            for (n, x) in frame.iter().enumerate() {
                let (sin, cos) = (-2.0 * std::f64::consts::PI * (k * n % 400) as f64 / 400.0).sin_cos();
                re += x * f64::from(window[n]) * cos;
                im += x * f64::from(window[n]) * sin;
            }
            *power = (re * re + im * im) as f32;
        }
        let mut bands = vec![0.0; n_mels];
        filters.apply(&power, &mut bands);
        levels.extend(bands.iter().map(|&x| x.max(1e-10).log10()));
    }
    let max = levels.iter().copied().fold(f32::MIN, f32::max);
    levels.iter().map(|&x| (x.max(max - 8.0) + 4.0) / 4.0).collect()
}

/// Noise with some shape: every band has something in it.
fn noise(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    (0..n)
        .map(|i| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state as f32 / u32::MAX as f32 - 0.5) * (0.2 + 0.8 * (i as f32 * 0.003).sin().abs())
        })
        .collect()
}

fn window(mel: &LogMel, from: usize, frames: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; 7];
    mel.fill(from, frames, &mut out);
    out
}

fn greatest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn equals_the_naive_form_at_every_border() {
    // Around the hop (160), the reflection (200), a window (400), and ends at every place within a hop.
    let sizes = [
        0, 1, 2, 159, 160, 161, 199, 200, 201, 202, 319, 320, 359, 360, 361, 399, 400, 401, 640, 1999, 2000,
    ];
    for n in sizes {
        let samples = noise(n, 7);
        let mel = LogMel::from_samples(&samples, 80);
        assert_eq!(mel.content_frames(), n / 160);
        let expected = naive(&samples, 80);
        let found = window(&mel, 0, expected.len() / 80);
        let difference = greatest_difference(&found, &expected);
        assert!(difference < 2e-5, "{n} samples: {difference}");
    }
}

#[test]
fn silence_is_one_constant() {
    // max = -10, so nothing is clamped: (-10 + 4) / 4.
    for samples in [vec![], vec![0.0; 1000]] {
        let mel = LogMel::from_samples(&samples, 80);
        assert!(window(&mel, 0, 3000).iter().all(|&x| x == -1.5));
    }
}

#[test]
fn frames_past_the_end_are_padding_for_ever() {
    let mel = LogMel::from_samples(&noise(5000, 3), 128);
    let far = window(&mel, usize::MAX - 2, 10);
    assert_eq!(far.len(), 2 * 128);
    assert!(far.iter().all(|&x| x == far[0]));
    assert_eq!(mel.duration(), 5000.0 / 16000.0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_leave_no_trace(n in 0_usize..6000, cuts in prop::collection::vec(1_usize..900, 1..12), seed: u32) {
        let samples = noise(n, seed);
        let whole = LogMel::from_samples(&samples, 80);
        let mut builder = LogMelBuilder::new(80);
        let (mut rest, mut cut) = (&samples[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, left) = rest.split_at((*cut.next().unwrap()).min(rest.len()));
            builder.push(piece);
            builder.push(&[]);
            rest = left;
        }
        let pieces = builder.finish();
        prop_assert_eq!(window(&pieces, 0, 60), window(&whole, 0, 60));
        prop_assert_eq!(pieces.content_frames(), whole.content_frames());
    }
}

/// A float32 array in NumPy's format, version 1.
fn read_npy(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert!(String::from_utf8_lossy(&bytes[..10 + header]).contains("'descr': '<f4', 'fortran_order': False"));
    bytes[10 + header..]
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect()
}

fn crate_file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn jfk(n_mels: usize) -> LogMel {
    let path = crate_file("../../samples/jfk.flac");
    LogMel::from_samples(
        &crate::audio::AudioFile::open(&path, &Default::default())
            .unwrap()
            .read_all()
            .unwrap(),
        n_mels,
    )
}

#[test]
fn jfk_equals_mlx_whisper() {
    let expected = read_npy(&crate_file("tests/golden/jfk.mel80.npy"));
    let difference = greatest_difference(&window(&jfk(80), 0, expected.len() / 80), &expected);
    assert!(difference < 1e-4, "{difference}");
}

#[test]
fn jfk_equals_mlx_whisper_in_128_bands() {
    let path = crate_file("../../../shared/golden/speech/jfk.mel128.npy");
    if !path.exists() {
        writeln!(
            std::io::stderr(),
            "skipped: jfk_equals_mlx_whisper_in_128_bands: ../shared is absent"
        )
        .unwrap();
        return;
    }
    let expected = read_npy(&path);
    let difference = greatest_difference(&window(&jfk(128), 0, expected.len() / 128), &expected);
    assert!(difference < 1e-4, "{difference}");
}
