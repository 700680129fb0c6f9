//! Every tensor of a Whisper, and whether a file has exactly these.

use std::collections::{BTreeMap, BTreeSet};

use super::config::{Config, Quantization};
use super::shown;
use super::tensors::{Dtype, Tensor, Tensors};
use crate::Result;
use crate::model::Dims;

/// The heads tuned for word timestamps, `[heads, 2]`: the one tensor that may be missing.
pub(super) const ALIGNMENT_HEADS: &str = "alignment_heads";

/// The most problems an error lists.
const MAX_PROBLEMS: usize = 10;

/// A part of the network that has a weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// `PATH.weight` of a linear layer or embedding, `[n, k]`; or `PATH.weight`, `PATH.scales` and `PATH.biases`.
    Matrix {
        /// `decoder.blocks.3.mlp1`
        path: String,
        /// Outputs, or tokens.
        n: usize,
        /// Inputs.
        k: usize,
    },
    /// A tensor that is never quantized, by its whole name.
    Plain {
        /// `decoder.blocks.3.mlp1.bias`
        name: String,
        /// Row-major.
        shape: Vec<usize>,
    },
}

/// The parts of a Whisper of these sizes, under MLX's names.
///
/// Linear layers and embeddings are `[out, in]`, convolutions `[out, 3, in]`. Keys have no bias. The encoder's positions
/// are computed, not stored.
pub fn parts(dims: &Dims) -> Vec<Part> {
    let state = dims.n_text_state; // the encoder's too
    let mut parts = Vec::new();
    let plain = |name: String, shape: &[usize]| Part::Plain {
        name,
        shape: shape.to_vec(),
    };
    let norm = |parts: &mut Vec<Part>, path: &str| {
        parts.extend(["weight", "bias"].map(|tensor| plain(format!("{path}.{tensor}"), &[state])));
    };
    let matrix = |parts: &mut Vec<Part>, path: &str, n: usize, k: usize| {
        parts.push(Part::Matrix {
            path: path.into(),
            n,
            k,
        });
    };
    let linear = |parts: &mut Vec<Part>, path: &str, n: usize, k: usize| {
        matrix(parts, path, n, k);
        parts.push(plain(format!("{path}.bias"), &[n]));
    };
    let attention = |parts: &mut Vec<Part>, path: &str| {
        for projection in ["query", "value", "out"] {
            linear(parts, &format!("{path}.{projection}"), state, state);
        }
        matrix(parts, &format!("{path}.key"), state, state);
        norm(parts, &format!("{path}_ln"));
    };
    let block = |parts: &mut Vec<Part>, path: &str, attentions: &[&str]| {
        for kind in attentions {
            attention(parts, &format!("{path}.{kind}"));
        }
        linear(parts, &format!("{path}.mlp1"), 4 * state, state);
        linear(parts, &format!("{path}.mlp2"), state, 4 * state);
        norm(parts, &format!("{path}.mlp_ln"));
    };

    for (path, channels) in [("encoder.conv1", dims.n_mels), ("encoder.conv2", state)] {
        parts.push(plain(format!("{path}.weight"), &[state, 3, channels]));
        parts.push(plain(format!("{path}.bias"), &[state]));
    }
    for i in 0..dims.n_audio_layer {
        block(&mut parts, &format!("encoder.blocks.{i}"), &["attn"]);
    }
    norm(&mut parts, "encoder.ln_post");

    matrix(&mut parts, "decoder.token_embedding", dims.n_vocab, state);
    parts.push(plain("decoder.positional_embedding".into(), &[dims.n_text_ctx, state]));
    for i in 0..dims.n_text_layer {
        block(&mut parts, &format!("decoder.blocks.{i}"), &["attn", "cross_attn"]);
    }
    norm(&mut parts, "decoder.ln");
    parts
}

/// Compares a file's table of contents with what `config` promises, before a tensor is read. Returns how each quantized
/// layer is packed.
///
/// # Errors
/// All that is wrong, the first ten in words: tensors that are missing, unknown, of another shape or type.
pub(super) fn check(tensors: &Tensors, config: &Config) -> Result<BTreeMap<String, Quantization>> {
    if let Some((name, _)) = tensors.iter().find(|(name, _)| is_hugging_face(name)) {
        return Err(tensors.error(format!(
            "{}: this file names its tensors as Hugging Face's Transformers do; convert it to MLX's form with `python \
             convert.py --torch-name-or-path FOLDER --mlx-path NEW_FOLDER` of mlx-examples/whisper, or take a repository \
             of mlx-community",
            shown(name)
        )));
    }
    let mut check = Check {
        tensors,
        config,
        expected: BTreeSet::new(),
        problems: Vec::new(),
        quantized: BTreeMap::new(),
    };
    for part in parts(&config.dims) {
        match part {
            Part::Plain { name, shape } => check.float(name, &shape),
            Part::Matrix { path, n, k } => check.matrix(path, n, k),
        }
    }
    check.alignment_heads();
    check.unknown();
    match check.problems.len() {
        0 => Ok(check.quantized),
        n => {
            let mut text = format!("does not fit config.json: {}", counted(n, "problem"));
            for problem in check.problems.iter().take(MAX_PROBLEMS) {
                text += &format!("\n  {problem}");
            }
            if n > MAX_PROBLEMS {
                text += &format!("\n  and {} more", n - MAX_PROBLEMS);
            }
            Err(tensors.error(text))
        }
    }
}

