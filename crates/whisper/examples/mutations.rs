//! Damages recordings in seeded ways and reads them: no end of the program, no hang, no endless sound.
//!
//! ```text
//! cargo run --release -p whisper --example mutations -- FOLDER [COUNT]
//! ```
//! reads at least COUNT (20,000) damaged copies of the files of FOLDER. To repeat a finding: the same FOLDER and COUNT,
//! then the file and the seed that it names.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool of the developers")]

#[path = "../tests/support/mutate.rs"]
mod mutate;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use whisper::audio::{AudioFile, AudioOptions};

/// Longer than any of these takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Ten minutes: more than a gap may add to a short recording. Each gap may be as long, so a few may follow.
const MAX_SAMPLES: usize = 5 * 600 * 16_000;

#[derive(Default)]
struct Count {
    read: u64,
    refused: u64,
    /// The panics of dependencies, by where they were: caught, and the file refused.
    panics: BTreeMap<String, u64>,
    slowest: Duration,
    findings: Vec<String>,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(folder) = arguments.next() else {
        println!("usage: mutations FOLDER [COUNT]");
        return ExitCode::from(2);
    };
    let count = arguments.next().map_or(20_000, |n| n.parse().unwrap());
    let mut files: Vec<PathBuf> = Path::new(&folder)
        .read_dir()
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    files.sort();
    let seeds = u64::div_ceil(count, files.len() as u64);

    let mut found = Count::default();
    for file in &files {
        let original = std::fs::read(file).unwrap();
        for seed in 0..seeds {
            let name = format!("{} seed {seed}", file.display());
            found.add(&name, &mutate::mutate(original.clone(), seed));
        }
    }
    println!(
        "{} files, {seeds} seeds each: {} read, {} refused, slowest {:.2} s",
        files.len(),
        found.read,
        found.refused,
        found.slowest.as_secs_f64()
    );
    for (place, count) in &found.panics {
        println!("{count} caught panics: {place}");
    }
    for finding in &found.findings {
        println!("finding: {finding}");
    }
    ExitCode::from(u8::from(!found.findings.is_empty()))
}

impl Count {
    fn add(&mut self, name: &str, bytes: &[u8]) {
        let mut copy = tempfile::NamedTempFile::new().unwrap();
        copy.write_all(bytes).unwrap();
        let start = Instant::now();
        let result = AudioFile::open(
            copy.path(),
            &AudioOptions {
                ffmpeg: false,
                ..AudioOptions::default()
            },
        )
        .and_then(|mut audio| {
            let (mut samples, mut numbers) = (0, true);
            while let Some(chunk) = audio.next_chunk()? {
                samples += chunk.len();
                numbers &= chunk.iter().all(|x| x.is_finite());
            }
            Ok((samples, numbers))
        });
        self.slowest = self.slowest.max(start.elapsed());
        if start.elapsed() > PATIENCE {
            self.findings
                .push(format!("{name}: {:.0} s", start.elapsed().as_secs_f64()));
        }
        match result {
            Ok((samples, numbers)) => {
                self.read += 1;
                if samples > MAX_SAMPLES || !numbers {
                    self.findings
                        .push(format!("{name}: {samples} samples, all numbers: {numbers}"));
                }
            }
            Err(error) => {
                self.refused += 1;
                let error = error.to_string();
                if let Some((_, place)) = error.split_once("which is a bug: ") {
                    *self.panics.entry(place.to_owned()).or_default() += 1;
                    if place.contains("whisper/src/") {
                        self.findings.push(format!("{name}: {place}"));
                    }
                }
            }
        }
    }
}
