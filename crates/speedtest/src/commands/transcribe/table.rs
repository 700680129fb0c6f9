//! How it went with all recordings.

use std::time::Duration;

use crate::console::clock;

/// How it went with a recording.
pub(super) struct Row {
    pub(super) input: String,
    pub(super) took: Duration,
    pub(super) end: End,
}

pub(super) enum End {
    Written { duration_s: f64, language: &'static str },
    Skipped,
    Failed,
}

/// A line for each recording, their sum, and how many have failed.
pub(super) fn table(rows: &[Row]) -> String {
    let names = rows.iter().map(|row| row.input.chars().count());
    let width = names.max().unwrap_or(0).max("recording".len());
    let line = |name: &str, duration_s: f64, took_s: f64, language: &str| {
        let speed = format!("{:.1}x", duration_s / took_s.max(1e-3));
        let line = format!(
            "{name:width$}  {:>8}  {took_s:>6.1} s  {speed:>6}  {language}",
            clock(duration_s)
        );
        line.trim_end().to_owned() + "\n"
    };
    let mut table = format!(
        "{:width$}  {:>8}  {:>8}  {:>6}  language\n",
        "recording", "audio", "took", "speed"
    );
    let (mut audio_s, mut took_s, mut failed, mut skipped) = (0.0, 0.0, 0, 0);
    for Row { input, took, end } in rows {
        match end {
            End::Written { duration_s, language } => {
                table += &line(input, *duration_s, took.as_secs_f64(), language);
                audio_s += duration_s;
                took_s += took.as_secs_f64();
            }
            End::Skipped => {
                table += &format!("{input:width$}  {:>8}\n", "skipped");
                skipped += 1;
            }
            End::Failed => {
                table += &format!("{input:width$}  {:>8}\n", "failed");
                failed += 1;
            }
        }
    }
    table += &line("together", audio_s, took_s, "");
    let skipped = if skipped > 0 {
        format!(", {skipped} skipped")
    } else {
        String::new()
    };
    let done = rows.iter().filter(|row| matches!(row.end, End::Written { .. })).count();
    table + &format!("{done} of {} done{skipped}, {failed} failed\n", rows.len())
}
