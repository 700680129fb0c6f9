//! A checkpoint: `config.json` and one file of weights, as MLX writes them. Every tensor is accounted for.
//!
//! ```text
//! folder -> config.json -> Dims, quantization    (weights/config.rs)
//!        -> weights     -> named tensors         (weights/tensors.rs: safetensors.rs, npz.rs)
//! both   -> exactly the tensors of a Whisper of these sizes, or an error that lists what is wrong (weights/inventory.rs)
//! ```
//! The weights are the first that exists of `weights.safetensors`, `weights.npz` and `model.safetensors`. That is the
//! order of mlx_whisper 0.4.3, then the name that newer converters write: a folder that holds an MLX checkpoint beside
//! Hugging Face's `model.safetensors` works, and so does one where `model.safetensors` is MLX's own.
//!
//! Opening reads the tables of contents only. Then tensors are read one by one, into buffers that are reused; file bytes
//! are never reinterpreted in place, because MLX does not align them.

mod config;
mod inventory;
mod json;
mod npz;
mod safetensors;
mod source;
mod tensors;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

pub use config::{Config, MAX_CONFIG_BYTES, Quantization};
pub use inventory::{Part, parts};
pub use tensors::{Dtype, Float, Tensor, Tensors};

use crate::model::{Dims, Head};
use crate::{Error, Result};

/// Names of the weights, the first that exists wins.
const WEIGHT_FILES: [&str; 3] = ["weights.safetensors", "weights.npz", "model.safetensors"];

/// An open checkpoint whose tensors are being read.
///
/// ```no_run
/// # fn main() -> whisper::Result<()> {
/// use whisper::weights::{Checkpoint, Matrix};
///
/// let mut checkpoint = Checkpoint::open("whisper-base-mlx-8bit".as_ref())?;
/// let n_state = checkpoint.dims().n_text_state;
/// let bias = checkpoint.vector("decoder.blocks.0.mlp1.bias", 4 * n_state)?;
/// match checkpoint.matrix("decoder.blocks.0.mlp1", 4 * n_state, n_state)? {
///     Matrix::Dense { float, bytes } => { /* f16 bytes, say */ }
///     Matrix::Affine { bits, group, codes, scales, biases } => { /* packed codes */ }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Checkpoint {
    tensors: Tensors,
    dims: Dims,
    /// By path, the layers that are quantized.
    quantized: BTreeMap<String, Quantization>,
    /// Tensors that nobody has asked for yet.
    unread: BTreeSet<String>,
    bytes: Vec<u8>,
    scales: Vec<f32>,
    biases: Vec<f32>,
}

/// A weight `[n, k]` of a linear layer or embedding, row-major, until the next tensor is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Matrix<'a> {
    /// One element for each weight.
    Dense {
        /// Their type.
        float: Float,
        /// `n * k` elements, little-endian, unaligned.
        bytes: &'a [u8],
    },
    /// MLX affine quantization: `scale * code + bias`.
    Affine {
        /// Bits of a code.
        bits: usize,
        /// Codes along a row that share a scale and a bias.
        group: usize,
        /// `n` rows of `k * bits / 8` bytes, each one little-endian bit stream, lowest bit first.
        codes: &'a [u8],
        /// `[n, k / group]`, finite.
        scales: &'a [f32],
        /// `[n, k / group]`, finite. Not to be confused with the layer's `bias`, one for each output.
        biases: &'a [f32],
    },
}

/// A tensor that is never quantized, row-major, until the next one is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dense<'a> {
    /// Type of the elements.
    pub float: Float,
    /// The elements, little-endian, unaligned.
    pub bytes: &'a [u8],
}

/// What a checkpoint is, for reports.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Description {
    /// The file of weights.
    pub source: PathBuf,
    /// Its bytes.
    pub bytes: u64,
    /// Weights of the network, however they are packed.
    pub parameters: u64,
    /// How most of them are packed.
    pub form: Form,
}

/// How weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(untagged)]
pub enum Form {
    /// Packed codes: `{"bits": 5, "group_size": 64}`.
    Affine(Quantization),
    /// One float for each: `"f16"`.
    Dense(Float),
}

impl Checkpoint {
    /// Opens a folder and checks that it holds exactly the tensors of a Whisper.
    ///
    /// # Errors
    /// A file is missing, cannot be read, is truncated or contradicts itself; sizes are not those of a Whisper; tensors
    /// are missing, unknown, or of another shape or type (the first ten are listed). Nothing is allocated from a number
    /// that was not checked against the size of the file.
    pub fn open(folder: &Path) -> Result<Checkpoint> {
        let path = folder.join("config.json");
        let json = read_config(&path).map_err(|cause| Error::Io {
            path: path.clone(),
            cause,
        })?;
        let config = Config::parse(&json).map_err(|problem| Error::Checkpoint { path, problem })?;

        let weights = WEIGHT_FILES
            .iter()
            .map(|name| folder.join(name))
            .find(|path| path.exists());
        let weights = weights.ok_or_else(|| Error::Checkpoint {
            path: folder.into(),
            problem: format!("no weights: expected {}", WEIGHT_FILES.join(", or ")),
        })?;
        Checkpoint::new(&config, Tensors::open(&weights)?)
    }

