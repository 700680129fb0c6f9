//! `compare`: two benchmarks, before and after a change; its exit code is for CI.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;

use super::Outcome;
use crate::accuracy::Accuracy;
use crate::bench::measurement::{Entry, Results, Row};
use crate::bench::ranking;
use crate::bench::stats::{self, Interval, IntervalKind};
use crate::console::{Console, printable};
use crate::report::{self, percent, time};

/// Compare two results of `benchmark`, and fail where the second is worse
///
/// Only what both have measured is compared: an implementation with a model, on the same samples.
#[derive(Args, Debug)]
#[command(after_help = HELP)]
pub(crate) struct CompareArgs {
    /// The results before, as `benchmark --export FILE.json` writes them
    before: PathBuf,
    /// The results after
    after: PathBuf,
    /// Exit with 1 where the second is slower by more than this, beyond what chance explains
    #[arg(long, value_name = "PERCENT", value_parser = per_cent)]
    fail_if_slower: Option<f64>,
    /// Exit with 1 where the word error rate of the second is worse by more than so many points
    #[arg(long, value_name = "POINTS", value_parser = points, allow_hyphen_values = true)]
    fail_if_wer: Option<f64>,
}

const HELP: &str = "\
Examples:
  whisper-speedtest compare before.json after.json
  whisper-speedtest compare before.json after.json --fail-if-slower 5% --fail-if-wer +0.3

Slower beyond chance: the 95 % interval of the ratio of the medians lies above 1; with fewer than 8 runs, every run of the second is
slower than every run of the first. Exit code 1, too, where a limit is set and something that was measured before is missing.";

pub(super) fn run(args: &CompareArgs, console: &Console) -> anyhow::Result<Outcome> {
    let (before, after) = (read(&args.before)?, read(&args.after)?);
    if before.machine != after.machine {
        console.warning("the two were measured on different machines, or on one in different states");
    }
    let threads = (before.settings.threads, after.settings.threads);
    if threads.0 != threads.1 {
        console.warning(format_args!(
            "measured with {} threads before, with {} after",
            threads.0, threads.1
        ));
    }
    let shared = shared(&before, &after);
    ensure!(
        !shared.is_empty(),
        "the two have no recording in common (equal in every sample)"
    );
    for (name, one) in [(&args.before, &before), (&args.after, &after)] {
        if one.recordings.len() > shared.len() {
            let left = one.recordings.len() - shared.len();
            console.warning(format_args!(
                "{}: {left} recordings that the other has not are left out",
                name.display()
            ));
        }
    }

    let limits = Limits {
        slower: args.fail_if_slower,
        wer: args.fail_if_wer,
    };
    let mut is_worse = false;
    for entry in &before.entries {
        let twin = after.entries.iter().find(|twin| is_same(entry, twin));
        let change = twin.and_then(|twin| Change::between(entry, twin, &shared));
        let (text, exceeded) = match &change {
            Some(change) => (change.describe(), change.exceeds(&limits)),
            None => (
                missing(entry, twin),
                limits.any().then_some("missing").into_iter().collect(),
            ),
        };
        if let Some((weights, others)) = twin.and_then(|twin| other_weights(entry, twin)) {
            let name = ranking::name(entry);
            console.warning(format_args!(
                "{name}: the weights were {weights:?}, and are {others:?} now"
            ));
        }
        let marks: String = exceeded.iter().map(|what| format!("  ** {what} **")).collect();
        is_worse |= !exceeded.is_empty();
        console.coloured_result(&format!(
            "{}: {}{marks}\n",
            printable(&ranking::name(entry)),
            printable(&text)
        ))?;
    }
    Ok(if is_worse { Outcome::SomeFailed } else { Outcome::Done })
}

fn read(path: &Path) -> anyhow::Result<Results> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    report::read(&text).with_context(|| path.display().to_string())
}

/// Recordings that are in both: their places in the first and in the second.
fn shared(before: &Results, after: &Results) -> Vec<(usize, usize)> {
    let place_in_after = |sha256: &str| after.recordings.iter().position(|recording| recording.sha256 == sha256);
    let places = before.recordings.iter().enumerate();
    places
        .filter_map(|(place, recording)| Some((place, place_in_after(&recording.sha256)?)))
        .collect()
}

/// A fallback is not what it stands in for.
fn is_same(entry: &Entry, twin: &Entry) -> bool {
    let identity = |entry: &Entry| (entry.implementation.clone(), entry.model.clone(), entry.fallback);
    identity(entry) == identity(twin)
}

/// What the runners said of their weights, where that is not the same.
fn other_weights<'a>(entry: &'a Entry, twin: &'a Entry) -> Option<(&'a str, &'a str)> {
    let weights = |entry: &'a Entry| entry.loaded.as_ref()?.weights.as_deref();
    weights(entry)
        .zip(weights(twin))
        .filter(|(before, after)| before != after)
}

