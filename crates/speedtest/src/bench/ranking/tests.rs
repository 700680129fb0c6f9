//! Sentences, from numbers.

use super::*;
use crate::accuracy::Errors;
use crate::bench::measurement::{Row, Run};
use crate::bench::stats::Summary;
use crate::implementations::process::{Failure, FailureKind};
use crate::implementations::protocol::Loaded;

const STEADY: [f64; 9] = [1.0, 1.01, 0.99, 1.0, 1.02, 0.98, 1.0, 1.01, 0.99];

fn entry(name: &str, seconds: &[f64], errors: u64) -> Entry {
    let run = |&seconds: &f64| Run {
        seconds,
        ..Run::default()
    };
    let row = Row {
        runs: seconds.iter().map(run).collect(),
        time: Summary::of(seconds),
        accuracy: Some(Accuracy {
            words: Errors {
                substitutions: errors,
                reference: 100,
                ..Errors::default()
            },
            ..Accuracy::default()
        }),
        ..Row::default()
    };
    Entry {
        implementation: name.into(),
        model: "base".into(),
        identity: None,
        weights: "org/weights".into(),
        fallback: false,
        loaded: Some(Loaded::default()),
        start_seconds: None,
        load_seconds: None,
        first_run: None,
        peak_memory_bytes: None,
        rows: vec![row],
        failure: None,
    }
}

fn times(by: f64) -> Vec<f64> {
    STEADY.iter().map(|seconds| seconds * by).collect()
}

fn results(entries: Vec<Entry>) -> Results {
    let settings = serde_json::json!({
        "min_runs": 5, "min_seconds": 3.0, "max_seconds": 60.0, "warmup": 1, "cool_down": 0.0, "timeout": 1.0,
        "interleaved": true, "seed": 0, "threads": 1, "wer_margin": 1.0,
    });
    let recording = serde_json::json!({"name": "a", "seconds": 10.0, "sha256": ""});
    Results {
        schema: String::new(),
        version: String::new(),
        started: String::new(),
        complete: true,
        machine: crate::bench::machine::Machine::default(),
        settings: serde_json::from_value(settings).unwrap(),
        recordings: vec![serde_json::from_value(recording).unwrap()],
        entries,
        warnings: Vec::new(),
    }
}

fn verdicts_of(entries: Vec<Entry>) -> Vec<String> {
    rank(&results(entries)).remove(0).verdicts
}

#[test]
fn the_faster_wins_where_the_interval_allows_it() {
    let verdicts = verdicts_of(vec![entry("slow", &times(3.1), 0), entry("fast", &STEADY, 0)]);
    assert_eq!(verdicts[0], "fast base is 3.10 ± 0.06 times as fast as slow base.");
    assert_eq!(
        verdicts[1],
        "The fastest here: fast base, and within 1.0 points of the best word error rate."
    );
}

#[test]
fn nobody_wins_by_chance() {
    let verdicts = verdicts_of(vec![entry("a", &STEADY, 0), entry("b", &times(1.001), 0)]);
    assert!(
        verdicts[0].starts_with("a base and b base are equally fast"),
        "{verdicts:?}"
    );
    assert!(verdicts[1].starts_with("No winner"), "{verdicts:?}");
}

#[test]
fn nobody_wins_with_few_runs() {
    let verdicts = verdicts_of(vec![entry("a", &STEADY[..7], 0), entry("b", &times(3.0), 0)]);
    assert!(verdicts[0].contains("fewer than 8 runs"), "{verdicts:?}");
    assert!(
        !verdicts[0].contains('±') && verdicts[1].starts_with("No winner"),
        "{verdicts:?}"
    );
}

#[test]
fn who_hears_worse_than_the_margin_never_wins() {
    let results = results(vec![
        entry("right", &times(2.0), 5),
        entry("wrong", &STEADY, 7),
        entry("near", &times(3.0), 6),
    ]);
    let ranking = rank(&results).remove(0);
    let order: Vec<(&str, bool)> = ranking
        .standings
        .iter()
        .map(|standing| (standing.entry.implementation.as_str(), standing.state == State::Ranked))
        .collect();
    assert_eq!(order, [("right", true), ("near", true), ("wrong", false)]);
    assert!(ranking.standings[2].state.to_string().contains("2.0 points worse"));
    assert!(
        ranking.verdicts.iter().all(|verdict| !verdict.contains("wrong")),
        "{:?}",
        ranking.verdicts
    );
}

#[test]
fn handicapped_failed_and_unfinished_entries_are_no_rivals() {
    let mut handicapped = entry("mlx", &STEADY, 0);
    handicapped.loaded = Some(Loaded {
        handicap: Some("not at home here".into()),
        ..Loaded::default()
    });
    let mut failed = entry("crashed", &STEADY, 0);
    failed.rows[0].failure = Some(Failure::new(FailureKind::Killed, "killed"));
    let unfinished = entry("unfinished", &[], 0);
    let results = results(vec![failed, unfinished, handicapped, entry("only", &STEADY, 0)]);
    let ranking = rank(&results).remove(0);
    let states: Vec<String> = ranking
        .standings
        .iter()
        .map(|standing| standing.state.to_string())
        .collect();
    assert_eq!(
        states,
        ["", "not ranked: not at home here", "failed: killed", "not finished"]
    );
    assert_eq!(ranking.verdicts, Vec::<String>::new());
    assert_eq!(
        ranking.standings[2].seconds, None,
        "a part of the recordings is not their sum"
    );
}

#[test]
fn sizes_are_ranked_apart_and_a_fallback_says_so() {
    let (mut large, mut bundled) = (entry("a", &STEADY, 0), entry("b", &STEADY, 0));
    large.model = "large".into();
    bundled.model = "bundled".into();
    bundled.fallback = true;
    let results = results(vec![large, bundled, entry("c", &STEADY, 0)]);
    let rankings = rank(&results);
    let sizes: Vec<(&str, usize)> = rankings
        .iter()
        .map(|ranking| (ranking.size, ranking.standings.len()))
        .collect();
    assert_eq!(sizes, [("large", 1), ("base", 2)]);
    assert_eq!(rankings[1].standings[0].name(), "b bundled (fallback: org/weights)");
}

#[test]
fn a_ratio_has_the_digits_that_mean_something() {
    let ratio = |times, half: f64| {
        let interval = Interval {
            low: times - half,
            high: times + half,
            kind: IntervalKind::Confidence,
        };
        Ratio { times, interval }.to_string()
    };
    assert_eq!(ratio(3.1234, 0.1), "3.1 ± 0.1");
    assert_eq!(ratio(3.1234, 0.04), "3.12 ± 0.04");
    assert_eq!(ratio(3.1234, 0.0001), "3.12 ± 0.01"); // no more than 1 % is promised
    assert_eq!(ratio(123.4, 2.0), "123 ± 2");
}

/// The colour of a winner is for one: not for the first of few runs, of equals, or of one.
#[test]
fn who_is_first_need_not_be_the_winner() {
    let winner_of = |entries: Vec<Entry>| {
        let results = results(entries);
        rank(&results).remove(0).winner().map(Standing::name)
    };
    let won = winner_of(vec![entry("slow", &times(3.1), 0), entry("fast", &STEADY, 0)]);
    assert_eq!(won.as_deref(), Some("fast base"));
    for nobody in [
        vec![entry("a", &STEADY, 0), entry("b", &times(1.001), 0)],
        vec![entry("a", &STEADY[..7], 0), entry("b", &times(3.0), 0)],
        vec![entry("a", &STEADY, 0)],
    ] {
        assert_eq!(winner_of(nobody), None);
    }
}
