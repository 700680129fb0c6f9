//! Python's parsers of our forms, in a folder of the build.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What pip installs.
const PARSERS: [&str; 2] = ["webvtt-py==0.6.0", "srt==3.5.3"];

/// Reads the files of transcripts in `folder` back, with `tests/read_back.py`.
///
/// # Errors
/// Why there are no parsers here.
///
/// # Panics
/// A parser does not find what the json file says.
pub(crate) fn read_back(folder: &Path) -> Result<String, String> {
    let parsers = parsers()?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/read_back.py");
    let output = Command::new("python3")
        .arg(script)
        .arg(folder)
        .env("PYTHONPATH", parsers)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .map_err(|error| format!("python3 cannot be started: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(said)
}

/// The folder with the parsers; installed on the first call.
fn parsers() -> Result<PathBuf, String> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let folder = target.join("parsers-0.6.0-3.5.3");
    if folder.is_dir() {
        return Ok(folder);
    }
    // Two tests may do this at once: the first one whose folder gets the name is as good as the other.
    let part = target.join(format!("parsers-{}.part", std::process::id()));
    let output = Command::new("python3")
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--target",
        ])
        .arg(&part)
        .args(PARSERS)
        .output()
        .map_err(|error| format!("python3 cannot be started: {error}"))?;
    if !output.status.success() {
        let _ = fs::remove_dir_all(&part);
        let complaint = String::from_utf8_lossy(&output.stderr);
        let last = complaint.trim().lines().last().unwrap_or("no reason given").to_owned();
        return Err(format!("pip cannot install webvtt-py and srt: {last}"));
    }
    if fs::rename(&part, &folder).is_err() {
        let _ = fs::remove_dir_all(&part);
    }
    Ok(folder)
}
