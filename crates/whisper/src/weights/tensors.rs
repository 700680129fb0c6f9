//! The named tensors of one file, whatever its container.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::npz::Archive;
use super::source::Source;
use super::{safetensors, shown};
use crate::{Error, Result};

/// The named tensors of a safetensors or npz file.
///
/// Opening reads and checks the file's table of contents only; [`Tensors::read`] then brings one tensor at a time, from
/// any thread. Knows nothing of Whisper.
#[derive(Clone, Debug)]
pub struct Tensors {
    path: PathBuf,
    container: Container,
    tensors: BTreeMap<String, Tensor>,
    n_bytes: u64,
}

#[derive(Clone, Debug)]
enum Container {
    Safetensors(Source),
    Npz(Archive),
}

impl Tensors {
    /// Opens a file. Its content decides what it is, not its name.
    ///
    /// # Errors
    /// The file cannot be read, is truncated, or contradicts itself.
    pub fn open(path: &Path) -> Result<Tensors> {
        let source = Source::open(path).map_err(|cause| Error::Io {
            path: path.into(),
            cause,
        })?;
        Tensors::index(path, source)
    }

    /// The same for bytes in memory; `name` stands for the path in errors.
    ///
    /// # Errors
    /// As for [`Tensors::open`].
    pub fn from_bytes(name: &str, bytes: impl Into<Cow<'static, [u8]>>) -> Result<Tensors> {
        Tensors::index(Path::new(name), Source::Memory(Arc::new(bytes.into())))
    }

    /// The same for bytes within a file; `name` stands for the path in errors.
    ///
    /// # Errors
    /// As for [`Tensors::open`].
    pub fn from_part_of_file(name: &str, file: File, bytes: Range<u64>) -> Result<Tensors> {
        Tensors::index(Path::new(name), Source::part_of(file, bytes))
    }

    fn index(path: &Path, source: Source) -> Result<Tensors> {
        let n_bytes = source.len();
        let mut magic = [0; 4];
        let is_zip = source.read_exact_at(&mut magic, 0).is_ok() && magic.starts_with(b"PK");
        let indexed = if is_zip && magic[2..] != [0, 0] {
            Archive::index(&source).map(|(archive, tensors)| (Container::Npz(archive), tensors))
        } else {
            safetensors::index(&source).map(|tensors| (Container::Safetensors(source), tensors))
        };
        match indexed {
            Ok((container, tensors)) => Ok(Tensors {
                path: path.into(),
                container,
                tensors,
                n_bytes,
            }),
            Err(problem) => Err(Error::Checkpoint {
                path: path.into(),
                problem,
            }),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the file.
    pub fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// A tensor's type and shape, where it exists.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// All tensors by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Puts the bytes of a tensor into `out`: little-endian, row-major, [`Tensor::n_bytes`] of them.
    ///
    /// # Errors
    /// There is no such tensor, or its bytes cannot be read.
    pub fn read(&self, name: &str, out: &mut Vec<u8>) -> Result<()> {
        let tensor = self
            .get(name)
            .ok_or_else(|| self.error(format!("{}: missing", shown(name))))?;
        out.resize(tensor.n_bytes(), 0);
        match &self.container {
            Container::Safetensors(source) => source.read_exact_at(out, tensor.at).map_err(|e| e.to_string()),
            Container::Npz(archive) => archive.read(tensor, out),
        }
        .map_err(|problem| self.error(format!("{}: cannot be read: {problem}", shown(name))))
    }

    /// An error about this file.
    pub(super) fn error(&self, problem: impl Into<String>) -> Error {
        Error::Checkpoint {
            path: self.path.clone(),
            problem: problem.into(),
        }
    }
}

/// Type and shape of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    n_bytes: usize,
    /// safetensors: the first byte in the file. npz: the number of the entry.
    pub(super) at: u64,
}

impl Tensor {
    /// Refuses shapes whose bytes cannot be counted.
    pub(super) fn new(dtype: Dtype, shape: Vec<usize>, at: u64) -> Result<Tensor, String> {
        let n_bytes = shape
            .iter()
            .try_fold(dtype.size(), |bytes, &n| bytes.checked_mul(n))
            .filter(|_| shape.len() <= 8)
            .ok_or_else(|| format!("no tensor has the shape {:?}", &shape[..shape.len().min(9)]))?;
        Ok(Tensor {
            dtype,
            shape,
            n_bytes,
            at,
        })
    }

    /// Type of the elements.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Length along each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Elements in all.
    pub fn n_elements(&self) -> usize {
        self.n_bytes / self.dtype.size()
    }

