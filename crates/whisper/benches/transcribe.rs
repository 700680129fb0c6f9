//! A whole recording and its stages: `cargo bench -p whisper`.
//!
//! The bundled model, and base and tiny.en where `../shared` lies beside the project. Everything is warm and in memory: no load,
//! no decoding of audio.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use whisper::audio::{AudioFile, AudioOptions};
use whisper::cpu::{Compute, Cpu, CpuModel};
use whisper::mel::LogMel;
use whisper::model::{Feed, MelWindow, Model, Token};
use whisper::weights::Checkpoint;
use whisper::{Options, transcribe};

fn models(criterion: &mut Criterion) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let samples = AudioFile::open(&root.join("samples/jfk.flac"), &AudioOptions::default());
    let samples = samples.unwrap().read_all().unwrap();
    let folders: [(&str, PathBuf); 3] = [
        ("base-5bit", root.join("assets/whisper-base-mlx-5bit")),
        ("base-8bit", root.join("../shared/models/whisper-base-mlx-8bit")),
        ("tiny.en-f16", root.join("../shared/models/whisper-tiny.en-mlx")),
    ];
    for (name, folder) in folders.iter().filter(|(_, folder)| folder.exists()) {
        for compute in [Compute::F32, Compute::Int8] {
            model(criterion, name, folder, &samples, compute);
        }
    }
}

fn model(criterion: &mut Criterion, name: &str, folder: &Path, samples: &[f32], compute: Compute) {
    let cpu = Cpu::new(None).unwrap().computing(compute);
    let model = CpuModel::load(Checkpoint::open(folder).unwrap(), cpu).unwrap();
    let (isa, threads) = (model.cpu().isa().name(), model.cpu().threads());
    let n_mels = model.dims().n_mels;
    let mut group = criterion.benchmark_group(format!("{name}/{compute}/{isa}/{threads}-threads"));
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));

    group.bench_function("log-mel", |b| b.iter(|| LogMel::from_samples(samples, n_mels)));

    let mel = LogMel::from_samples(samples, n_mels);
    let mut values = Vec::new();
    mel.fill(0, mel.content_frames(), &mut values);
    let window = MelWindow {
        values: &values,
        n_mels,
    };
    group.bench_function("encode", |b| b.iter(|| model.encode(&[window]).unwrap()));

    let audio = model.encode(&[window]).unwrap().remove(0);
    let mut hypothesis = model.begin(&audio).unwrap();
    let mut logits = Vec::new();
    let mut step = |hypothesis: &mut _, n: usize| {
        let tokens = vec![Token(50257); n];
        let mut batch = [Feed {
            hypothesis,
            tokens: &tokens,
            rows: &[n - 1],
        }];
        model.step(&mut batch, &mut logits).unwrap();
    };
    step(&mut hypothesis, 32);
    group.bench_function("token", |b| {
        b.iter(|| {
            model.truncate(&mut hypothesis, 32);
            step(&mut hypothesis, 1);
        });
    });

    let options = Options {
        language: Some("en".parse().unwrap()),
        temperatures: vec![0.0],
        ..Options::default()
    };
    group.bench_function("jfk", |b| {
        b.iter(|| {
            let mel = LogMel::from_samples(samples, n_mels);
            transcribe(&model, &mel, &options).unwrap().finish().unwrap()
        });
    });
    group.finish();
}

criterion_group!(benches, models);
criterion_main!(benches);