fn missing(entry: &Entry, twin: Option<&Entry>) -> String {
    match (entry.obstacle(), twin.map(|twin| twin.obstacle())) {
        (Some(failure), _) => format!("failed before: {failure}"),
        (None, None) => "not measured after".into(),
        (None, Some(Some(failure))) => format!("failed after: {failure}"),
        (None, Some(None)) => "not measured on the recordings that both have".into(),
    }
}

struct Limits {
    /// A part of one.
    slower: Option<f64>,
    /// A part of one.
    wer: Option<f64>,
}

impl Limits {
    fn any(&self) -> bool {
        self.slower.is_some() || self.wer.is_some()
    }
}

/// How an entry has changed.
#[derive(Debug, PartialEq)]
struct Change {
    before: f64,
    after: f64,
    /// Of `after / before`.
    interval: Interval,
    /// Word error rates before and after.
    wer: Option<(f64, f64)>,
}

impl Change {
    /// `None` where one of them has no runs on one of the recordings.
    fn between(before: &Entry, after: &Entry, shared: &[(usize, usize)]) -> Option<Change> {
        let before: Vec<&Row> = shared
            .iter()
            .map(|&(place, _)| measured(before, place))
            .collect::<Option<_>>()?;
        let after: Vec<&Row> = shared
            .iter()
            .map(|&(_, place)| measured(after, place))
            .collect::<Option<_>>()?;
        let seconds = |rows: &[&Row]| -> Vec<Vec<f64>> { rows.iter().map(|row| row.seconds()).collect() };
        let (of_before, of_after) = (seconds(&before), seconds(&after));
        let (of_before, of_after) = (slices(&of_before), slices(&of_after));
        Some(Change {
            before: stats::total(&of_before),
            after: stats::total(&of_after),
            interval: Interval::of_ratio(&of_after, &of_before),
            wer: wer(&before).zip(wer(&after)),
        })
    }

    fn ratio(&self) -> f64 {
        self.after / self.before
    }

    /// Whether chance does not explain that the second is slower.
    fn is_slower(&self) -> bool {
        self.ratio() > 1.0 && self.interval.low > 1.0
    }

    fn is_faster(&self) -> bool {
        self.ratio() < 1.0 && self.interval.high < 1.0
    }

    fn describe(&self) -> String {
        let change = percent((self.ratio() - 1.0).abs());
        let judgement = if self.is_slower() {
            format!("{change} slower")
        } else if self.is_faster() {
            format!("{change} less time")
        } else {
            "no change that these runs can show".into()
        };
        let kind = match self.interval.kind {
            IntervalKind::Confidence => "95 % interval",
            IntervalKind::Range => "from min to max",
        };
        let Interval { low, high, .. } = self.interval;
        let wer = self.wer.map_or(String::new(), |(before, after)| {
            format!("; word error rate {} to {}", percent(before), percent(after))
        });
        format!(
            "{} to {}: {judgement} (ratio {:.3}, {kind} {low:.3} to {high:.3}){wer}",
            time(self.before),
            time(self.after),
            self.ratio()
        )
    }

    /// The limits that are exceeded.
    fn exceeds(&self, limits: &Limits) -> Vec<&'static str> {
        /// Word error rates are quotients of counts: this is less than any difference.
        const ROUNDING: f64 = 1e-9;
        let slower = limits
            .slower
            .is_some_and(|limit| self.is_slower() && self.ratio() > 1.0 + limit);
        let wer = self
            .wer
            .zip(limits.wer)
            .is_some_and(|((before, after), limit)| after - before > limit + ROUNDING);
        // A limit that nothing is held against would let everything pass.
        let unknown = limits.wer.is_some() && self.wer.is_none();
        let exceeded = [
            (slower, "slower than allowed"),
            (wer, "more word errors than allowed"),
            (unknown, "no word error rates: measure with --reference"),
        ];
        exceeded
            .into_iter()
            .filter_map(|(is, what)| is.then_some(what))
            .collect()
    }
}

fn measured(entry: &Entry, recording: usize) -> Option<&Row> {
    entry
        .rows
        .iter()
        .find(|row| row.recording == recording && row.time.is_some())
}

fn slices(groups: &[Vec<f64>]) -> Vec<&[f64]> {
    groups.iter().map(Vec::as_slice).collect()
}

fn wer(rows: &[&Row]) -> Option<f64> {
    let all: Option<Accuracy> = rows.iter().filter_map(|row| row.accuracy).reduce(|a, b| a + b);
    all.and_then(|accuracy| accuracy.words.rate())
}

/// `5%` or `5`, as a part of one.
fn per_cent(text: &str) -> Result<f64, String> {
    points(text.strip_suffix('%').unwrap_or(text))
}

