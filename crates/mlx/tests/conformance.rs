//! The checks that every [`Model`] must pass, on an installed MLX: the code is that of the CPU engine's tests.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking; a child talks to its parent"
)]

#[path = "../../whisper/tests/support/mod.rs"]
mod whisper_support;

mod support;

use std::path::Path;

use kernels::Isa;
use mlx::network::{self, Form};
use mlx::{MlxModel, Options};
use whisper::cpu::CpuModel;
use whisper::model::{Head, MelWindow, Model, Token};
use whisper::weights::{Checkpoint, Float};

use whisper_support::conformance::{self, Network, SameWithin};
use whisper_support::shared;

/// A GPU and a BLAS sum in the order that suits the shape.
const NEARLY: SameWithin = SameWithin(conformance::LOGITS);

impl Network for MlxModel {
    fn encoded(&self, mel: MelWindow<'_>) -> Vec<f32> {
        self.features(mel).unwrap()
    }
}

const F32: Options = Options {
    float: Some(Float::F32),
    packed: None,
    compiled: None,
    pipelined: None,
    max_memory: None,
    threads: Some(1),
};

fn load(mlx: &mlx::Mlx, folder: &Path, options: Options) -> MlxModel {
    MlxModel::load(mlx, Checkpoint::open(folder).unwrap(), &options).unwrap()
}

#[test]
fn probe_child() {
    support::probe_child();
}

/// The random Whispers of the project, and every form of checkpoint where they lie beside it; packed weights unpacked at load,
/// and multiplied packed.
#[test]
fn random_models() {
    let Some(mlx) = support::mlx("random_models") else {
        return;
    };
    let own = whisper_support::root().join("crates/whisper/tests/golden/random");
    let folder = shared("random_models_of_every_form", "golden/random").unwrap_or(own);
    let mut forms = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            let form = entry.file_name().into_string().unwrap();
            // Packed products are slow on a CPU: all widths of codes have their turn in `bits_and_groups`.
            let also_packed = form == "4bit-g64" || form == "5bit-g64";
            for packed in [false, true].into_iter().take(1 + usize::from(also_packed)) {
                let options = Options {
                    packed: Some(packed),
                    ..F32
                };
                let model = load(&mlx, &entry.path(), options);
                conformance::agrees_with_golden(&model, &folder, &form, NEARLY);
            }
            forms += 1;
        }
    }
    assert!(forms >= 3);
}

/// Every width of codes and groups, packed and unpacked, against the CPU engine.
#[test]
fn bits_and_groups() {
    let Some(mlx) = support::mlx("bits_and_groups") else {
        return;
    };
    let mel = network::mel();
    let window = MelWindow {
        values: &mel,
        n_mels: network::N_MELS,
    };
    let tokens: Vec<Token> = (0..20).map(|i| Token(i * 11)).collect();
    let heads = [Head { layer: 0, head: 1 }];
    for bits in [2, 3, 4, 5, 6, 8] {
        for group in [32, 64, 128] {
            let form = Form::Packed { bits, group };
            let cpu = kernels::Cpu::with(Isa::detect(), 1);
            let cpu = CpuModel::load(network::checkpoint(form).unwrap(), cpu).unwrap();
            let expected = cpu.align(&cpu.encode(&[window]).unwrap()[0], &tokens, &heads).unwrap();
            // MLX multiplies packed weights slowly on a CPU.
            for packed in [false, true].into_iter().take(1 + usize::from(group == 64)) {
                let options = Options {
                    packed: Some(packed),
                    ..F32
                };
                let model = MlxModel::load(&mlx, network::checkpoint(form).unwrap(), &options).unwrap();
                let found = model
                    .align(&model.encode(&[window]).unwrap()[0], &tokens, &heads)
                    .unwrap();
                let wide = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<_>>();
                let what = |part: &str| format!("{bits} bits, groups of {group}, packed {packed}: {part}");
                conformance::close(&what("logits"), &found.logits, &wide(&expected.logits), 2e-5);
                conformance::close(&what("scores"), &found.scores, &wide(&expected.scores), 5e-5);
            }
        }
    }
}

/// tiny.en on real speech.
#[test]
fn speech() {
    let Some(mlx) = support::mlx("speech") else {
        return;
    };
    let (Some(golden), Some(folder)) = (
        shared("speech", "golden/speech"),
        shared("speech", "models/whisper-tiny.en-mlx"),
    ) else {
        return;
    };
    conformance::hears_speech(&load(&mlx, &folder, F32), &golden, "MLX");
}

#[test]
fn hypotheses_are_values() {
    let Some(mlx) = support::mlx("hypotheses_are_values") else {
        return;
    };
    let folder = whisper_support::root().join("crates/whisper/tests/golden/random");
    let mel = conformance::floats(&folder.join("mel.npy"));
    for (packed, pipelined) in [(false, false), (true, false), (false, true)] {
        let options = Options {
            packed: Some(packed),
            pipelined: Some(pipelined),
            ..F32
        };
        conformance::hypotheses_are_values(&load(&mlx, &folder.join("8bit-g64"), options), &mel, NEARLY);
    }
}

/// What MLX throws comes back as an error, and the next request is done.
#[test]
fn errors_come_back() {
    let Some(mlx) = support::mlx("errors_come_back") else {
        return;
    };
    let building = mlx.provoke(false).unwrap_err().to_string();
    assert!(building.contains("[matmul]"), "{building}");
    let evaluating = mlx.provoke(true).unwrap_err().to_string();
    assert!(evaluating.contains("LU factorization"), "{evaluating}");
    assert!(mlx.memory().is_ok());
}

/// A request for which there is no room is refused before MLX is asked.
#[test]
fn memory_is_estimated() {
    let Some(mlx) = support::mlx("memory_is_estimated") else {
        return;
    };
    let folder = whisper_support::root().join("crates/whisper/tests/golden/random/f16");
    let tight = Options {
        max_memory: Some(1),
        ..F32
    };
    let mel = network::mel();
    let window = MelWindow {
        values: &mel,
        n_mels: network::N_MELS,
    };
    let model = load(&mlx, &folder, tight); // a model of 2 MB is always had
    let error = model.encode(&[window]).err().unwrap().to_string();
    assert!(error.contains("--max-memory allows"), "{error}");
}

/// Types of 16 bits: near float32, and not it.
#[test]
fn half_precision() {
    let Some(mlx) = support::mlx("half_precision") else {
        return;
    };
    let folder = whisper_support::root().join("crates/whisper/tests/golden/random");
    let mel = conformance::floats(&folder.join("mel.npy"));
    let window = MelWindow {
        values: &mel,
        n_mels: 80,
    };
    let form = "8bit-g64";
    let tokens = [1, 2, 3].map(Token);
    let logits = |options| {
        let model = load(&mlx, &folder.join(form), options);
        model
            .align(&model.encode(&[window]).unwrap()[0], &tokens, &[])
            .unwrap()
            .logits
    };
    let exact: Vec<f64> = logits(F32).into_iter().map(f64::from).collect();
    for (float, limit) in [(Float::F16, 5e-2), (Float::Bf16, 4e-1)] {
        let options = Options {
            float: Some(float),
            packed: Some(float == Float::F16),
            ..F32
        };
        let found = logits(options);
        conformance::close(&format!("{form} in {float:?}"), &found, &exact, limit);
        assert!(
            whisper_support::distance(&found, &exact) > 1e-4,
            "{form}: this is float32"
        );
    }
}
