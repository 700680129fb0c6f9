//! Whisper on an MLX that the user has installed: on the GPU of a Mac, on one of NVIDIA, or, for tests, on a processor.
//!
//! ```text
//! find.rs    where an MLX is, and of which version          shim/wmx.{h,cpp}  the network in C++, part of this program
//! shim.rs    compiles it against that MLX's headers, once    cache.rs          into a folder that only the user can write
//! probe.rs   two small networks against stored numbers,     enable.rs         in a child; what has passed is remembered
//! ffi.rs     opens the shim: the only unsafe code           blas.rs           and OpenBLAS before it, on Linux
//! worker.rs  the one thread that MLX lives on               memory.rs         what there is no room for is not asked
//! model.rs   MlxModel, a whisper::Model
//! ```
//! Why so: MLX's C++ interface is stable in source, not in binary, from one patch release to the next (`docs/mlx.md`).
//! Nothing of MLX is needed to build this crate.

mod blas;
mod cache;
mod child;
mod enable;
mod ffi;
mod find;
mod memory;
mod model;
#[doc(hidden)]
#[path = "probe/network.rs"]
pub mod network;
mod probe;
mod shim;
mod worker;

use std::path::Path;

pub use enable::{Enabled, Prober, enable, enabled, folder};
pub use ffi::{Device, Memory};
pub use find::{Candidate, HOW_TO_INSTALL, Installation, OLDEST, Places, Version};
pub use model::{Audio, Hypothesis, MlxModel, Options};
pub use probe::probe;
pub use worker::{About, Mlx};

/// Why MLX cannot be used, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}{}{remedy}", if remedy.is_empty() { "" } else { "; " })]
pub struct Error {
    /// What is wrong, and where.
    pub problem: String,
    /// May be empty.
    pub remedy: String,
}

impl Error {
    pub(crate) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Error {
        Error {
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    pub(crate) fn io(path: &Path, error: &std::io::Error, remedy: &str) -> Error {
        Error::new(format!("{}: {error}", path.display()), remedy)
    }
}
