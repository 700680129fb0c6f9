//! MLX's CPU wheel multiplies matrices by a reference BLAS, thirty times slower than OpenBLAS. Where the latter is opened
//! first, for all, libmlx binds to it.

use std::path::{Path, PathBuf};

use crate::ffi::Blas;
use crate::find::Installation;

/// What libmlx takes from a BLAS; OpenBLAS inside numpy has other names.
const SYMBOLS: [&str; 3] = ["cblas_sgemm", "sgemm_", "spotrf_"];

/// Opens the OpenBLAS beside the installation, else that of the system. On a Mac MLX has a fast one, Accelerate.
pub(crate) fn open(installation: &Installation) -> Option<(PathBuf, Blas)> {
    if cfg!(target_os = "macos") {
        return None;
    }
    let beside = installation.folder.parent().unwrap_or(Path::new("/"));
    let packaged = beside.join("cmeel.prefix/lib/libopenblas.so.0");
    let packaged = packaged.is_file().then_some(packaged);
    let system = ["libopenblas.so.0", "libopenblas.so"].map(PathBuf::from);
    packaged.into_iter().chain(system).find_map(|library| {
        let blas = crate::ffi::open_for_all(&library, &SYMBOLS).ok()?;
        Some((library, blas))
    })
}