/// `+0.3` or `0.3`, as a part of one.
fn points(text: &str) -> Result<f64, String> {
    let number: f64 = text.trim().parse().map_err(|_| "expected a number")?;
    if (0.0..=1000.0).contains(&number) {
        Ok(number / 100.0)
    } else {
        Err("expected 0 to 1000".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accuracy::Errors;
    use crate::bench::stats::Summary;

    fn entry(seconds: &[f64], errors: u64) -> Entry {
        let row = serde_json::json!({"recording": 0, "warmups": [], "runs": [], "texts_differ": false, "warnings": []});
        let mut row: Row = serde_json::from_value(row).unwrap();
        row.runs = seconds
            .iter()
            .map(|&seconds| crate::bench::measurement::Run {
                seconds,
                ..Default::default()
            })
            .collect();
        row.time = Summary::of(seconds);
        row.accuracy = Some(Accuracy {
            words: Errors {
                substitutions: errors,
                reference: 1000,
                ..Errors::default()
            },
            ..Accuracy::default()
        });
        let entry = serde_json::json!({
            "implementation": "a", "model": "base", "weights": "", "fallback": false, "rows": [row],
        });
        serde_json::from_value(entry).unwrap()
    }

    fn exceeds(before: &Entry, after: &Entry, slower: &str, wer: &str) -> Vec<&'static str> {
        let limits = Limits {
            slower: per_cent(slower).ok(),
            wer: points(wer).ok(),
        };
        Change::between(before, after, &[(0, 0)]).unwrap().exceeds(&limits)
    }

    #[test]
    fn limits_are_exceeded_beyond_chance_only() {
        let before = entry(&[1.0, 1.01, 0.99, 1.0, 1.02, 0.98, 1.0, 1.01, 0.99], 50);
        let scaled = |by: f64, errors| {
            entry(
                &before.rows[0].seconds().iter().map(|s| s * by).collect::<Vec<_>>(),
                errors,
            )
        };
        assert_eq!(
            exceeds(&before, &scaled(1.2, 50), "5%", "+0.3"),
            ["slower than allowed"]
        );
        assert_eq!(exceeds(&before, &scaled(1.04, 53), "5%", "+0.3"), [""; 0]);
        assert_eq!(
            exceeds(&before, &scaled(0.5, 54), "5", "0.3"),
            ["more word errors than allowed"]
        );
        // as much slower by the medians, and yet by chance
        let wild = entry(&[0.2, 1.2, 2.4, 0.3, 1.2, 2.2, 0.4, 1.9, 0.2], 50);
        assert_eq!(exceeds(&before, &wild, "5%", "+0.3"), [""; 0]);
        // few runs: only where none overlaps
        let few = |seconds: &[f64]| entry(seconds, 50);
        assert_eq!(
            exceeds(&few(&[1.0, 1.1]), &few(&[1.2, 1.3]), "5%", "1"),
            ["slower than allowed"]
        );
        assert_eq!(exceeds(&few(&[1.0, 1.25]), &few(&[1.2, 1.3]), "5%", "1"), [""; 0]);
        // a limit of word errors, and no word errors known
        let mut deaf = few(&[1.0, 1.1]);
        deaf.rows[0].accuracy = None;
        assert_eq!(exceeds(&few(&[1.0, 1.1]), &deaf, "5%", "no limit"), [""; 0]);
        assert!(exceeds(&few(&[1.0, 1.1]), &deaf, "5%", "1")[0].contains("--reference"));
    }

    #[test]
    fn a_change_is_described() {
        let change = Change::between(&entry(&[1.0; 9], 50), &entry(&[0.5; 9], 40), &[(0, 0)]).unwrap();
        assert_eq!(
            change.describe(),
            "1.00 s to 0.500 s: 50.00 % less time (ratio 0.500, 95 % interval 0.500 to 0.500); word error rate 5.00 % to 4.00 %"
        );
        assert_eq!(Change::between(&entry(&[], 0), &entry(&[1.0], 0), &[(0, 0)]), None);
    }

    #[test]
    fn other_weights_are_noticed() {
        let of = |weights: &str| {
            let mut entry = entry(&[1.0], 0);
            entry.loaded = Some(crate::implementations::protocol::Loaded {
                weights: Some(weights.to_owned()),
                ..Default::default()
            });
            entry
        };
        assert_eq!(other_weights(&of("int8"), &of("f32")), Some(("int8", "f32")));
        assert_eq!(other_weights(&of("int8"), &of("int8")), None);
        assert_eq!(other_weights(&of("int8"), &entry(&[1.0], 0)), None);
    }

    #[test]
    fn limits_are_spelled_with_or_without_signs() {
        assert_eq!(
            (per_cent("5%"), per_cent("5"), points("+0.3")),
            (Ok(0.05), Ok(0.05), Ok(0.003))
        );
        assert!(per_cent("-1").is_err() && points("x").is_err() && points("nan").is_err());
    }
}
