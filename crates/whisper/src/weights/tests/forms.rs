//! Every form of checkpoint opens, reads to the last tensor, and means what the f32 form says.

use super::*;
use std::io::Write as _;

const FORMS: [(&str, &str); 12] = [
    ("2bit-g32", r#"{"bits":2,"group_size":32}"#),
    ("3bit-g64", r#"{"bits":3,"group_size":64}"#),
    ("4bit-g32", r#"{"bits":4,"group_size":32}"#),
    ("4bit-g64", r#"{"bits":4,"group_size":64}"#),
    ("4bit-g64-npz", r#"{"bits":4,"group_size":64}"#),
    ("5bit-g64", r#"{"bits":5,"group_size":64}"#),
    ("6bit-g128", r#"{"bits":6,"group_size":128}"#),
    ("8bit-g64", r#"{"bits":8,"group_size":64}"#),
    ("bf16", r#""bf16""#),
    ("f16", r#""f16""#),
    ("f16-npz", r#""f16""#),
    ("f32", r#""f32""#),
];

/// The folder of a random model: committed ones first.
fn folder(form: &str) -> Option<PathBuf> {
    let committed = golden(form);
    if committed.exists() {
        Some(committed)
    } else {
        shared(&format!("golden/random/{form}"))
    }
}

#[test]
fn every_form_is_read_to_the_last_tensor() {
    for (form, expected) in FORMS {
        let Some(folder) = folder(form) else {
            writeln!(std::io::stderr(), "skipped: {form}: ../shared is absent").unwrap();
            continue;
        };
        let checkpoint = Checkpoint::open(&folder).unwrap();
        let description = read_all(checkpoint).unwrap();
        assert_eq!(serde_json::to_string(&description.form).unwrap(), expected, "{form}");
        assert_eq!(description.parameters, 1_128_448, "{form}");
        assert_eq!(description.bytes, description.source.metadata().unwrap().len());
    }
}

#[test]
fn alignment_heads_are_layers_and_heads() {
    let mut checkpoint = Checkpoint::open(&golden("f16")).unwrap();
    let heads = checkpoint.alignment_heads().unwrap();
    assert_eq!(
        heads,
        Some(vec![Head { layer: 1, head: 0 }, Head { layer: 1, head: 1 }])
    );
}

#[test]
fn real_models_are_read_to_the_last_tensor() {
    for (model, parameters, form) in [
        ("whisper-tiny.en-mlx", 37_184_256, Form::Dense(Float::F16)),
        (
            "whisper-base-mlx-8bit",
            71_825_920,
            Form::Affine(Quantization {
                bits: 8,
                group_size: 64,
            }),
        ),
    ] {
        let Some(folder) = shared(&format!("models/{model}")) else {
            writeln!(std::io::stderr(), "skipped: {model}: ../shared is absent").unwrap();
            continue;
        };
        let description = read_all(Checkpoint::open(&folder).unwrap()).unwrap();
        assert_eq!(
            (description.parameters, description.form),
            (parameters, form),
            "{model}"
        );
    }
}

/// All twelve forms were made from the same f32 weights: dense ones by rounding, packed ones within a step of their
/// scale (MLX stretches it so that zero is a code, so the far end may be clipped).
#[test]
fn every_form_holds_the_same_weights() {
    let Some(oracle) = shared("golden/random/f32") else {
        writeln!(
            std::io::stderr(),
            "skipped: every_form_holds_the_same_weights: ../shared is absent"
        )
        .unwrap();
        return;
    };
    for (form, _) in FORMS {
        let mut oracle = Checkpoint::open(&oracle).unwrap();
        let mut checkpoint = Checkpoint::open(&shared(&format!("golden/random/{form}")).unwrap()).unwrap();
        for part in parts(&oracle.dims().clone()) {
            let (name, exact, found): (_, Vec<f32>, _) = match &part {
                Part::Plain { name, shape } => {
                    let exact = oracle.tensor(name, shape).unwrap().widened();
                    let dense = checkpoint.tensor(name, shape).unwrap();
                    let float = dense.float;
                    (
                        name,
                        exact.iter().map(|&w| rounded(w, float)).collect(),
                        dense.widened(),
                    )
                }
                Part::Matrix { path, n, k } => {
                    let Matrix::Dense {
                        float: Float::F32,
                        bytes,
                    } = oracle.matrix(path, *n, *k).unwrap()
                    else {
                        panic!("{path}: f32 expected")
                    };
                    let mut exact = Vec::new();
                    Float::F32.widen(bytes, &mut exact);
                    match checkpoint.matrix(path, *n, *k).unwrap() {
                        Matrix::Dense { float, bytes } => {
                            let mut found = Vec::new();
                            float.widen(bytes, &mut found);
                            (path, exact.iter().map(|&w| rounded(w, float)).collect(), found)
                        }
                        Matrix::Affine {
                            bits,
                            group,
                            codes,
                            scales,
                            biases,
                        } => {
                            for (i, w) in exact.iter().enumerate() {
                                let found = scales[i / group] * code(codes, bits, i) as f32 + biases[i / group];
                                let step = scales[i / group].abs();
                                assert!(
                                    (w - found).abs() <= 1.01 * step + 1e-3,
                                    "{form} {path} {i}: {w} {found} {step}"
                                );
                            }
                            continue;
                        }
                    }
                }
            };
            assert!(exact == found, "{form}: {name}");
        }
    }
}

fn rounded(w: f32, float: Float) -> f32 {
    match float {
        Float::F32 => w,
        Float::F16 => half::f16::from_f32(w).to_f32(),
        Float::Bf16 => half::bf16::from_f32(w).to_f32(),
    }
}

/// Code `i` of a bit stream. A row's codes fill whole words, so rows need no care.
fn code(codes: &[u8], bits: usize, i: usize) -> u32 {
    (0..bits)
        .map(|b| (i * bits + b, b))
        .map(|(at, b)| u32::from(codes[at / 8] >> (at % 8) & 1) << b)
        .sum()
}

#[test]
fn layers_may_differ() {
    let pack = |path: &str| match path {
        "decoder.token_embedding" => None,
        "decoder.blocks.0.mlp1" => Some((8, 32)),
        _ => Some((4, 32)),
    };
    let weights = safetensors(&tensors(pack));
    let entries = r#""group_size": 32, "bits": 4, "mode": "affine", "decoder.token_embedding": false,
        "decoder.blocks.0.mlp1": {"group_size": 32, "bits": 8}, "encoder.blocks.0.mlp1": true"#;
    for key in ["quantization", "quantization_config"] {
        let config = config_with(&format!(r#"{key:?}: {{{entries}}}"#));
        let mut checkpoint = Checkpoint::from_bytes("weights", config.as_bytes(), weights.clone()).unwrap();
        let bits = |matrix: Matrix<'_>| match matrix {
            Matrix::Affine { bits, .. } => bits,
            Matrix::Dense { .. } => 16,
        };
        assert_eq!(bits(checkpoint.matrix("decoder.blocks.0.mlp1", 128, 32).unwrap()), 8);
        assert_eq!(bits(checkpoint.matrix("encoder.blocks.0.mlp1", 128, 32).unwrap()), 4);
        assert_eq!(bits(checkpoint.matrix("decoder.token_embedding", 40, 32).unwrap()), 16);
        assert_eq!(
            checkpoint.description().form,
            Form::Affine(Quantization {
                bits: 4,
                group_size: 32
            })
        );
        read_all(checkpoint).unwrap();
    }
}

#[test]
fn the_first_file_of_weights_wins() {
    let folder = tempfile::tempdir().unwrap();
    let refused = Checkpoint::open(folder.path()).unwrap_err().to_string();
    assert!(refused.contains("config.json"), "{refused}");
    std::fs::write(folder.path().join("config.json"), CONFIG).unwrap();
    let refused = Checkpoint::open(folder.path()).unwrap_err().to_string();
    assert!(
        refused.contains("expected weights.safetensors, or weights.npz, or model.safetensors"),
        "{refused}"
    );

    let good = tensors(|_| None);
    for (name, bytes) in [
        ("model.safetensors", safetensors(&good)),
        ("weights.npz", npz::npz(&good, zip::CompressionMethod::Stored)),
        ("weights.safetensors", safetensors(&good)),
    ] {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        assert_eq!(read_all(checkpoint).unwrap().source, folder.path().join(name));
    }
}