struct Check<'a> {
    tensors: &'a Tensors,
    config: &'a Config,
    expected: BTreeSet<String>,
    problems: Vec<String>,
    quantized: BTreeMap<String, Quantization>,
}

impl Check<'_> {
    /// A tensor of any float type.
    fn float(&mut self, name: String, shape: &[usize]) {
        match self.tensors.get(&name) {
            None => self.problems.push(format!("{name}: missing, expected {shape:?}")),
            Some(tensor) if tensor.shape() != shape => self.problems.push(misshapen(&name, shape, tensor, "")),
            Some(tensor) if !matches!(tensor.dtype(), Dtype::Float(_)) => {
                self.problems
                    .push(format!("{name}: expected f32, f16 or bf16, found {tensor}"));
            }
            Some(_) => {}
        }
        self.expected.insert(name);
    }

    /// A weight `[n, k]`, or the MLX triple where `PATH.scales` exists: the rule of MLX's own loader.
    fn matrix(&mut self, path: String, n: usize, k: usize) {
        let [weight, scales, biases] = ["weight", "scales", "biases"].map(|part| format!("{path}.{part}"));
        let Some(found_scales) = self.tensors.get(&scales) else {
            if let Some(codes) = self.tensors.get(&weight).filter(|tensor| tensor.dtype() == Dtype::U32) {
                self.problems
                    .push(format!("{scales}: missing, but {weight} is packed: {codes}"));
                self.expected.insert(weight);
            } else {
                self.float(weight, &[n, k]);
            }
            return;
        };
        let Some(quantization) = self.config.quantization_of(&path) else {
            self.problems.push(format!(
                "{scales}: unexpected, config.json does not say that {path} is quantized"
            ));
            self.expected.extend([weight, scales, biases]);
            return;
        };
        let Quantization { bits, group_size } = quantization;
        if !k.is_multiple_of(group_size) {
            self.problems
                .push(format!("{path}: {k} columns do not divide into groups of {group_size}"));
        }
        let shape = [n, k * bits / 32];
        match self.tensors.get(&weight) {
            None => self.problems.push(format!("{weight}: missing, expected u32 {shape:?}")),
            Some(codes) if codes.shape() != shape => {
                let guess = guess("bits", &[2, 3, 4, 5, 6, 8], |bits| codes.shape() == [n, k * bits / 32]);
                self.problems.push(misshapen(&weight, &shape, codes, &guess));
            }
            Some(codes) if codes.dtype() != Dtype::U32 => {
                self.problems.push(format!("{weight}: expected u32, found {codes}"));
            }
            Some(_) => {}
        }
        let shape = [n, k / group_size];
        if found_scales.shape() == shape {
            self.float(scales, &shape);
        } else {
            let guess = guess("group_size", &[32, 64, 128], |group| {
                found_scales.shape() == [n, k / group]
            });
            self.problems.push(misshapen(&scales, &shape, found_scales, &guess));
            self.expected.insert(scales);
        }
        self.float(biases, &shape);
        self.expected.insert(weight);
        self.quantized.insert(path, quantization);
    }

    fn alignment_heads(&mut self) {
        if let Some(tensor) = self.tensors.get(ALIGNMENT_HEADS) {
            let most = self.config.dims.n_text_layer * self.config.dims.n_text_head;
            if !matches!(*tensor.shape(), [heads, 2] if heads <= most) {
                self.problems.push(format!(
                    "{ALIGNMENT_HEADS}: expected [heads, 2], {most} heads at most, found {tensor}"
                ));
            }
            self.expected.insert(ALIGNMENT_HEADS.into());
        }
    }

    fn unknown(&mut self) {
        for (name, tensor) in self.tensors.iter() {
            if !self.expected.contains(name) {
                self.problems
                    .push(format!("{}: unknown to Whisper, {tensor}", shown(name)));
            }
        }
    }
}

fn misshapen(name: &str, expected: &[usize], found: &Tensor, guess: &str) -> String {
    format!("{name}: expected {expected:?}, found {:?}{guess}", found.shape())
}

/// The value under which the shape would have been right: `" (group_size 32?)"`, or nothing.
fn guess(name: &str, values: &[usize], fits: impl Fn(usize) -> bool) -> String {
    values
        .iter()
        .find(|&&value| fits(value))
        .map(|value| format!(" ({name} {value}?)"))
        .unwrap_or_default()
}

/// `1 problem`, `2 problems`
pub(super) fn counted(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// `model.encoder.layers.0.fc1.weight`, with `model.` or without.
fn is_hugging_face(name: &str) -> bool {
    let name = name.strip_prefix("model.").unwrap_or(name);
    name.starts_with("encoder.layers.") || name.starts_with("decoder.layers.")
}
