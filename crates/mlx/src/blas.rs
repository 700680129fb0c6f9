//! MLX's CPU wheel multiplies matrices by a reference BLAS, thirty times slower than OpenBLAS. Where the latter is opened
//! first, for all, libmlx binds to it.

use std::path::{Path, PathBuf};

use crate::ffi::Blas;
use crate::find::Installation;

/// What libmlx takes from a BLAS; OpenBLAS inside numpy has other names.
#[cfg(target_os = "linux")]
const SYMBOLS: [&str; 3] = ["cblas_sgemm", "sgemm_", "spotrf_"];

/// Opens the OpenBLAS beside the installation, else that of the system.
#[cfg(target_os = "linux")]
pub(crate) fn open(installation: &Installation) -> Option<(PathBuf, Blas)> {
    let beside = installation.folder.parent().unwrap_or(Path::new("/"));
    let packaged = beside.join("cmeel.prefix/lib/libopenblas.so.0");
    let packaged = packaged.is_file().then_some(packaged);
    let system = ["libopenblas.so.0", "libopenblas.so"].map(PathBuf::from);
    packaged.into_iter().chain(system).find_map(|library| {
        let blas = crate::ffi::open_for_all(&library, &SYMBOLS).ok()?;
        Some((library, blas))
    })
}

/// Elsewhere MLX has a fast one, Accelerate.
#[cfg(not(target_os = "linux"))]
pub(crate) fn open(_: &Installation) -> Option<(PathBuf, Blas)> {
    None
}
