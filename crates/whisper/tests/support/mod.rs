//! What the tests share: where data lies, arrays of numpy, and how a skipped test says so.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking; its data is known"
)]

pub(crate) mod conformance;
pub(crate) mod mutate;

use std::io::Write;
use std::path::{Path, PathBuf};

use kernels::{Cpu, Isa};
use whisper::cpu::CpuModel;
use whisper::weights::Checkpoint;

/// The root of the project.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A place in the folder of recordings and golden data that may lie beside the project; says so where it is absent.
pub(crate) fn shared(test: &str, path: &str) -> Option<PathBuf> {
    let place = root().join("../shared").join(path);
    if place.exists() {
        return Some(place);
    }
    // Past the harness, which swallows what a passing test prints with a macro.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: ../shared/{path} is absent");
    None
}

/// The name of the model that ships with the program.
const BUNDLED: &str = "whisper-base-mlx-5bit";

/// The model that ships with the program.
pub(crate) fn bundled() -> PathBuf {
    root().join("assets").join(BUNDLED)
}

/// The model that golden transcripts were made with: the one that ships with the program, or one beside the project.
pub(crate) fn checkpoint(test: &str, name: &str) -> Option<PathBuf> {
    match name {
        BUNDLED => Some(bundled()),
        _ => shared(test, &format!("models/{name}")),
    }
}

/// Golden transcripts of a model, a line each: those of the bundled model lie beside the tests.
pub(crate) fn transcripts(test: &str, name: &str, suffix: &str) -> Option<String> {
    let path = format!("golden/transcripts/{name}{suffix}");
    let path = match name {
        BUNDLED => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path),
        _ => shared(test, &path)?,
    };
    Some(std::fs::read_to_string(path).unwrap())
}

/// Loads a model folder, to run on one thread: tests run side by side, and threads change no bit.
pub(crate) fn load(folder: &Path, isa: Isa) -> CpuModel {
    CpuModel::load(Checkpoint::open(folder).unwrap(), Cpu::with(isa, 1)).unwrap()
}

/// A `.npy` array of 32-bit floats or integers of any kind, as `f64`, with its shape.
pub(crate) fn npy(path: &Path) -> (Vec<usize>, Vec<f64>) {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let header_len = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..10 + header_len]).unwrap();
    let between = |a: &str, b: &str| header.split(a).nth(1).unwrap().split(b).next().unwrap();
    let shape = between("'shape': (", ")")
        .split(',')
        .filter_map(|n| n.trim().parse().ok())
        .collect();
    let data = &bytes[10 + header_len..];
    let values = match between("'descr': '", "'") {
        "<f4" => data
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()).into())
            .collect(),
        "<i4" => data
            .chunks_exact(4)
            .map(|b| i32::from_le_bytes(b.try_into().unwrap()).into())
            .collect(),
        "<i8" => data
            .chunks_exact(8)
            .map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64)
            .collect(),
        other => panic!("{}: type {other}", path.display()),
    };
    (shape, values)
}

/// The largest absolute difference; arrays of different length differ without bound.
pub(crate) fn distance(found: &[f32], expected: &[f64]) -> f64 {
    if found.len() != expected.len() {
        return f64::INFINITY;
    }
    let differences = found
        .iter()
        .zip(expected)
        .map(|(&found, expected)| (f64::from(found) - expected).abs());
    differences.fold(0.0, |worst, d| if d.is_nan() { f64::NAN } else { worst.max(d) })
}
