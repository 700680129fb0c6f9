//! MLX's CPU wheel multiplies matrices by a reference BLAS, thirty times slower than OpenBLAS. Where the latter is opened
//! first, for all, libmlx binds to it.

use std::path::{Path, PathBuf};

use crate::ffi::Blas;
use crate::find::Installation;

/// What libmlx takes from a BLAS; OpenBLAS inside numpy has other names.
const SYMBOLS: [&str; 3] = ["cblas_sgemm", "sgemm_", "spotrf_"];

/// Kinds of processors beyond AVX2, in OpenBLAS's names, each with more than the one before.
const KINDS: [&str; 3] = ["SKYLAKEX", "COOPERLAKE", "SAPPHIRERAPIDS"];

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
    let has = [
        std::is_x86_feature_detected!("avx512bw") && std::is_x86_feature_detected!("avx512vl"),
        std::is_x86_feature_detected!("avx512bf16"),
        std::is_x86_feature_detected!("avx512fp16"),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let has = [false; 3];
    runs(build, has)
}

/// `has`: which of [`KINDS`] this processor is at least, by what each adds.
fn runs(build: &str, has: [bool; 3]) -> bool {
    let kind = KINDS
        .iter()
        .position(|kind| build.split_whitespace().any(|word| word == *kind));
    let chooses = build.split_whitespace().any(|word| word == "DYNAMIC_ARCH");
    chooses || kind.is_none_or(|kind| has[..=kind].iter().all(|&has| has))
}

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn a_build_for_another_processor_is_passed_over() {
        let fixed = "OpenBLAS 0.3.31 NO_AFFINITY SKYLAKEX MAX_THREADS=4";
        let chooses = "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH NO_AFFINITY SkylakeX MAX_THREADS=64";
        let newer = "OpenBLAS 0.3.30 NO_AFFINITY SAPPHIRERAPIDS MAX_THREADS=64";
        let (avx2, skylake, sapphire) = ([false; 3], [true, false, false], [true; 3]);
        assert_eq!(
            [avx2, skylake, sapphire].map(|has| runs(fixed, has)),
            [false, true, true]
        );
        assert_eq!(
            [avx2, skylake, sapphire].map(|has| runs(newer, has)),
            [false, false, true]
        );
        assert!(runs(chooses, avx2) && runs("OpenBLAS 0.3.30 NO_AFFINITY HASWELL MAX_THREADS=64", avx2));
    }
}
