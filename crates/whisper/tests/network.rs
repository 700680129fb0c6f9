//! The network against numbers made by MLX in float32.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking; its data is known"
)]

use std::path::Path;

use kernels::{Compute, Cpu, Isa};
use whisper::cpu::CpuModel;
use whisper::model::{Feed, Head, MelWindow, Model, Token};
use whisper::weights::Checkpoint;

mod support;
use support::{distance, load, npy, shared};

/// The random two-layer Whispers that are part of the project: features, logits, attention within 1e-4.
#[test]
fn random_models() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/random");
    for isa in Isa::available() {
        for form in ["f16", "5bit-g64", "8bit-g64"] {
            agrees_with_golden(&load(&folder.join(form), isa), &folder, form);
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
            agrees_with_golden(&load(&entry.path(), Isa::detect()), &folder, &form);
            forms += 1;
        }
    }
    assert_eq!(forms, 12);
}

fn agrees_with_golden(model: &CpuModel, folder: &Path, form: &str) {
    let mel: Vec<f32> = npy(&folder.join("mel.npy")).1.iter().map(|&x| x as f32).collect();
    let tokens: Vec<Token> = npy(&folder.join("tokens.npy"))
        .1
        .iter()
        .map(|&x| Token(x as u32))
        .collect();
    let golden = |name: &str| npy(&folder.join(form).join(name)).1;
    let close = |what: &str, found: &[f32], expected: &[f64]| {
        let distance = distance(found, expected);
        assert!(
            distance < 1e-4,
            "{form} on {}: {what} differs by {distance}",
            model.cpu().isa().name()
        );
    };
    let mel = MelWindow {
        values: &mel,
        n_mels: model.dims().n_mels,
    };

    let features = model.features(mel).unwrap();
    close(
        "features",
        &every(50, &features, model.dims().n_audio_state),
        &golden("features.npy"),
    );

    let audio = model.encode(&[mel]).unwrap().remove(0);
    let heads: Vec<Head> = (0..2)
        .flat_map(|layer| (0..2).map(move |head| Head { layer, head }))
        .collect();
    let alignment = model.align(&audio, &tokens, &heads).unwrap();
    close("logits", &alignment.logits, &golden("logits.npy"));
    close("attention", &every(50, &alignment.scores, 1), &golden("cross_qk.npy"));

    // One token at a time gives what all at once gave, to the bit.
    let mut hypothesis = model.begin(&audio).unwrap();
    let mut stepped = Vec::new();
    for token in &tokens {
        let mut logits = Vec::new();
        let mut batch = [Feed {
            hypothesis: &mut hypothesis,
            tokens: &[*token],
            rows: &[0],
        }];
        model.step(&mut batch, &mut logits).unwrap();
        stepped.extend(logits);
    }
    assert_eq!(
        stepped,
        alignment.logits,
        "{form} on {}: steps against all at once",
        model.cpu().isa().name()
    );
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

/// tiny.en on real speech: features and logits within 2e-3.
#[test]
fn speech() {
    let Some(golden) = shared("speech", "golden/speech") else {
        return;
    };
    let Some(folder) = shared("speech", "models/whisper-tiny.en-mlx") else {
        return;
    };
    for isa in Isa::available() {
        let model = load(&folder, isa);
        let mel: Vec<f32> = npy(&golden.join("jfk.mel80.npy")).1.iter().map(|&x| x as f32).collect();
        let mel = MelWindow {
            values: &mel,
            n_mels: 80,
        };

        let features = every(10, &model.features(mel).unwrap(), model.dims().n_audio_state);
        let distance_of_features = distance(&features, &npy(&golden.join("jfk.tiny.en.features.npy")).1);
        assert!(
            distance_of_features < 2e-3,
            "{}: features differ by {distance_of_features}",
            isa.name()
        );

        let audio = model.encode(&[mel]).unwrap().remove(0);
        let tokens = [50257, 50363, 843, 523, 616, 5891, 3399].map(Token);
        let logits = model.align(&audio, &tokens, &[]).unwrap().logits;
        let distance_of_logits = distance(&logits, &npy(&golden.join("jfk.tiny.en.logits.npy")).1);
        assert!(
            distance_of_logits < 2e-3,
            "{}: logits differ by {distance_of_logits}",
            isa.name()
        );
    }
}

/// Hypotheses in one batch do not see each other; forks and truncated ones go on as if nothing had happened.
#[test]
fn hypotheses_are_values() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/random");
    let model = load(&folder.join("8bit-g64"), Isa::detect());
    let mel: Vec<f32> = npy(&folder.join("mel.npy")).1.iter().map(|&x| x as f32).collect();
    let (first, second) = mel.split_at(mel.len() / 2);
    let windows = [
        MelWindow {
            values: first,
            n_mels: 80,
        },
        MelWindow {
            values: second,
            n_mels: 80,
        },
    ];
    let audio = model.encode(&windows).unwrap();

    let alone = |window: usize, tokens: &[u32]| {
        let tokens: Vec<Token> = tokens.iter().copied().map(Token).collect();
        let logits = model.align(&audio[window], &tokens, &[]).unwrap().logits;
        logits[logits.len() - model.dims().n_vocab..].to_vec()
    };
    let feed = |batch: &mut [Feed<'_, _>]| {
        let mut logits = Vec::new();
        model.step(batch, &mut logits).unwrap();
        logits
    };

    let (mut a, mut b) = (model.begin(&audio[0]).unwrap(), model.begin(&audio[1]).unwrap());
    let both = feed(&mut [
        Feed {
            hypothesis: &mut a,
            tokens: &[Token(7), Token(8), Token(9)],
            rows: &[2],
        },
        Feed {
            hypothesis: &mut b,
            tokens: &[Token(11)],
            rows: &[0],
        },
    ]);
    assert_eq!(both, [alone(0, &[7, 8, 9]), alone(1, &[11])].concat());

    let mut c = model.fork(&a).unwrap();
    model.truncate(&mut a, 1);
    let both = feed(&mut [
        Feed {
            hypothesis: &mut c,
            tokens: &[Token(1)],
            rows: &[0],
        },
        Feed {
            hypothesis: &mut a,
            tokens: &[Token(2), Token(3)],
            rows: &[1],
        },
    ]);
    assert_eq!(both, [alone(0, &[7, 8, 9, 1]), alone(0, &[7, 2, 3])].concat());

    // Nothing asked for, nothing given; what does not exist is refused.
    assert!(
        feed(&mut [Feed {
            hypothesis: &mut b,
            tokens: &[Token(5)],
            rows: &[]
        }])
        .is_empty()
    );
    let mut logits = Vec::new();
    for (tokens, rows) in [
        (vec![Token(512)], vec![]),
        (vec![Token(1)], vec![1]),
        (vec![Token(1); 448], vec![]),
    ] {
        let mut batch = [Feed {
            hypothesis: &mut b,
            tokens: &tokens,
            rows: &rows,
        }];
        assert!(model.step(&mut batch, &mut logits).is_err());
    }
}

/// Every `nth` row of `values` `[rows, width]`.
fn every(nth: usize, values: &[f32], width: usize) -> Vec<f32> {
    values.chunks_exact(width).step_by(nth).flatten().copied().collect()
}