    /// The same for a checkpoint in memory, such as the one inside the program. `name` stands for the folder in errors
    /// and reports.
    ///
    /// # Errors
    /// As for [`Checkpoint::open`].
    pub fn from_bytes(name: &str, config: &[u8], weights: impl Into<Cow<'static, [u8]>>) -> Result<Checkpoint> {
        Checkpoint::new(&named_config(name, config)?, Tensors::from_bytes(name, weights)?)
    }

    /// The same for weights that are the bytes `weights` of a file, such as the program's own: read from there they take no
    /// memory but the network's.
    ///
    /// # Errors
    /// As for [`Checkpoint::open`].
    pub fn from_part_of_file(name: &str, config: &[u8], file: File, weights: Range<u64>) -> Result<Checkpoint> {
        let tensors = Tensors::from_part_of_file(name, file, weights)?;
        Checkpoint::new(&named_config(name, config)?, tensors)
    }

    fn new(config: &Config, tensors: Tensors) -> Result<Checkpoint> {
        let quantized = inventory::check(&tensors, config)?;
        let unread = tensors.iter().map(|(name, _)| name.to_string()).collect();
        let (bytes, scales, biases) = Default::default();
        Ok(Checkpoint {
            tensors,
            dims: config.dims.clone(),
            quantized,
            unread,
            bytes,
            scales,
            biases,
        })
    }

    /// The sizes of the network, as the tensors have them.
    pub fn dims(&self) -> &Dims {
        &self.dims
    }

    /// The type of what is not packed, by the decoder's positions, which never are.
    pub fn float(&self) -> Float {
        match self.tensors.get("decoder.positional_embedding").map(Tensor::dtype) {
            Some(Dtype::Float(float)) => float,
            _ => Float::F32, // cannot be: all tensors were checked
        }
    }

    /// Where the weights come from, how many there are and how they are packed.
    pub fn description(&self) -> Description {
        let mut forms: BTreeMap<Form, u64> = BTreeMap::new();
        for part in parts(&self.dims) {
            let (path, n_weights, packed) = match &part {
                Part::Plain { name, shape } => (name.clone(), shape.iter().product(), None),
                Part::Matrix { path, n, k } => (format!("{path}.weight"), n * k, self.quantized.get(path)),
            };
            let dtype = self.tensors.get(&path).map(Tensor::dtype);
            let form = match (packed, dtype) {
                (Some(&quantization), _) => Form::Affine(quantization),
                (None, Some(Dtype::Float(float))) => Form::Dense(float),
                (None, _) => continue, // cannot be: all tensors were checked
            };
            *forms.entry(form).or_default() += n_weights as u64;
        }
        Description {
            source: self.tensors.path().into(),
            bytes: self.tensors.n_bytes(),
            parameters: forms.values().sum(),
            form: forms
                .into_iter()
                .max_by_key(|&(_, n)| n)
                .map_or(Form::Dense(Float::F32), |(form, _)| form),
        }
    }

