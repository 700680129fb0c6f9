//! What casts doubt on numbers, said with what to do about it.

use super::measurement::{Row, Run};
use super::stats::{Summary, z_scores};

/// A run is an outlier from this many standard deviations on, as the MAD estimates them (hyperfine's limit).
const OUTLIER: f64 = 14.826;

/// Where all runs but a few are nearly equal, less than this part of the median is no outlier.
const VISIBLE: f64 = 0.02;

/// Below this many seconds the harness and the clock are part of what is measured.
const SHORT: f64 = 0.005;

/// Runs whose MAD is a greater part of their median are not those of a quiet machine.
const UNSTEADY: f64 = 0.05;

/// A first run may be longer than the later ones by this factor without a word.
const SLOW_FIRST: f64 = 2.0;

/// Warnings about a row; `first` is the first run of its child.
pub(crate) fn of_row(row: &Row, first: Option<&Run>) -> Vec<String> {
    let seconds = row.seconds();
    let Some(time) = Summary::of(&seconds) else {
        return Vec::new();
    };
    let mut warnings = Vec::new();
    if time.median < SHORT {
        warnings.push(format!(
            "a run takes only {:.1} ms: take a longer recording",
            time.median * 1000.0
        ));
    }
    let is_far = |seconds: f64| (seconds - time.median).abs() > VISIBLE * time.median;
    let scores = z_scores(&seconds);
    let outliers = seconds
        .iter()
        .zip(&scores)
        .filter(|(seconds, z)| z.abs() > OUTLIER && is_far(**seconds))
        .count();
    if outliers > 0 {
        warnings.push(format!(
            "{outliers} of {} runs lie far from the others: other programs may have run; end them, or measure with --cool-down",
            time.n
        ));
    } else if time.mad > UNSTEADY * time.median && time.n >= 3 {
        warnings.push(format!(
            "the runs scatter by {:.0} %: the machine is not quiet, or too warm; try --cool-down",
            100.0 * time.mad / time.median
        ));
    }
    if let Some(first) = first.filter(|first| first.seconds > SLOW_FIRST * time.median && row.recording == 0) {
        warnings.push(format!(
            "the first run took {:.1} times as long: it is not counted, but who starts a program for one recording feels it",
            first.seconds / time.median
        ));
    }
    if row.texts_differ {
        warnings.push("not every run gave the same text".into());
    }
    warnings
}

/// How busy processors were between two looks, and by whom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ticks {
    busy: f64,
    stolen: f64,
    all: f64,
}

impl Ticks {
    /// Of all processors since the start of the system; `None` where the system does not say.
    pub(crate) fn now() -> Option<Ticks> {
        Ticks::parse(&std::fs::read_to_string("/proc/stat").ok()?)
    }

    fn parse(stat: &str) -> Option<Ticks> {
        let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
        let ticks: Vec<f64> = fields.map(str::parse).collect::<Result<_, _>>().ok()?;
        // user, nice, system, idle, iowait, irq, softirq, steal; guests are within user and nice
        let all: f64 = ticks.get(..8)?.iter().sum();
        Some(Ticks {
            busy: all - ticks[3] - ticks[4] - ticks[7],
            stolen: ticks[7],
            all,
        })
    }
}

/// What a look at a quiet moment says: before anything runs, nothing should.
pub(crate) fn of_idle(before: Ticks, after: Ticks) -> Option<String> {
    /// A part of all processors that others may take.
    const BUSY: f64 = 0.1;
    let busy = (after.busy - before.busy) / (after.all - before.all);
    (busy > BUSY).then(|| {
        format!(
            "the machine is busy with something else ({:.0} % of its processors): close it, and measure again",
            100.0 * busy
        )
    })
}

/// Whether a host took time from this virtual machine while it was measured.
pub(crate) fn of_host(before: Ticks, after: Ticks) -> Option<String> {
    const STOLEN: f64 = 0.02;
    let stolen = (after.stolen - before.stolen) / (after.all - before.all);
    (stolen > STOLEN).then(|| {
        format!(
            "the host of this virtual machine gave {:.0} % of its time to others: times are longer than they should be",
            100.0 * stolen
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seconds: &[f64]) -> Row {
        let run = |&seconds: &f64| Run {
            seconds,
            ..Run::default()
        };
        Row {
            runs: seconds.iter().map(run).collect(),
            ..Row::default()
        }
    }

    #[test]
    fn a_quiet_row_has_no_warnings() {
        assert_eq!(of_row(&row(&[1.0, 1.01, 0.99, 1.02]), None), Vec::<String>::new());
        assert_eq!(of_row(&row(&[]), None), Vec::<String>::new());
        assert_eq!(
            of_row(
                &row(&[1.0, 1.0, 1.0]),
                Some(&Run {
                    seconds: 1.9,
                    ..Run::default()
                })
            ),
            Vec::<String>::new()
        );
    }

    #[test]
    fn each_doubt_is_said() {
        let says = |row: &Row, first: f64, what: &str| {
            let warnings = of_row(
                row,
                Some(&Run {
                    seconds: first,
                    ..Run::default()
                }),
            );
            assert!(warnings.len() == 1 && warnings[0].contains(what), "{warnings:?}");
        };
        says(&row(&[0.001; 9]), 0.001, "only 1.0 ms");
        says(&row(&[1.0, 1.01, 0.99, 1.02, 1.0, 0.98, 3.0]), 1.0, "1 of 7 runs");
        says(&row(&[1.0, 1.3, 0.7, 1.2, 0.8]), 1.0, "scatter by 20 %");
        says(&row(&[1.0, 1.0, 1.0]), 2.5, "2.5 times as long");
        let mut row = row(&[1.0, 1.0]);
        row.texts_differ = true;
        says(&row, 1.0, "same text");
    }

    #[test]
    fn processors_are_watched() {
        let ticks = |line: &str| Ticks::parse(&format!("{line}\ncpu0 1\n")).unwrap();
        let start = ticks("cpu  100 0 100 800 0 0 0 0 0 0");
        assert_eq!(of_idle(start, ticks("cpu  105 0 100 1000 0 0 0 0 0 0")), None);
        assert!(
            of_idle(start, ticks("cpu  150 50 100 1000 0 0 0 0 0 0"))
                .unwrap()
                .contains("33 %")
        );
        assert_eq!(of_host(start, ticks("cpu  200 0 100 800 0 0 0 1 0 0")), None);
        assert!(
            of_host(start, ticks("cpu  190 0 100 800 0 0 0 10 0 0"))
                .unwrap()
                .contains("10 %")
        );
        assert_eq!(Ticks::parse("cpu  1 2 3"), None);
    }
}
