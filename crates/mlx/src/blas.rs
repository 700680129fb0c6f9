//! MLX's CPU wheel multiplies matrices by a reference BLAS, thirty times slower than OpenBLAS. Where the latter is opened
//! first, for all, libmlx binds to it.

use std::path::{Path, PathBuf};

use crate::ffi::Blas;
use crate::find::Installation;

/// What libmlx takes from a BLAS; OpenBLAS inside numpy has other names.
const SYMBOLS: [&str; 3] = ["cblas_sgemm", "sgemm_", "spotrf_"];

/// Kinds of processors with AVX-512, in OpenBLAS's names.
const NEED_AVX512: [&str; 3] = ["SKYLAKEX", "COOPERLAKE", "SAPPHIRERAPIDS"];

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
        let blas = crate::ffi::open_for_all(&library, &SYMBOLS, runs_here).ok()?;
        Some((library, blas))
    })
}

/// Whether an OpenBLAS of this build runs on this processor. Most choose their kernels as they start; one made for a single kind
/// (as the Python package `cmeel-openblas` 0.3.31, for SKYLAKEX) ends the process elsewhere, at its first product.
fn runs_here(build: &str) -> bool {
    #[cfg(target_arch = "x86_64")]
    let avx512 = std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512dq")
        && std::is_x86_feature_detected!("avx512vl");
    #[cfg(not(target_arch = "x86_64"))]
    let avx512 = false;
    runs(build, avx512)
}

fn runs(build: &str, avx512: bool) -> bool {
    let mut words = build.split_whitespace();
    avx512 || !words.clone().any(|word| NEED_AVX512.contains(&word)) || words.any(|word| word == "DYNAMIC_ARCH")
}

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn a_build_for_another_processor_is_passed_over() {
        let fixed = "OpenBLAS 0.3.31 NO_AFFINITY SKYLAKEX MAX_THREADS=4";
        let chooses = "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH NO_AFFINITY SkylakeX MAX_THREADS=64";
        assert!(runs(fixed, true) && !runs(fixed, false));
        assert!(runs(chooses, true) && runs(chooses, false));
        assert!(runs("OpenBLAS 0.3.30 NO_AFFINITY HASWELL MAX_THREADS=64", false));
    }
}
