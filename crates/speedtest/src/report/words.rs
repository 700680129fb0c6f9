//! Figures as they are read: the same words in every form.

use crate::bench::measurement::{Entry, Results};
use crate::bench::ranking::Standing;
use crate::bench::stats::IntervalKind;

/// Seconds with three digits that mean something: `0.412 s`, `12.3 s`, `1.52 ms`.
pub(crate) fn time(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 0.1 => format!("{} ms", amount(seconds * 1000.0)),
        seconds => format!("{} s", amount(seconds)),
    }
}

/// A number with three digits that mean something.
pub(crate) fn amount(number: f64) -> String {
    let digits = match number.abs() {
        number if number >= 99.95 => 0,
        number if number >= 9.995 => 1,
        number if number >= 0.9995 => 2,
        _ => 3,
    };
    format!("{number:.digits$}")
}

/// `212 MB`, `3.1 GB`.
pub(crate) fn bytes(bytes: u64) -> String {
    let megabytes = bytes as f64 / 1e6;
    if megabytes < 1000.0 {
        format!("{megabytes:.0} MB")
    } else {
        format!("{:.1} GB", megabytes / 1000.0)
    }
}

/// A part of one as per cent.
pub(crate) fn percent(part: f64) -> String {
    format!("{:.2} %", 100.0 * part)
}

/// The columns of a table, but for the name.
pub(crate) const COLUMNS: [&str; 10] = [
    "time", "from", "to", "runs", "speed", "WER", "CER", "memory", "CPU", "load",
];

/// Their cells; empty where there is nothing to say.
pub(crate) fn cells(standing: &Standing<'_>) -> [String; 10] {
    let entry = standing.entry;
    let or_empty = |text: Option<String>| text.unwrap_or_default();
    let rate = |errors: Option<crate::accuracy::Errors>| or_empty(errors.and_then(|errors| errors.rate()).map(percent));
    [
        or_empty(standing.seconds.map(time)),
        or_empty(standing.interval.map(|interval| time(interval.low))),
        or_empty(standing.interval.map(|interval| time(interval.high))),
        runs(entry),
        or_empty(standing.speed.map(|speed| format!("{}x", amount(speed)))),
        rate(standing.accuracy.map(|accuracy| accuracy.words)),
        rate(standing.accuracy.map(|accuracy| accuracy.characters)),
        or_empty(entry.peak_memory_bytes.map(bytes)),
        or_empty(entry.median(|run| run.cpu_seconds).map(time)),
        or_empty(entry.load_seconds.map(time)),
    ]
}

/// `10`, or `5-8` where the rows of an entry have different numbers.
fn runs(entry: &Entry) -> String {
    let counts = || entry.rows.iter().map(|row| row.runs.len());
    match (counts().min(), counts().max()) {
        (Some(min), Some(max)) if min != max => format!("{min}-{max}"),
        (_, Some(max)) if max > 0 => max.to_string(),
        _ => String::new(),
    }
}

/// What the columns mean.
pub(crate) fn legend(results: &Results) -> String {
    let (recordings, of_cpu) = match results.recordings.len() {
        1 => ("median", "a run"),
        _ => ("sum over the recordings of the medians", "in the same sum"),
    };
    let kinds: Vec<IntervalKind> = results
        .entries
        .iter()
        .flat_map(|entry| &entry.rows)
        .filter_map(|row| Some(row.time?.interval.kind))
        .collect();
    let interval = if kinds.contains(&IntervalKind::Range) {
        "95 % interval from 8 runs on, min and max of fewer"
    } else {
        "95 % interval"
    };
    format!(
        "time: {recordings} of the runs after the first; from, to: {interval}; speed: seconds of audio a second; memory: peak of all its processes; CPU: seconds of all processors {of_cpu}; load: from cold"
    )
}

/// Name of an entry with version and form of the weights.
pub(crate) fn identity(entry: &Entry) -> String {
    let version = entry.identity.as_ref().map(|identity| identity.version.as_str());
    let weights = entry.loaded.as_ref().and_then(|loaded| loaded.weights.as_deref());
    let parts: Vec<&str> = version.into_iter().chain(weights).collect();
    parts.join(", ")
}

/// What was heard and how, in a line.
pub(crate) fn heard(results: &Results) -> String {
    let audio: f64 = results.recordings.iter().map(|recording| recording.seconds).sum();
    let what = match &results.recordings[..] {
        [one] => one.name.clone(),
        several => format!("{} recordings", several.len()),
    };
    let order = if results.settings.interleaved {
        "runs take turns"
    } else {
        "one after the other"
    };
    format!(
        "{what}, {} s; {} threads each; {order}, seed {}",
        amount(audio),
        results.settings.threads,
        results.settings.seed
    )
}

/// Remarks about an entry: in what it differs, what casts doubt on it.
pub(crate) fn remarks(entry: &Entry, results: &Results) -> Vec<String> {
    let differs = entry
        .loaded
        .iter()
        .flat_map(|loaded| &loaded.differs)
        .map(|what| format!("differs: {what}"));
    let several = results.recordings.len() > 1;
    let of_rows = entry
        .rows
        .iter()
        .flat_map(|row| row.warnings.iter().map(move |warning| (row.recording, warning)));
    let warnings = of_rows.map(|(recording, warning)| match results.recordings.get(recording) {
        Some(recording) if several => format!("{}: {warning}", recording.name),
        _ => warning.clone(),
    });
    let agreement = entry.rows.iter().filter_map(|row| {
        let agreement = row.agreement.as_ref()?;
        let rate = agreement.differences.words.rate().filter(|rate| *rate > 0.0)?;
        Some(format!(
            "its text differs from that of {} in {} of the words",
            agreement.with,
            percent(rate)
        ))
    });
    differs.chain(warnings).chain(agreement).collect()
}
