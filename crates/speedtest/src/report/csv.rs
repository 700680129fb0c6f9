//! A line for each entry and recording, for spreadsheets.

use super::escape;
use crate::bench::measurement::{Entry, Results, Row};
use crate::bench::stats::IntervalKind;

const COLUMNS: [&str; 32] = [
    "implementation",
    "version",
    "model",
    "weights",
    "weights_form",
    "fallback",
    "recording",
    "audio_seconds",
    "runs",
    "min_seconds",
    "median_seconds",
    "mean_seconds",
    "max_seconds",
    "sigma_seconds",
    "mad_seconds",
    "p95_seconds",
    "interval_low_seconds",
    "interval_high_seconds",
    "interval_kind",
    "speed",
    "start_seconds",
    "load_seconds",
    "first_run_seconds",
    "first_segment_seconds",
    "cpu_seconds",
    "peak_memory_bytes",
    "wer",
    "cer",
    "text",
    "handicap",
    "failure",
    "samples_seconds",
];

pub(super) fn render(results: &Results) -> String {
    let mut text = COLUMNS.join(",") + "\r\n";
    for entry in &results.entries {
        for row in &entry.rows {
            let cells = cells(results, entry, row).map(|cell| escape::csv(&cell));
            text += &(cells.join(",") + "\r\n");
        }
    }
    text
}

fn cells(results: &Results, entry: &Entry, row: &Row) -> [String; 32] {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let number = |number: Option<f64>| number.map_or(String::new(), |number| number.to_string());
    let recording = results.recordings.get(row.recording);
    let time = |of: fn(&crate::bench::stats::Summary) -> f64| number(row.time.as_ref().map(of));
    let audio = recording.map(|recording| recording.seconds);
    let first_segments: Vec<f64> = row.runs.iter().filter_map(|run| run.first_segment_seconds).collect();
    let cpu: Vec<f64> = row.runs.iter().filter_map(|run| run.cpu_seconds).collect();
    let median = |values: &[f64]| number(crate::bench::stats::Summary::of(values).map(|summary| summary.median));
    let loaded = entry.loaded.as_ref();
    let failure = row.failure.as_ref().or(entry.failure.as_ref());
    [
        entry.implementation.clone(),
        text(entry.identity.as_ref().map(|identity| identity.version.as_str())),
        entry.model.clone(),
        entry.weights.clone(),
        text(loaded.and_then(|loaded| loaded.weights.as_deref())),
        entry.fallback.to_string(),
        text(recording.map(|recording| recording.name.as_str())),
        number(audio),
        row.runs.len().to_string(),
        time(|time| time.min),
        time(|time| time.median),
        time(|time| time.mean),
        time(|time| time.max),
        time(|time| time.sigma),
        time(|time| time.mad),
        time(|time| time.p95),
        time(|time| time.interval.low),
        time(|time| time.interval.high),
        text(row.time.map(|time| match time.interval.kind {
            IntervalKind::Confidence => "confidence 95 %",
            IntervalKind::Range => "min to max",
        })),
        number(audio.zip(row.time).map(|(audio, time)| audio / time.median)),
        number(entry.start_seconds),
        number(entry.load_seconds),
        number(entry.first_run.as_ref().map(|run| run.seconds)),
        median(&first_segments),
        median(&cpu),
        entry.peak_memory_bytes.map_or(String::new(), |bytes| bytes.to_string()),
        number(row.accuracy.and_then(|accuracy| accuracy.words.rate())),
        number(row.accuracy.and_then(|accuracy| accuracy.characters.rate())),
        text(row.text.as_deref()),
        text(loaded.and_then(|loaded| loaded.handicap.as_deref())),
        failure.map_or(String::new(), ToString::to_string),
        row.seconds()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" "),
    ]
}
