//! Who is faster, where the numbers allow to say so.

use std::fmt;

use super::measurement::{Entry, Results};
use super::plan::Candidate;
use super::stats::{self, Interval, IntervalKind};
use crate::accuracy::Accuracy;

/// The entries of one size of model, the best first.
#[derive(Debug)]
pub(crate) struct Ranking<'a> {
    pub(crate) size: &'a str,
    pub(crate) standings: Vec<Standing<'a>>,
    /// What can be said, each a sentence.
    pub(crate) verdicts: Vec<String>,
    /// Whether that is that the first is faster than all others.
    has_winner: bool,
}

impl<'a> Ranking<'a> {
    /// The fastest, if the numbers allow to say so.
    pub(crate) fn winner(&self) -> Option<&Standing<'a>> {
        self.standings.first().filter(|_| self.has_winner)
    }
}

/// An entry among those of its size.
#[derive(Debug)]
pub(crate) struct Standing<'a> {
    pub(crate) entry: &'a Entry,
    /// The sum over all recordings of the medians of their runs.
    pub(crate) seconds: Option<f64>,
    /// Of `seconds`.
    pub(crate) interval: Option<Interval>,
    /// Seconds of audio a second.
    pub(crate) speed: Option<f64>,
    /// Over all recordings that have a reference.
    pub(crate) accuracy: Option<Accuracy>,
    pub(crate) state: State,
}

/// Whether an entry can win.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum State {
    Ranked,
    /// Its word error rate is worse than the best one by so many points, more than the margin.
    LessAccurate(f64),
    /// It is not at home on this machine.
    Handicapped(String),
    Failed(String),
    /// The benchmark was ended before it.
    Unfinished,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            State::Ranked => Ok(()),
            State::LessAccurate(points) => write!(f, "not ranked: its word error rate is {points:.1} points worse"),
            State::Handicapped(why) => write!(f, "not ranked: {why}"),
            State::Failed(why) => write!(f, "failed: {why}"),
            State::Unfinished => f.write_str("not finished"),
        }
    }
}

/// Ranks the entries of each size by themselves.
pub(crate) fn rank(results: &Results) -> Vec<Ranking<'_>> {
    let mut sizes: Vec<&str> = Vec::new();
    for entry in &results.entries {
        let size = Candidate::size(&entry.model);
        if !sizes.contains(&size) {
            sizes.push(size);
        }
    }
    sizes.into_iter().map(|size| of_size(results, size)).collect()
}

fn of_size<'a>(results: &'a Results, size: &'a str) -> Ranking<'a> {
    let entries = results
        .entries
        .iter()
        .filter(|entry| Candidate::size(&entry.model) == size);
    let mut standings: Vec<Standing<'_>> = entries.map(|entry| standing(entry, results)).collect();
    let rate = |standing: &Standing<'_>| standing.accuracy.and_then(|accuracy| accuracy.words.rate());
    let measured = standings.iter().filter(|standing| standing.seconds.is_some());
    let best = measured.filter_map(rate).min_by(f64::total_cmp);
    for standing in standings.iter_mut().filter(|standing| standing.state == State::Ranked) {
        let worse = 100.0 * (rate(standing).zip(best).map_or(0.0, |(rate, best)| rate - best));
        if worse > results.settings.wer_margin {
            standing.state = State::LessAccurate(worse);
        }
    }
    standings.sort_by(|a, b| a.order().partial_cmp(&b.order()).unwrap_or(std::cmp::Ordering::Equal));
    let (verdicts, has_winner) = verdicts(&standings, results);
    Ranking {
        size,
        standings,
        verdicts,
        has_winner,
    }
}

fn standing<'a>(entry: &'a Entry, results: &Results) -> Standing<'a> {
    let samples: Vec<Vec<f64>> = entry.rows.iter().map(super::measurement::Row::seconds).collect();
    let groups = groups(&samples);
    let handicap = entry.loaded.as_ref().and_then(|loaded| loaded.handicap.clone());
    let is_whole = !groups.is_empty() && entry.rows.iter().all(|row| row.time.is_some());
    let state = match (entry.obstacle(), handicap) {
        (Some(failure), _) => State::Failed(failure.to_string()),
        (None, _) if !is_whole => State::Unfinished,
        (None, Some(why)) => State::Handicapped(why),
        (None, None) => State::Ranked,
    };
    let is_comparable = !matches!(state, State::Failed(_) | State::Unfinished);
    let seconds = is_comparable.then(|| stats::total(&groups));
    let audio: f64 = results.recordings.iter().map(|recording| recording.seconds).sum();
    Standing {
        entry,
        seconds,
        interval: is_comparable.then(|| Interval::of_total(&groups)),
        speed: seconds.map(|seconds| audio / seconds),
        accuracy: entry.rows.iter().filter_map(|row| row.accuracy).reduce(|a, b| a + b),
        state,
    }
}

