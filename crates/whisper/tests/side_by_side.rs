//! A real model, windows side by side: the number that are decoded together changes nothing.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::NonZeroUsize;

use kernels::{Compute, Cpu, Isa};
use whisper::audio::{AudioFile, AudioOptions};
use whisper::cpu::CpuModel;
use whisper::mel::LogMelBuilder;
use whisper::weights::Checkpoint;
use whisper::{Options, transcribe};

mod support;
use support::{bundled, root};

#[test]
fn the_number_of_windows_changes_no_bit() {
    let samples = AudioFile::open(&root().join("samples/jfk.flac"), &AudioOptions::default());
    let samples = samples.unwrap().read_all().unwrap();
    // 77 s, so three parts; the second has other sound in it than the first.
    let mut recording = vec![0.0; 16_000];
    for _ in 0..6 {
        recording.extend_from_slice(&samples);
        recording.resize(recording.len() + 24_000, 0.0);
    }
    let mut mel = LogMelBuilder::new(80).detecting_voice();
    mel.push(&recording);
    let mel = mel.finish();
    for compute in [Compute::F32, Compute::Int8] {
        let cpu = Cpu::with(Isa::detect(), 2).computing(compute);
        let model = CpuModel::load(Checkpoint::open(&bundled()).unwrap(), cpu).unwrap();
        let heard = |n: usize| {
            let options = Options {
                language: Some("en".parse().unwrap()),
                temperatures: vec![0.0],
                batch: NonZeroUsize::new(n),
                ..Options::default()
            };
            transcribe(&model, &mel, &options).unwrap().finish().unwrap()
        };
        let together = heard(3);
        assert!(
            together.text.matches("country can do for you").count() >= 5,
            "{}",
            together.text
        );
        assert_eq!(together, heard(1));
    }
}