    /// The weight `[n, k]` of a linear layer or embedding, by its path (`decoder.blocks.3.mlp1`): quantized where
    /// `PATH.scales` exists, as MLX decides.
    ///
    /// # Errors
    /// There is no such layer, or it has another shape; its bytes cannot be read; a scale or bias is not finite (MLX
    /// would go on and print nonsense).
    pub fn matrix(&mut self, path: &str, n: usize, k: usize) -> Result<Matrix<'_>> {
        let weight = format!("{path}.weight");
        let Some(&Quantization {
            bits,
            group_size: group,
        }) = self.quantized.get(path)
        else {
            let Dense { float, bytes } = self.tensor(&weight, &[n, k])?;
            return Ok(Matrix::Dense { float, bytes });
        };
        let (scales, biases) = (std::mem::take(&mut self.scales), std::mem::take(&mut self.biases));
        self.scales = self.values(&format!("{path}.scales"), &[n, k / group], scales)?;
        self.biases = self.values(&format!("{path}.biases"), &[n, k / group], biases)?;
        self.read(&weight, &[n, k * bits / 32])?;
        Ok(Matrix::Affine {
            bits,
            group,
            codes: &self.bytes,
            scales: &self.scales,
            biases: &self.biases,
        })
    }

    /// A bias or norm, by its whole name, widened.
    ///
    /// # Errors
    /// There is no such tensor, or it has another shape; its bytes cannot be read; a value is not finite.
    pub fn vector(&mut self, name: &str, len: usize) -> Result<Vec<f32>> {
        self.values(name, &[len], Vec::new())
    }

    /// A tensor that is never quantized (a convolution `[out, 3, in]`, the decoder's positions), by its whole name.
    ///
    /// # Errors
    /// There is no such tensor, or it has another shape; its bytes cannot be read.
    pub fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Dense<'_>> {
        let Dtype::Float(float) = self.read(name, shape)? else {
            return Err(self.tensors.error(format!("{name}: expected f32, f16 or bf16")));
        };
        Ok(Dense {
            float,
            bytes: &self.bytes,
        })
    }

    /// The cross-attention heads that word timestamps should listen to, where the checkpoint names them.
    ///
    /// # Errors
    /// The bytes cannot be read, or an entry is not a (layer, head) of this decoder.
    pub fn alignment_heads(&mut self) -> Result<Option<Vec<Head>>> {
        let Some(tensor) = self.tensors.get(inventory::ALIGNMENT_HEADS) else {
            return Ok(None);
        };
        let shape = tensor.shape().to_vec();
        let dtype = self.read(inventory::ALIGNMENT_HEADS, &shape)?;
        let number = |bytes: &[u8]| dtype.whole_number(bytes).and_then(|n| usize::try_from(n).ok());
        let heads = self.bytes.chunks_exact(2 * dtype.size()).map(|pair| {
            let (layer, head) = pair.split_at(dtype.size());
            let layer = number(layer).filter(|&layer| layer < self.dims.n_text_layer);
            let head = number(head).filter(|&head| head < self.dims.n_text_head);
            layer.zip(head).map(|(layer, head)| Head { layer, head })
        });
        heads.collect::<Option<Vec<_>>>().map(Some).ok_or_else(|| {
            self.tensors.error(format!(
                "{}: expected pairs of a layer below {} and a head below {}, in {dtype} {shape:?} there are others",
                inventory::ALIGNMENT_HEADS,
                self.dims.n_text_layer,
                self.dims.n_text_head,
            ))
        })
    }

    /// Closes the checkpoint.
    ///
    /// # Errors
    /// Tensors that were not read, by name: the network has left something out.
    pub fn finish(self) -> Result<()> {
        if self.unread.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = self.unread.iter().map(String::as_str).take(10).collect();
        let count = inventory::counted(self.unread.len(), "tensor");
        Err(self.tensors.error(format!("{count} left unread: {}", names.join(", "))))
    }

    /// Widens a tensor into `out`, all of it finite.
    fn values(&mut self, name: &str, shape: &[usize], mut out: Vec<f32>) -> Result<Vec<f32>> {
        let Dense { float, bytes } = self.tensor(name, shape)?;
        float.widen(bytes, &mut out);
        match out.iter().position(|value| !value.is_finite()) {
            None => Ok(out),
            Some(i) => Err(self
                .tensors
                .error(format!("{name}: element {i} is {}, expected a finite number", out[i]))),
        }
    }

    /// Reads a tensor into `self.bytes` and crosses it off.
    fn read(&mut self, name: &str, shape: &[usize]) -> Result<Dtype> {
        let tensor = self.tensors.get(name);
        let tensor = tensor.ok_or_else(|| self.tensors.error(format!("{name}: missing, expected {shape:?}")))?;
        if tensor.shape() != shape {
            return Err(self
                .tensors
                .error(format!("{name}: expected {shape:?}, found {:?}", tensor.shape())));
        }
        self.tensors.read(name, &mut self.bytes)?;
        self.unread.remove(name);
        Ok(tensor.dtype())
    }
}

impl Dense<'_> {
    /// The elements as `f32`, exactly.
    pub fn widened(&self) -> Vec<f32> {
        let mut values = Vec::new();
        self.float.widen(self.bytes, &mut values);
        values
    }
}

fn named_config(name: &str, json: &[u8]) -> Result<Config> {
    Config::parse(json).map_err(|problem| Error::Checkpoint {
        path: Path::new(name).join("config.json"),
        problem,
    })
}

/// At most one byte more than a config may have, so that its size is judged where all of it is.
fn read_config(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut json = Vec::new();
    File::open(path)?
        .take(MAX_CONFIG_BYTES as u64 + 1)
        .read_to_end(&mut json)?;
    Ok(json)
}

/// Text from a file as an error shows it: quoted, control characters escaped, cut to a line.
fn shown(text: &str) -> String {
    let cut: String = text.chars().take(80).collect();
    let ellipsis = if cut.len() < text.len() { "..." } else { "" };
    format!("{cut:?}{ellipsis}")
}
