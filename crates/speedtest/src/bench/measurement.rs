//! The results of a benchmark, as they are kept in JSON: every sample, and why where there is none.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::machine::Machine;
use super::stats::Summary;
use crate::accuracy::Accuracy;
use crate::implementations::process::Failure;
use crate::implementations::protocol::{Identity, Loaded};

/// The form of the file; another number means that old readers would misunderstand it.
pub(crate) const SCHEMA: &str = "whisper-speedtest benchmark 1";

/// A benchmark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Results {
    /// [`SCHEMA`].
    pub(crate) schema: String,
    /// Version of this program.
    pub(crate) version: String,
    /// UTC.
    pub(crate) started: String,
    /// Whether it went on to its end; without, some rows are missing.
    pub(crate) complete: bool,
    pub(crate) machine: Machine,
    pub(crate) settings: Settings,
    pub(crate) recordings: Vec<Recording>,
    pub(crate) entries: Vec<Entry>,
    /// What casts doubt on all of it.
    pub(crate) warnings: Vec<String>,
}

/// How it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// Runs of each row; by default as many as the next three say.
    pub(crate) runs: Option<usize>,
    /// At least so many runs ...
    pub(crate) min_runs: usize,
    /// ... and so many seconds of runs of a row,
    pub(crate) min_seconds: f64,
    /// but no more than so many seconds of an entry, once three runs of each row are done.
    pub(crate) max_seconds: f64,
    /// Runs of each row that do not count, before those that do.
    pub(crate) warmup: usize,
    /// Seconds of rest before each run.
    pub(crate) cool_down: f64,
    /// Seconds that one reply may take.
    pub(crate) timeout: f64,
    /// Whether the runs of different implementations take turns.
    pub(crate) interleaved: bool,
    /// Of the order.
    pub(crate) seed: u64,
    pub(crate) threads: usize,
    /// Points of word error rate by which a winner may be worse than the best.
    pub(crate) wer_margin: f64,
}

/// What was heard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recording {
    pub(crate) name: String,
    pub(crate) seconds: f64,
    /// Of the samples (32-bit floats, little-endian, 16 kHz, mono).
    pub(crate) sha256: String,
    /// As given to everybody; `None`: detected.
    pub(crate) language: Option<String>,
    /// What is said in it.
    pub(crate) reference: Option<String>,
}

/// An implementation with a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) implementation: String,
    /// The name asked for.
    pub(crate) model: String,
    /// `None` where the runner never said who it is.
    pub(crate) identity: Option<Identity>,
    /// The weights given: a repository, a folder, `bundled`.
    pub(crate) weights: String,
    /// Whether they are not what the model's name stands for, but what is taken where that is missing.
    pub(crate) fallback: bool,
    pub(crate) loaded: Option<Loaded>,
    /// Seconds from the start of the process until it said who it is.
    pub(crate) start_seconds: Option<f64>,
    /// Seconds of loading, measured from outside.
    pub(crate) load_seconds: Option<f64>,
    /// The very first run of the child, which may compile or fetch pages, by the row it belongs to.
    pub(crate) first_run: Option<Run>,
    /// The most memory of the process group.
    pub(crate) peak_memory_bytes: Option<u64>,
    /// A row for each recording, in their order.
    pub(crate) rows: Vec<Row>,
    /// Why there is nothing at all.
    pub(crate) failure: Option<Failure>,
}

/// An entry on one recording.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Place among the recordings.
    pub(crate) recording: usize,
    pub(crate) warmups: Vec<Run>,
    /// Those that count, in their order.
    pub(crate) runs: Vec<Run>,
    /// Of the runs' seconds, measured from outside.
    pub(crate) time: Option<Summary>,
    pub(crate) text: Option<String>,
    /// The language that was taken.
    pub(crate) language: Option<String>,
    /// Whether not every run gave this text.
    pub(crate) texts_differ: bool,
    /// Of the text against the reference.
    pub(crate) accuracy: Option<Accuracy>,
    /// Where there is no reference: of the text against that of another implementation.
    pub(crate) agreement: Option<Agreement>,
    pub(crate) warnings: Vec<String>,
    pub(crate) failure: Option<Failure>,
}

/// How far two texts agree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Agreement {
    /// The implementation whose text is taken as the reference.
    pub(crate) with: String,
    pub(crate) differences: Accuracy,
}

/// A recording, transcribed once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// From the request to the end of the reply, by the harness.
    pub(crate) seconds: f64,
    /// The same as the runner measured it.
    pub(crate) inside_seconds: f64,
    /// Of the process group, in user and system mode.
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) first_segment_seconds: Option<f64>,
    pub(crate) stages: BTreeMap<String, f64>,
    pub(crate) counts: BTreeMap<String, u64>,
}

impl Row {
    /// The seconds of the runs that count.
    pub(crate) fn seconds(&self) -> Vec<f64> {
        self.runs.iter().map(|run| run.seconds).collect()
    }
}

impl Entry {
    /// What keeps this entry from being compared: it failed as a whole, or on a recording.
    pub(crate) fn obstacle(&self) -> Option<&Failure> {
        let of_rows = self.rows.iter().find_map(|row| row.failure.as_ref());
        self.failure.as_ref().or(of_rows)
    }

    /// Median of what `of` says of each run of a recording, summed over the recordings, as times are.
    pub(crate) fn median(&self, of: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
        let of_row = |row: &Row| {
            let values: Vec<f64> = row.runs.iter().filter_map(&of).collect();
            Summary::of(&values).map(|summary| summary.median)
        };
        let medians = self.rows.iter().filter_map(of_row);
        medians.reduce(|sum, median| sum + median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_recordings_are_added() {
        let row = |seconds: &[f64]| {
            let run = |&seconds: &f64| Run {
                cpu_seconds: Some(seconds),
                ..Run::default()
            };
            Row {
                runs: seconds.iter().map(run).collect(),
                ..Row::default()
            }
        };
        let entry = serde_json::json!({
            "implementation": "a", "model": "base", "weights": "", "fallback": false, "rows": [],
        });
        let mut entry: Entry = serde_json::from_value(entry).unwrap();
        assert_eq!(entry.median(|run| run.cpu_seconds), None);
        entry.rows = vec![row(&[1.0, 3.0, 2.0]), row(&[]), row(&[10.0, 30.0])];
        assert_eq!(entry.median(|run| run.cpu_seconds), Some(22.0));
        assert_eq!(entry.median(|run| run.first_segment_seconds), None);
    }
}
