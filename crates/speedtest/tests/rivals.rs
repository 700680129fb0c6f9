//! Rivals run for real, where `benches/rivals/setup.sh` has put them: `target/rivals`, or the folder that WHISPER_RIVALS names.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::Write as _;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;

const WEIGHTS: [(&str, &str); 5] = [
    ("native", "whisper-tiny.en-mlx"),
    ("whisper.cpp", "ggml-tiny.en-q8_0.bin"),
    ("pywhispercpp", "ggml-tiny.en.bin"),
    ("faster-whisper", "faster-whisper-tiny.en"),
    ("mlx-whisper", "whisper-tiny.en-mlx"),
];

/// The folder of rivals with a file in it; says so where there is none.
fn rivals(test: &str, file: &str) -> Option<PathBuf> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/rivals");
    let folder = std::env::var_os("WHISPER_RIVALS").map_or(built, PathBuf::from);
    if folder.join(file).exists() {
        return Some(folder);
    }
    writeln!(
        std::io::stderr(),
        "skipped: {test}: no {file} (benches/rivals/setup.sh)"
    )
    .unwrap();
    None
}

/// Measures `names` on the bundled recording, twice each: the entries of the results.
fn measured(folder: &Path, names: &str, arguments: &[&str]) -> Vec<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whisper-speedtest"));
    command.env("XDG_CACHE_HOME", folder.join("cache"));
    command
        .args([
            "benchmark",
            "--json",
            "-m",
            "tiny.en",
            "-n",
            "1",
            "-t",
            "2",
            "-i",
            names,
        ])
        .args(arguments);
    for (id, weights) in WEIGHTS {
        let weights = folder.join("models").join(weights);
        command.arg("--model-path").arg(format!("{id}={}", weights.display()));
    }
    let output = command.output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    let results: Value = serde_json::from_slice(&output.stdout).expect(&complaints);
    let entries = results["entries"].as_array().unwrap();
    assert_eq!(entries.len(), names.split(',').count(), "{results:#}");
    entries.clone()
}

/// One that has heard every word.
fn hears(entry: &Value) {
    assert_eq!(entry["failure"], Value::Null, "{entry:#}");
    let version = entry["identity"]["version"].as_str().unwrap();
    assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{version}");
    assert!(entry["peak_memory_bytes"].as_u64().unwrap() > 50 << 20, "{entry:#}");
    let row = &entry["rows"][0];
    let words = &row["accuracy"]["words"];
    assert_eq!(words["reference"], 22, "{entry:#}");
    let errors = ["substitutions", "deletions", "insertions"].map(|kind| words[kind].as_u64().unwrap());
    assert_eq!(errors, [0; 3], "{entry:#}");
    assert_eq!(row["texts_differ"], false);
    assert!(row["runs"][0]["seconds"].as_f64().unwrap() > 0.01, "{entry:#}");
}

#[test]
fn native_and_faster_whisper() {
    let test = "native_and_faster_whisper";
    let Some(folder) = rivals(test, "cache/whisper-speedtest/environments/faster-whisper") else {
        return;
    };
    for entry in measured(&folder, "native,faster-whisper", &[]) {
        hears(&entry);
        assert_eq!(entry["loaded"]["differs"], Value::Array(vec![]));
        if entry["implementation"] == "faster-whisper" {
            assert!(
                entry["loaded"]["weights"].as_str().unwrap().starts_with("int8"),
                "{entry:#}"
            );
        }
    }
}

#[test]
fn whisper_cpp_as_server_and_as_command() {
    for (program, apart) in [("whisper-server", 0), ("whisper-cli", 1)] {
        let test = "whisper_cpp_as_server_and_as_command";
        let Some(folder) = rivals(test, &format!("whisper.cpp/bin/{program}")) else {
            return;
        };
        let program = format!("whisper.cpp={}", folder.join("whisper.cpp/bin").join(program).display());
        let [entry] = &measured(&folder, "whisper.cpp", &["--program", &program])[..] else {
            panic!("one")
        };
        hears(entry);
        assert_eq!(entry["loaded"]["weights"], "q8_0");
        assert_eq!(entry["loaded"]["differs"].as_array().unwrap().len(), apart, "{entry:#}");
        let missing = ["--program", &program, "--model-path", "whisper.cpp:tiny.en=Cargo.toml"];
        let [entry] = &measured(&folder, "whisper.cpp", &missing)[..] else {
            panic!("one")
        };
        let why = entry["failure"]["message"].as_str().unwrap();
        assert!(why.contains("no ggml file"), "{why}");
    }
}

#[test]
fn pywhispercpp() {
    let Some(folder) = rivals("pywhispercpp", "cache/whisper-speedtest/environments/pywhispercpp") else {
        return;
    };
    let [entry] = &measured(&folder, "pywhispercpp", &[])[..] else {
        panic!("one")
    };
    hears(entry);
}

#[test]
fn mlx_whisper() {
    let Some(folder) = rivals("mlx_whisper", "cache/whisper-speedtest/environments/mlx-whisper") else {
        return;
    };
    let [entry] = &measured(&folder, "mlx-whisper", &[])[..] else {
        panic!("one")
    };
    hears(entry);
    assert_eq!(entry["loaded"]["weights"], "dense");
    assert_eq!(
        entry["loaded"]["device"] == "cpu",
        entry["loaded"]["handicap"].is_string(),
        "{entry:#}"
    );
}
