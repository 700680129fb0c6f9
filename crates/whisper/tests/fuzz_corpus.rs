//! What the fuzz targets do, over the inputs kept under `fuzz/corpus`.
#![expect(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::io::Write as _;
use std::path::PathBuf;

use support::mutate::mutate;
use whisper::fuzz::TARGETS;

/// The inputs of a target; none where the crate stands alone.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = support::root().join("fuzz/corpus").join(target);
    let Ok(entries) = folder.read_dir() else {
        writeln!(std::io::stderr(), "skipped: corpus of {target}: fuzz/corpus is absent").unwrap();
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    assert!(!paths.is_empty(), "{}", folder.display());
    paths.sort();
    paths
        .into_iter()
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect()
}

/// Seeds have an extension and are understood; what a fuzzer found has none.
#[test]
fn seeds_are_understood_and_findings_are_mended() {
    for (target, understands) in TARGETS {
        for (path, bytes) in corpus(target) {
            let understood = understands(&bytes);
            assert!(understood || path.extension().is_none(), "{}", path.display());
        }
    }
}

/// A little of what a fuzzer does, on every run.
#[test]
fn seeds_with_bytes_changed_are_read_or_refused() {
    for (target, understands) in TARGETS {
        for (path, bytes) in corpus(target) {
            for seed in 0..5 {
                let mutated = mutate(bytes.clone(), seed);
                let result = std::panic::catch_unwind(|| understands(&mutated));
                assert!(result.is_ok(), "{target}: {} seed {seed}", path.display());
            }
        }
    }
}

/// Every target is a program, too.
#[test]
fn every_target_can_be_fuzzed() {
    let targets = support::root().join("fuzz/fuzz_targets");
    if !targets.exists() {
        writeln!(std::io::stderr(), "skipped: every_target_can_be_fuzzed: fuzz is absent").unwrap();
        return;
    }
    let mut programs: Vec<String> = targets
        .read_dir()
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    let mut names = TARGETS.map(|(name, _)| name);
    programs.sort();
    names.sort_unstable();
    assert_eq!(programs, names);
}
