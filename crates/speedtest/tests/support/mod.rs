//! What the tests of the program share.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub(crate) mod python;
#[cfg(target_os = "linux")]
pub(crate) mod terminal;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use whisper::audio::{AudioFile, AudioOptions};

/// The program, without what the environment of the tests may ask of it.
pub(crate) fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_whisper-speedtest"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WHISPER_SPEEDTEST_") {
            program.env_remove(name);
        }
    }
    program
}

/// The root of the project.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Eleven seconds of speech.
pub(crate) fn jfk() -> PathBuf {
    root().join("samples/jfk.flac")
}

/// A place in the folder of recordings and golden data that may lie beside the project; says so where it is absent.
pub(crate) fn shared(test: &str, path: &str) -> Option<PathBuf> {
    let place = root().join("../shared").join(path);
    if place.exists() {
        return Some(place);
    }
    skipped(test, format_args!("../shared/{path} is absent"));
    None
}

/// Past the harness, which swallows what a passing test prints with a macro.
pub(crate) fn skipped(test: &str, reason: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {reason}");
}

/// Whether the long form of a test is wanted.
pub(crate) fn all() -> bool {
    std::env::var_os("WHISPER_TEST_ALL").is_some()
}

/// Writes the eleven seconds so many times, one after the other, as a wave file.
pub(crate) fn speech(path: &Path, times: usize) {
    let samples = AudioFile::open(&jfk(), &AudioOptions::default())
        .unwrap()
        .read_all()
        .unwrap();
    let mut wave = header(samples.len() * times);
    for _ in 0..times {
        #[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
        wave.extend(
            samples
                .iter()
                .flat_map(|sample| ((sample * 32768.0) as i16).to_le_bytes()),
        );
    }
    fs::write(path, wave).unwrap();
}

/// Makes a wave file of silence that takes no room on most disks.
pub(crate) fn silence(path: &Path, seconds: usize) {
    let header = header(seconds * 16_000);
    fs::write(path, &header).unwrap();
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len((header.len() + seconds * 32_000) as u64).unwrap();
}

/// Of 16-bit samples, 16,000 a second.
fn header(samples: usize) -> Vec<u8> {
    let bytes = u32::try_from(2 * samples).unwrap();
    let mut header = Vec::new();
    header.extend(b"RIFF");
    header.extend((bytes + 36).to_le_bytes());
    header.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    header.extend(16_000u32.to_le_bytes());
    header.extend(32_000u32.to_le_bytes());
    header.extend(b"\x02\0\x10\0data");
    header.extend(bytes.to_le_bytes());
    header
}

/// The names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
