//! Recordings of every form, as `../shared/audio/formats_index.tsv` lists them, heard by the real program with the
//! bundled model: exit code, words, time and memory of each.
#![cfg(bundled_model)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use regex::RegexBuilder;
use wait4::Wait4 as _;

/// One line of the table.
struct Row {
    file: String,
    exits: Vec<i32>,
    /// Nothing but spaces where it is empty; case, punctuation and ends of lines do not matter.
    must_match: String,
    max_seconds: u64,
    max_bytes: u64,
    optional: bool,
}

/// What became of it.
struct Run {
    exit: Option<i32>,
    words: String,
    errors: String,
    took: Duration,
    peak_bytes: u64,
}

fn shared(test: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/audio");
    if !folder.exists() {
        writeln!(std::io::stderr(), "skipped: {test}: ../shared is absent").unwrap();
        return None;
    }
    Some(folder)
}

fn rows(folder: &Path) -> Vec<Row> {
    let table = fs::read_to_string(folder.join("formats_index.tsv")).unwrap();
    let cells = table.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    cells
        .map(|cells| Row {
            file: cells[0].into(),
            exits: cells[3].split('|').map(|code| code.parse().unwrap()).collect(),
            must_match: cells[4].into(),
            max_seconds: cells[6].parse().unwrap(),
            max_bytes: cells[7].parse::<u64>().unwrap() << 20,
            optional: cells[2] == "optional",
        })
        .collect()
}

fn transcribe(file: &Path, options: &[&str]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let [out, err] = ["out", "err"].map(|name| folder.path().join(name));
    let start = Instant::now();
    let child = Command::new(env!("CARGO_BIN_EXE_whisper-speedtest"))
        .args(["transcribe", "--language", "en"])
        .args(options)
        .arg(file)
        .stdin(Stdio::null())
        .stdout(File::create(&out).unwrap())
        .stderr(File::create(&err).unwrap())
        .spawn()
        .unwrap();
    let end = child.wait4().unwrap();
    let text = |path: &Path| String::from_utf8(fs::read(path).unwrap()).unwrap();
    Run {
        exit: end.status.code(),
        words: words(&text(&out)),
        errors: text(&err),
        took: start.elapsed(),
        peak_bytes: end.rusage.maxrss,
    }
}

fn words(text: &str) -> String {
    let letters: String = text
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { ' ' })
        .collect();
    letters.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What is not as the row says.
fn faults(row: &Row, run: &Run) -> String {
    let mut faults = String::new();
    if !run.exit.is_some_and(|code| row.exits.contains(&code)) {
        write!(faults, "exit {:?}; ", run.exit).unwrap();
    }
    let pattern = RegexBuilder::new(&row.must_match)
        .case_insensitive(true)
        .build()
        .unwrap();
    if !pattern.is_match(&run.words) {
        write!(faults, "words {:?}; ", run.words).unwrap();
    }
    if run.took > Duration::from_secs(row.max_seconds) {
        write!(faults, "{:.1} s; ", run.took.as_secs_f64()).unwrap();
    }
    if run.peak_bytes > row.max_bytes {
        write!(faults, "{} MB; ", run.peak_bytes >> 20).unwrap();
    }
    // A refusal says why, and of which file; so does what is damaged.
    if run.exit == Some(1) && !run.errors.contains(&*row.file) {
        write!(faults, "error {:?}; ", run.errors).unwrap();
    }
    if run.errors.contains("which is a bug") || run.errors.contains("panicked") {
        write!(faults, "error {:?}; ", run.errors).unwrap();
    }
    faults
}

/// All rows with `WHISPER_TEST_ALL=1` (`--release` is far faster), else every ninth.
#[test]
fn every_row_of_the_table_holds() {
    let Some(folder) = shared("every_row_of_the_table_holds") else {
        return;
    };
    let all = std::env::var_os("WHISPER_TEST_ALL").is_some();
    let ffmpeg = Command::new("ffmpeg").arg("-version").output().is_ok();
    if !ffmpeg {
        writeln!(std::io::stderr(), "skipped: every_row_with_ffmpeg: ffmpeg is absent").unwrap();
    }
    let step = if all { 1 } else { 9 };
    let (mut wrong, mut count) = (Vec::new(), 0);
    for row in rows(&folder).iter().step_by(step) {
        let file = folder.join(&row.file);
        let run = transcribe(&file, &["--no-ffmpeg"]);
        eprintln!(
            "{:<44} exit {:?} {:6.2} s {:4} MB  {} | {}",
            row.file,
            run.exit,
            run.took.as_secs_f64(),
            run.peak_bytes >> 20,
            run.words,
            run.errors.lines().last().unwrap_or_default()
        );
        count += 1;
        let found = faults(row, &run);
        if !found.is_empty() {
            wrong.push(format!("{}: {found}", row.file));
        }
        // ffmpeg, where it is installed, changes nothing but what we cannot read.
        if ffmpeg && (all || row.optional) {
            let with = transcribe(&file, &[]);
            let speech = "country can do for you";
            if row.optional && !with.words.contains(speech) {
                wrong.push(format!("{} with ffmpeg: {:?} {}", row.file, with.words, with.errors));
            }
            let differs = (with.exit, &with.words) != (run.exit, &run.words);
            if !row.optional && (differs || !faults(row, &with).is_empty()) {
                wrong.push(format!("{} with ffmpeg: {:?} {:?}", row.file, with.exit, with.words));
            }
        }
    }
    eprintln!("{} of {count} rows hold", count - wrong.len());
    assert!(count > 0 && wrong.is_empty(), "{wrong:#?}");
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/jfk.flac")
}

/// What could be read is written all the same.
#[test]
fn a_damaged_recording_fails_only_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.flac");
    let whole = fs::read(sample()).unwrap();
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    for (options, exit) in [(&[][..], 0), (&["--strict"], 1)] {
        let run = transcribe(&cut, options);
        assert_eq!(run.exit, Some(exit), "{}", run.errors);
        assert!(run.words.contains("my fellow Americans"), "{}", run.words);
        assert!(run.errors.contains("holds 11.0 s of sound, and 5."), "{}", run.errors);
    }
}

/// What can be read only once.
#[cfg(unix)]
#[test]
fn standard_input_and_pipes_are_heard() {
    let expected = transcribe(&sample(), &[]).words;
    assert!(expected.contains("your country can do for you"), "{expected}");
    for shell in [
        r#"cat "$2" | "$1" transcribe --language en -"#,
        r#""$1" transcribe --language en - < "$2""#,
        r#""$1" transcribe --language en <(cat "$2")"#,
    ] {
        let output = Command::new("bash")
            .args(["-c", shell, "bash", env!("CARGO_BIN_EXE_whisper-speedtest")])
            .arg(sample())
            .output()
            .unwrap();
        let heard = words(&String::from_utf8(output.stdout).unwrap());
        assert_eq!(heard, expected, "{shell}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