impl Standing<'_> {
    /// First who can win, then who cannot, then who failed; each the faster first.
    fn order(&self) -> (u8, f64) {
        let class = match self.state {
            State::Ranked => 0,
            State::LessAccurate(_) | State::Handicapped(_) => 1,
            State::Failed(_) | State::Unfinished => 2,
        };
        (class, self.seconds.unwrap_or(f64::INFINITY))
    }

    /// Implementation and model, and what makes them others than they seem.
    pub(crate) fn name(&self) -> String {
        name(self.entry)
    }
}

/// `native base`; a fallback is another entry, and says so.
pub(crate) fn name(entry: &Entry) -> String {
    let fallback = if entry.fallback {
        format!(" (fallback: {})", entry.weights)
    } else {
        String::new()
    };
    format!("{} {}{fallback}", entry.implementation, entry.model)
}

/// What the numbers allow to say of those that can win, and whether one does.
fn verdicts(standings: &[Standing<'_>], results: &Results) -> (Vec<String>, bool) {
    let ranked: Vec<_> = standings
        .iter()
        .filter(|standing| standing.state == State::Ranked)
        .collect();
    let Some((first, others)) = ranked.split_first().filter(|(_, others)| !others.is_empty()) else {
        return (Vec::new(), false);
    };
    let mut verdicts: Vec<String> = others.iter().map(|other| compare(first, other)).collect();
    let is_sure = |other: &&&Standing<'_>| ratio(first.entry, other.entry).is_some_and(|ratio| ratio.is_significant());
    let has_winner = others.iter().filter(is_sure).count() == others.len();
    verdicts.push(if has_winner {
        let accurate = match first.accuracy {
            Some(_) => format!(
                ", and within {:.1} points of the best word error rate",
                results.settings.wer_margin
            ),
            None => String::new(),
        };
        format!("The fastest here: {}{accurate}.", first.name())
    } else {
        "No winner: the runs do not tell the first from the next.".to_owned()
    });
    (verdicts, has_winner)
}

/// How many times as fast `fast` is as `slow`.
pub(crate) struct Ratio {
    pub(crate) times: f64,
    pub(crate) interval: Interval,
}

impl Ratio {
    /// Whether the interval is one of confidence, and 1 lies outside.
    pub(crate) fn is_significant(&self) -> bool {
        self.interval.kind == IntervalKind::Confidence && !self.interval.contains(1.0)
    }
}

impl fmt::Display for Ratio {
    /// `3.10 ± 0.06`: as many digits as mean something.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let half = self.interval.half_width();
        let digits = match half {
            half if half >= 0.95 => 0,
            half if half >= 0.095 => 1,
            _ => 2,
        };
        write!(f, "{:.digits$} ± {:.digits$}", self.times, half.max(0.01))
    }
}

/// Of two entries that heard the same recordings.
pub(crate) fn ratio(fast: &Entry, slow: &Entry) -> Option<Ratio> {
    let (fast, slow) = (samples(fast), samples(slow));
    let (fast, slow) = (groups(&fast), groups(&slow));
    (!fast.is_empty() && fast.len() == slow.len()).then(|| Ratio {
        times: stats::total(&slow) / stats::total(&fast),
        interval: Interval::of_ratio(&slow, &fast),
    })
}

fn samples(entry: &Entry) -> Vec<Vec<f64>> {
    entry.rows.iter().map(super::measurement::Row::seconds).collect()
}

fn groups(samples: &[Vec<f64>]) -> Vec<&[f64]> {
    samples
        .iter()
        .map(Vec::as_slice)
        .filter(|group| !group.is_empty())
        .collect()
}

fn compare(first: &Standing<'_>, other: &Standing<'_>) -> String {
    let (a, b) = (first.name(), other.name());
    let Some(ratio) = ratio(first.entry, other.entry) else {
        return format!("{a} and {b} cannot be compared.");
    };
    let Interval { low, high, kind } = ratio.interval;
    match kind {
        IntervalKind::Confidence if ratio.is_significant() => format!("{a} is {ratio} times as fast as {b}."),
        IntervalKind::Confidence => format!(
            "{a} and {b} are equally fast, as far as these runs tell (ratio {:.2}, 95 % interval {low:.2} to {high:.2}).",
            ratio.times
        ),
        IntervalKind::Range => format!(
            "{a} took 1/{:.2} of the time of {b} (from min to max: {low:.2} to {high:.2}); fewer than {} runs of each declare no winner.",
            ratio.times,
            stats::ENOUGH
        ),
    }
}

#[cfg(test)]
mod tests;
