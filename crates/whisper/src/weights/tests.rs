//! Real checkpoints, and synthetic ones with every kind of fault.
#![expect(clippy::cast_possible_truncation, reason = "small numbers of our own making")]

mod faults;
mod forms;
mod npz;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::inventory::{ALIGNMENT_HEADS, Part, parts};
use super::*;

/// Sizes of the smallest Whisper that passes: 32 channels, one block each.
const CONFIG: &str = r#"{"n_mels": 80, "n_audio_ctx": 1500, "n_audio_state": 32, "n_audio_head": 2, "n_audio_layer": 1,
    "n_vocab": 40, "n_text_ctx": 8, "n_text_state": 32, "n_text_head": 2, "n_text_layer": 1, "model_type": "whisper"}"#;

/// A tensor to be written: safetensors' name of its type, shape, bytes.
type Plain = (&'static str, Vec<usize>, Vec<u8>);

fn config_with(addition: &str) -> String {
    CONFIG.replacen('{', &format!("{{{addition}, "), 1)
}

fn f16_bytes(n: usize) -> Vec<u8> {
    (0..n)
        .flat_map(|i| half::f16::from_f32(i as f32 / 64.0 % 3.0 - 1.5).to_le_bytes())
        .collect()
}

/// Every tensor of [`CONFIG`] in f16; the layers for which `pack` gives bits and group as MLX triples.
fn tensors(pack: impl Fn(&str) -> Option<(usize, usize)>) -> BTreeMap<String, Plain> {
    let mut tensors = BTreeMap::new();
    for part in parts(&Config::parse(CONFIG.as_bytes()).unwrap().dims) {
        match part {
            Part::Plain { name, shape } => {
                let bytes = f16_bytes(shape.iter().product());
                tensors.insert(name, ("F16", shape, bytes));
            }
            Part::Matrix { path, n, k } => match pack(&path) {
                None => {
                    tensors.insert(format!("{path}.weight"), ("F16", vec![n, k], f16_bytes(n * k)));
                }
                Some((bits, group)) => {
                    let codes = (0..n * k * bits / 8).map(|i| (i % 251) as u8).collect();
                    tensors.insert(format!("{path}.weight"), ("U32", vec![n, k * bits / 32], codes));
                    for name in ["scales", "biases"] {
                        let shape = vec![n, k / group];
                        tensors.insert(format!("{path}.{name}"), ("F16", shape, f16_bytes(n * k / group)));
                    }
                }
            },
        }
    }
    tensors
}

/// As MLX writes a file: unpadded header, then the data.
fn safetensors(tensors: &BTreeMap<String, Plain>) -> Vec<u8> {
    let (mut header, mut data) = (Vec::new(), Vec::new());
    for (name, (dtype, shape, bytes)) in tensors {
        let start = data.len();
        data.extend_from_slice(bytes);
        header.push(format!(
            r#"{}:{{"dtype":{dtype:?},"shape":{shape:?},"data_offsets":[{start},{}]}}"#,
            serde_json::to_string(name).unwrap(),
            data.len()
        ));
    }
    file(&format!(r#"{{"__metadata__":null,{}}}"#, header.join(",")), &data)
}

fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// Reads what the network reads, each tensor once.
fn read_all(mut checkpoint: Checkpoint) -> Result<Description> {
    for part in parts(&checkpoint.dims().clone()) {
        match part {
            Part::Matrix { path, n, k } => match checkpoint.matrix(&path, n, k)? {
                Matrix::Dense { float, bytes } => assert_eq!(bytes.len(), n * k * float.size()),
                Matrix::Affine {
                    bits,
                    group,
                    codes,
                    scales,
                    biases,
                } => {
                    assert_eq!(codes.len(), n * k * bits / 8);
                    assert_eq!((scales.len(), biases.len()), (n * k / group, n * k / group));
                }
            },
            Part::Plain { name, shape } if shape.len() == 1 => {
                assert_eq!(checkpoint.vector(&name, shape[0])?.len(), shape[0]);
            }
            Part::Plain { name, shape } => {
                let n: usize = shape.iter().product();
                assert_eq!(checkpoint.tensor(&name, &shape)?.widened().len(), n);
            }
        }
    }
    checkpoint.alignment_heads()?;
    let description = checkpoint.description();
    checkpoint.finish()?;
    Ok(description)
}

fn open(config: &str, weights: Vec<u8>) -> Result<Description> {
    read_all(Checkpoint::from_bytes("weights", config.as_bytes(), weights)?)
}

/// The error's words; panics where there is none.
fn refused(config: &str, weights: Vec<u8>) -> String {
    match open(config, weights) {
        Ok(_) => panic!("accepted"),
        Err(e) => e.to_string(),
    }
}

fn golden(form: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/random")
        .join(form)
}

/// A folder beside the workspace, where it exists.
fn shared(path: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared")
        .join(path);
    path.exists().then_some(path)
}

/// xorshift64: the same sequence everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}
