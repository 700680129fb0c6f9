//! The network against numbers made by MLX in float32.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking; its data is known"
)]

use std::path::Path;

use kernels::{Compute, Cpu, Isa};
use whisper::cpu::CpuModel;
use whisper::model::{Feed, MelWindow, Model, Token};
use whisper::weights::Checkpoint;

mod support;
use support::conformance::{self, SameWithin};
use support::{distance, load, npy, shared};

/// On the CPU a sum does not depend on what is computed beside it.
const TO_THE_BIT: SameWithin = SameWithin(0.0);

/// The random two-layer Whispers that are part of the project: features, logits, attention, steps.
#[test]
fn random_models() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/random");
    for isa in Isa::available() {
        for form in ["f16", "5bit-g64", "8bit-g64"] {
            let model = load(&folder.join(form), isa);
            conformance::agrees_with_golden(&model, &folder, form, TO_THE_BIT);
        }
    }
}

/// The same for every form of checkpoint.
#[test]
fn random_models_of_every_form() {
    let Some(folder) = shared("random_models_of_every_form", "golden/random") else {
        return;
    };
    let mut forms = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            let form = entry.file_name().into_string().unwrap();
            conformance::agrees_with_golden(&load(&entry.path(), Isa::detect()), &folder, &form, TO_THE_BIT);
            forms += 1;
        }
    }
    assert_eq!(forms, 12);
}

/// Whole numbers: logits of random models near those of float32, and the same bits in steps as all at once, in a batch as
/// alone, on every instruction set with fused multiply-adds.
#[test]
fn whole_numbers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/random");
    let mel: Vec<f32> = npy(&folder.join("mel.npy")).1.iter().map(|&x| x as f32).collect();
    let tokens = [7, 8, 9, 10, 11].map(Token);
    for form in ["f16", "5bit-g64", "8bit-g64"] {
        let golden = npy(&folder.join(form).join("logits.npy")).1;
        let golden_tokens: Vec<Token> = npy(&folder.join("tokens.npy"))
            .1
            .iter()
            .map(|&x| Token(x as u32))
            .collect();
        let mut all = Vec::new();
        for isa in Isa::available() {
            let cpu = Cpu::with(isa, 1).computing(Compute::Int8);
            let model = CpuModel::load(Checkpoint::open(&folder.join(form)).unwrap(), cpu).unwrap();
            let window = MelWindow {
                values: &mel,
                n_mels: 80,
            };
            let audio = model.encode(&[window]).unwrap().remove(0);
            let logits = model.align(&audio, &golden_tokens, &[]).unwrap().logits;
            let size = golden.iter().fold(0.0f64, |size, x| size.max(x.abs()));
            let distance = distance(&logits, &golden) / size;
            assert!(distance < 0.03, "{form} on {}: logits differ by {distance}", isa.name());
            assert!(distance > 1e-5, "{form} on {}: this is float32", isa.name());

            let at_once = model.align(&audio, &tokens, &[]).unwrap().logits;
            let mut hypothesis = model.begin(&audio).unwrap();
            let mut stepped = Vec::new();
            for token in tokens {
                let mut logits = Vec::new();
                let mut batch = [Feed {
                    hypothesis: &mut hypothesis,
                    tokens: &[token],
                    rows: &[0],
                }];
                model.step(&mut batch, &mut logits).unwrap();
                stepped.extend(logits);
            }
            assert_eq!(stepped, at_once, "{form} on {}: steps against all at once", isa.name());
            if isa.name() != "scalar" {
                all.push(at_once);
            }
        }
        all.windows(2).for_each(|pair| assert_eq!(pair[0], pair[1], "{form}"));
    }
}

/// tiny.en on real speech.
#[test]
fn speech() {
    let Some(golden) = shared("speech", "golden/speech") else {
        return;
    };
    let Some(folder) = shared("speech", "models/whisper-tiny.en-mlx") else {
        return;
    };
    for isa in Isa::available() {
        conformance::hears_speech(&load(&folder, isa), &golden, isa.name());
    }
}

/// Hypotheses in one batch do not see each other; forks and truncated ones go on as if nothing had happened.
#[test]
fn hypotheses_are_values() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/random");
    let mel = conformance::floats(&folder.join("mel.npy"));
    conformance::hypotheses_are_values(&load(&folder.join("8bit-g64"), Isa::detect()), &mel, TO_THE_BIT);
}
