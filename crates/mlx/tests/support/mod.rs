//! An MLX for the tests: that of `tools/setup-mlx.sh` in `target/mlx`, or the one that `WHISPER_MLX` names.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use mlx::{Mlx, Places, Prober};

/// The root of the project.
pub(crate) fn root() -> PathBuf {
    std::fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap()
}

/// Where to look.
pub(crate) fn places() -> Places {
    let mut places = Places::here();
    if places.named.is_none() {
        places = Places {
            environment: Some(root().join("target/mlx")),
            path: places.path,
            ..Places::default()
        };
    }
    places
}

/// The MLX of this process, compiled for and probed; says so where there is none.
pub(crate) fn mlx(test: &str) -> Option<Mlx> {
    static MLX: OnceLock<Result<Mlx, String>> = OnceLock::new();
    let opened = MLX.get_or_init(|| {
        let places = places();
        let mut candidates = places.candidates();
        candidates.retain(|candidate| candidate.source != "python3"); // the machine's own is not ours to test
        if candidates.is_empty() {
            return Err("no MLX in target/mlx (tools/setup-mlx.sh)".into());
        }
        let cache = root().join("target/mlx-cache");
        let enabled = mlx::enabled(&cache, &places)
            .map_or_else(|| mlx::enable(&candidates, &places, &cache, &prober(), &mut |_| {}), Ok);
        match enabled.and_then(|enabled| enabled.open()) {
            Err(error) if error.problem.starts_with("no C++ compiler") => Err(error.problem),
            other => Ok(other.unwrap_or_else(|error| panic!("{error}"))),
        }
    });
    match opened {
        Ok(mlx) => Some(mlx.clone()),
        Err(reason) => {
            let _ = writeln!(std::io::stderr(), "skipped: {test}: {reason}");
            None
        }
    }
}

/// This test binary, which has a test `probe_child`.
fn prober() -> Prober {
    Prober {
        program: std::env::current_exe().unwrap(),
        arguments: ["--exact", "probe_child", "--nocapture"].map(Into::into).into(),
    }
}

/// What `probe_child` does: probes where this process was started to do so.
pub(crate) fn probe_child() {
    let paths: Vec<PathBuf> = std::env::args_os()
        .skip(1)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .collect();
    let [shim, folder] = &paths[..] else { return };
    let probed = mlx::Installation::at(folder)
        .map_err(|problem| problem.clone())
        .and_then(|installation| mlx::probe(shim, &installation, false).map_err(|error| error.to_string()));
    match probed {
        Ok(about) => println!("\n{}", serde_json::to_string(&about).unwrap()),
        Err(problem) => panic!("{problem}"),
    }
    std::process::exit(0);
}