    /// Bytes in all.
    pub fn n_bytes(&self) -> usize {
        self.n_bytes
    }
}

/// `f16 [448, 128]`
impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.dtype, self.shape)
    }
}

/// Type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Dtype {
    Float(Float),
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
}

/// A type of weights and activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Float {
    /// IEEE 754, 4 bytes.
    F32,
    /// IEEE 754, 2 bytes.
    F16,
    /// The upper half of an `F32`.
    Bf16,
}

impl Dtype {
    /// Bytes of an element.
    pub fn size(self) -> usize {
        match self {
            Dtype::Float(float) => float.size(),
            Dtype::I8 | Dtype::U8 | Dtype::Bool => 1,
            Dtype::I16 | Dtype::U16 => 2,
            Dtype::I32 | Dtype::U32 => 4,
            Dtype::I64 | Dtype::U64 | Dtype::F64 => 8,
        }
    }

    /// The first element of `bytes`, where it is a whole number. `None` for `f16` and `bf16`, in which nobody writes any.
    pub(super) fn whole_number(self, bytes: &[u8]) -> Option<i64> {
        Some(match self {
            Dtype::I8 => i8::from_le_bytes(*bytes.first_chunk()?).into(),
            Dtype::I16 => i16::from_le_bytes(*bytes.first_chunk()?).into(),
            Dtype::I32 => i32::from_le_bytes(*bytes.first_chunk()?).into(),
            Dtype::I64 => i64::from_le_bytes(*bytes.first_chunk()?),
            Dtype::U8 | Dtype::Bool => (*bytes.first()?).into(),
            Dtype::U16 => u16::from_le_bytes(*bytes.first_chunk()?).into(),
            Dtype::U32 => u32::from_le_bytes(*bytes.first_chunk()?).into(),
            Dtype::U64 => u64::from_le_bytes(*bytes.first_chunk()?).try_into().ok()?,
            Dtype::Float(_) | Dtype::F64 => return None,
        })
    }

    /// The name in a safetensors header.
    pub(super) fn from_safetensors(name: &str) -> Option<Dtype> {
        Some(match name {
            "F32" => Dtype::Float(Float::F32),
            "F16" => Dtype::Float(Float::F16),
            "BF16" => Dtype::Float(Float::Bf16),
            "F64" => Dtype::F64,
            "I8" => Dtype::I8,
            "I16" => Dtype::I16,
            "I32" => Dtype::I32,
            "I64" => Dtype::I64,
            "U8" => Dtype::U8,
            "U16" => Dtype::U16,
            "U32" => Dtype::U32,
            "U64" => Dtype::U64,
            "BOOL" => Dtype::Bool,
            _ => return None,
        })
    }

    /// The `descr` of an npy header. numpy has no bf16: MLX writes, and reads, two raw bytes.
    pub(super) fn from_npy(descr: &str) -> Option<Dtype> {
        Some(match descr {
            "<f4" => Dtype::Float(Float::F32),
            "<f2" => Dtype::Float(Float::F16),
            "<V2" | "|V2" => Dtype::Float(Float::Bf16),
            "<f8" => Dtype::F64,
            "|i1" | "<i1" => Dtype::I8,
            "<i2" => Dtype::I16,
            "<i4" => Dtype::I32,
            "<i8" => Dtype::I64,
            "|u1" | "<u1" => Dtype::U8,
            "<u2" => Dtype::U16,
            "<u4" => Dtype::U32,
            "<u8" => Dtype::U64,
            "|b1" | "<b1" => Dtype::Bool,
            _ => return None,
        })
    }
}

/// `f16`, `u32`
impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Dtype::Float(float) => format!("{float:?}"),
            other => format!("{other:?}"),
        };
        f.write_str(&name.to_lowercase())
    }
}

impl Float {
    /// Bytes of an element.
    pub fn size(self) -> usize {
        match self {
            Float::F32 => 4,
            Float::F16 | Float::Bf16 => 2,
        }
    }

    /// Little-endian elements as `f32`, exactly. `out` is cleared first; bytes that make no whole element are ignored.
    pub fn widen(self, bytes: &[u8], out: &mut Vec<f32>) {
        out.clear();
        match self {
            Float::F32 => out.extend(bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b))),
            Float::F16 => out.extend(
                bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|&b| half::f16::from_le_bytes(b).to_f32()),
            ),
            Float::Bf16 => out.extend(
                bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|&b| half::bf16::from_le_bytes(b).to_f32()),
            ),
        }
    }
}
