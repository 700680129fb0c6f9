//! `implementations`: what is ready here, and installing what is not. A script stands for uv.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use predicates::prelude::*;
use predicates::str::contains;
use tempfile::TempDir;

/// Makes the environment that uv is asked for, writes down what it was asked, and fails at `pip` if told so.
const UV: &str = r#"#!/bin/sh
echo "$@" >> "$LOG"
case $1 in
    venv) for last; do :; done; mkdir -p "$last/bin"; : > "$last/bin/python" ;;
    pip) [ -z "$FAIL" ] || exit 3; grep -q sha256 "$7" ;;
esac
"#;

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let uv = folder.path().join("uv");
        fs::write(&uv, UV).unwrap();
        fs::set_permissions(&uv, fs::Permissions::from_mode(0o755)).unwrap();
        Place { folder }
    }

    fn run(&self, arguments: &[&str], fail: bool) -> Assert {
        let folder = self.folder.path();
        Command::new(env!("CARGO_BIN_EXE_whisper-speedtest"))
            .arg("implementations")
            .args(arguments)
            .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
            .env("HOME", folder)
            .env("XDG_CACHE_HOME", folder.join("cache"))
            .env("LOG", folder.join("log"))
            .env("FAIL", if fail { "1" } else { "" })
            .assert()
    }

    fn environments(&self) -> Vec<String> {
        let caches = ["cache", "Library/Caches"].map(|cache| self.folder.path().join(cache));
        let folders = caches.map(|cache| cache.join("whisper-speedtest/environments"));
        let read = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().collect::<Vec<_>>();
        let entries = folders.iter().flat_map(|folder| read(folder));
        entries.map(|entry| entry.path().display().to_string()).collect()
    }
}

#[test]
fn nothing_is_installed_unasked() {
    let place = Place::new();
    let not_installed =
        contains("faster-whisper").and(contains("not installed; `whisper-speedtest implementations --install"));
    place.run(&[], false).success().stdout(not_installed);
    assert!(!place.folder.path().join("log").exists());
}

#[test]
fn packages_are_pinned_and_checked() {
    let place = Place::new();
    let ready = predicate::str::is_match("(?m)^faster-whisper .*\n.*\n +ready$").unwrap();
    place
        .run(&["--install", "faster-whisper"], false)
        .success()
        .stdout(ready.clone());
    place.run(&[], false).success().stdout(ready.clone());
    let log = fs::read_to_string(place.folder.path().join("log")).unwrap();
    assert!(
        log.lines()
            .nth(1)
            .unwrap()
            .starts_with("pip install --no-deps --require-hashes --python "),
        "{log}"
    );

    let [environment] = &place.environments()[..] else {
        panic!("{:?}", place.environments())
    };
    fs::write(Path::new(environment).join("requirements.txt"), "faster-whisper==0.1").unwrap();
    place.run(&[], false).success().stdout(contains(
        "of other versions; `whisper-speedtest implementations --install",
    ));
    place
        .run(&["--install", "faster-whisper"], false)
        .success()
        .stdout(ready);
    assert_eq!(place.environments().len(), 1);
}

#[test]
fn a_failed_installation_leaves_nothing() {
    let place = Place::new();
    let failed = place.run(&["--install", "mlx-whisper,native"], true).failure().code(1);
    let said = contains("mlx-whisper: uv pip failed").or(contains("mlx-whisper needs Apple silicon"));
    failed.stderr(said.and(contains("native: it is not a Python package")));
    assert_eq!(place.environments(), Vec::<String>::new());
}

#[test]
fn offline_installs_nothing() {
    let place = Place::new();
    place
        .run(&["--offline", "--install", "faster-whisper"], false)
        .failure()
        .code(2);
    place
        .run(&["--install", "fastest-whisper"], false)
        .failure()
        .stderr(contains("Did you mean faster-whisper?"));
    assert!(!place.folder.path().join("log").exists());
}
