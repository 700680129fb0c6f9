//! What the fuzz targets for checkpoints do, over the inputs kept under `fuzz/corpus`.
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::io::Write as _;
use std::path::PathBuf;

use whisper::weights::{Config, Tensors};

/// The inputs of a target; none where the crate stands alone.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let Ok(entries) = folder.read_dir() else {
        writeln!(std::io::stderr(), "skipped: corpus of {target}: fuzz/corpus is absent").unwrap();
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn config() {
    for (path, json) in corpus("config") {
        let parsed = Config::parse(&json);
        assert!(
            parsed.is_ok() || path.extension().is_none(),
            "{}: {parsed:?}",
            path.display()
        );
    }
}

#[test]
fn tensors() {
    for (path, bytes) in [corpus("safetensors"), corpus("npz")].concat() {
        let tensors = Tensors::from_bytes("corpus", bytes);
        // Seeds have an extension and are good; what a fuzzer found has none.
        let tensors = match tensors {
            Ok(tensors) => tensors,
            Err(e) => {
                assert!(path.extension().is_none(), "{}: {e}", path.display());
                continue;
            }
        };
        let mut out = Vec::new();
        for (name, tensor) in tensors.iter().filter(|(_, tensor)| tensor.n_bytes() <= 1 << 20) {
            let read = tensors.read(name, &mut out);
            assert!(
                read.is_ok() || path.extension().is_none(),
                "{}: {name} {tensor}: {read:?}",
                path.display()
            );
        }
    }
}
