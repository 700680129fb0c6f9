//! Statistics of times: pure functions of samples.
//!
//! Checked against numpy and scipy (`tools/golden/make_statistics.py`).

use serde::{Deserialize, Serialize};

/// Fewer samples than this give no interval of confidence, only a range, and no winner.
pub(crate) const ENOUGH: usize = 8;

/// Resamples of a bootstrap: the ends of a 95 % interval are then the 250th from each side.
const RESAMPLES: usize = 10_000;

/// One sample described. Seconds, where the samples are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) n: usize,
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) mean: f64,
    pub(crate) max: f64,
    /// Standard deviation of the population that the samples come from; 0 for one.
    pub(crate) sigma: f64,
    /// Median of the absolute deviations from the median, as it is (not scaled to sigma).
    pub(crate) mad: f64,
    /// 95th percentile, between two samples on the line from one to the other.
    pub(crate) p95: f64,
    /// Of the median.
    pub(crate) interval: Interval,
}

impl Summary {
    /// `None` without samples.
    #[expect(clippy::cast_precision_loss, reason = "counts of runs")]
    pub(crate) fn of(samples: &[f64]) -> Option<Summary> {
        let sorted = sorted(samples);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let n = sorted.len() as f64;
        let mean = sorted.iter().sum::<f64>() / n;
        let squares: f64 = sorted.iter().map(|x| (x - mean).powi(2)).sum();
        Some(Summary {
            n: sorted.len(),
            min,
            median: percentile(&sorted, 0.5),
            mean,
            max,
            sigma: if sorted.len() > 1 {
                (squares / (n - 1.0)).sqrt()
            } else {
                0.0
            },
            mad: mad(&sorted),
            p95: percentile(&sorted, 0.95),
            interval: Interval::of_total(&[samples]),
        })
    }
}

/// Where a value probably lies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Interval {
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) kind: IntervalKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum IntervalKind {
    /// 95 % of confidence: percentiles of the bootstrap.
    Confidence,
    /// From the least to the greatest sample: there are fewer than [`ENOUGH`].
    Range,
}

impl Interval {
    /// Of the sum of the medians of `groups` (one group a recording).
    pub(crate) fn of_total(groups: &[&[f64]]) -> Interval {
        if !enough(groups) {
            return Interval::of_range(groups);
        }
        Interval::percentiles(resampled_totals(groups, 1))
    }

    /// Of the quotient of two sums of medians.
    pub(crate) fn of_ratio(numerator: &[&[f64]], denominator: &[&[f64]]) -> Interval {
        if !enough(numerator) || !enough(denominator) {
            let (above, below) = (Interval::of_range(numerator), Interval::of_range(denominator));
            return Interval {
                low: above.low / below.high,
                high: above.high / below.low,
                kind: IntervalKind::Range,
            };
        }
        let above = resampled_totals(numerator, 1);
        let below = resampled_totals(denominator, 2);
        Interval::percentiles(above.iter().zip(below).map(|(above, below)| above / below).collect())
    }

    fn of_range(groups: &[&[f64]]) -> Interval {
        let whole = |pick: fn(f64, f64) -> f64| -> f64 {
            groups
                .iter()
                .filter_map(|group| group.iter().copied().reduce(pick))
                .sum()
        };
        Interval {
            low: whole(f64::min),
            high: whole(f64::max),
            kind: IntervalKind::Range,
        }
    }

    fn percentiles(mut values: Vec<f64>) -> Interval {
        values.sort_by(f64::total_cmp);
        Interval {
            low: percentile(&values, 0.025),
            high: percentile(&values, 0.975),
            kind: IntervalKind::Confidence,
        }
    }

    pub(crate) fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// Half of its width: the number after a `±`.
    pub(crate) fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0
    }
}

/// Whether every group has [`ENOUGH`] samples.
pub(crate) fn enough(groups: &[&[f64]]) -> bool {
    !groups.is_empty() && groups.iter().all(|group| group.len() >= ENOUGH)
}

/// The sum of the medians of the groups.
pub(crate) fn total(groups: &[&[f64]]) -> f64 {
    groups.iter().map(|group| percentile(&sorted(group), 0.5)).sum()
}

/// The value below which the part `p` of the sorted samples lies, on the line between two of them (numpy's default);
/// NaN without samples.
pub(crate) fn percentile(sorted: &[f64], p: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    #[expect(clippy::cast_precision_loss, reason = "counts of runs")]
    let place = p.clamp(0.0, 1.0) * last as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to last")]
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * place.fract()
}

/// Median absolute deviation of sorted samples.
fn mad(sorted: &[f64]) -> f64 {
    let median = percentile(sorted, 0.5);
    let mut deviations: Vec<f64> = sorted.iter().map(|x| (x - median).abs()).collect();
    deviations.sort_by(f64::total_cmp);
    percentile(&deviations, 0.5)
}

/// How far each sample lies from the median, in standard deviations as the MAD estimates them (the modified z-score of
/// Iglewicz and Hoaglin, 1993). Empty where most samples are equal: then nothing can be said.
pub(crate) fn z_scores(samples: &[f64]) -> Vec<f64> {
    /// The third quartile of the normal distribution.
    const QUARTILE: f64 = 0.674_489_750_196_081_7;
    let sorted = sorted(samples);
    let (median, mad) = (percentile(&sorted, 0.5), mad(&sorted));
    if mad == 0.0 {
        return Vec::new();
    }
    samples.iter().map(|x| QUARTILE * (x - median) / mad).collect()
}

fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Totals of medians of samples drawn again, with replacement, within each group.
fn resampled_totals(groups: &[&[f64]], seed: u64) -> Vec<f64> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut totals = vec![0.0; RESAMPLES];
    for group in groups {
        // The median of a resample of a sorted sample needs only ranks.
        let sorted = sorted(group);
        let mut counts = vec![0_u32; sorted.len()];
        for total in &mut totals {
            counts.fill(0);
            for _ in 0..sorted.len() {
                counts[random.usize(..sorted.len())] += 1;
            }
            *total += median_of_counts(&sorted, &counts);
        }
    }
    totals
}

/// The median of a sample in which the `i`th value occurs `counts[i]` times.
fn median_of_counts(sorted: &[f64], counts: &[u32]) -> f64 {
    let n = sorted.len();
    let (mut seen, mut lower) = (0, None);
    for (&value, &count) in sorted.iter().zip(counts) {
        seen += count as usize;
        if lower.is_none() && seen > (n - 1) / 2 {
            lower = Some(value);
        }
        if seen > n / 2 {
            return f64::midpoint(lower.unwrap_or(value), value);
        }
    }
    f64::NAN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Known {
        samples: std::collections::BTreeMap<String, Of>,
        ratios: Vec<Quotient>,
    }

    #[derive(Deserialize)]
    struct Of {
        samples: Vec<f64>,
        min: f64,
        max: f64,
        median: f64,
        mean: f64,
        sigma: Option<f64>,
        mad: f64,
        p95: f64,
        z: Option<Vec<f64>>,
        interval: Option<[f64; 2]>,
        sampled_interval: Option<[f64; 2]>,
    }

    #[derive(Deserialize)]
    struct Quotient {
        of: String,
        to: String,
        ratio: f64,
        interval: [f64; 2],
    }

    fn known() -> Known {
        serde_json::from_str(include_str!("../../tests/stats/known.json")).unwrap()
    }

    fn close(found: f64, expected: f64, tolerance: f64, what: &str) {
        assert!(
            (found - expected).abs() <= tolerance * expected.abs().max(1e-9),
            "{what}: {found}, expected {expected}"
        );
    }

    #[test]
    fn as_numpy_and_scipy_have_them() {
        for (name, of) in known().samples {
            let summary = Summary::of(&of.samples).unwrap();
            assert_eq!(
                (summary.n, summary.min, summary.max),
                (of.samples.len(), of.min, of.max)
            );
            close(summary.median, of.median, 1e-12, &name);
            close(summary.mean, of.mean, 1e-12, &name);
            close(summary.sigma, of.sigma.unwrap_or(0.0), 1e-12, &name);
            close(summary.mad, of.mad, 1e-12, &name);
            close(summary.p95, of.p95, 1e-12, &name);
            let (found, expected) = (z_scores(&of.samples), of.z.unwrap_or_default());
            assert_eq!(found.len(), expected.len(), "{name}");
            found
                .iter()
                .zip(expected)
                .for_each(|(found, expected)| close(*found, expected, 1e-9, &name));
        }
    }

    #[test]
    fn intervals_of_the_bootstrap_are_the_exact_ones_and_scipy_s() {
        let mut compared = (0, 0);
        for (name, of) in known().samples {
            let interval = Interval::of_total(&[&of.samples]);
            if let Some([low, high]) = of.interval {
                assert_eq!((interval.low, interval.high), (low, high), "{name}");
                compared.0 += 1;
            }
            if let Some([low, high]) = of.sampled_interval {
                // 10,000 resamples against 200,000: where few values are possible, the next one of them
                close(interval.low, low, 0.006, &name);
                close(interval.high, high, 0.006, &name);
                compared.1 += 1;
            }
        }
        assert_eq!(compared, (3, 4));
    }

    #[test]
    fn ratios_and_their_intervals_are_scipy_s() {
        let known = known();
        for Quotient {
            of,
            to,
            ratio,
            interval,
        } in known.ratios
        {
            let (of, to) = (&known.samples[&of].samples[..], &known.samples[&to].samples[..]);
            close(total(&[of]) / total(&[to]), ratio, 1e-12, "ratio");
            let found = Interval::of_ratio(&[of], &[to]);
            close(found.low, interval[0], 0.01, "low");
            close(found.high, interval[1], 0.01, "high");
        }
    }

    #[test]
    fn few_samples_have_a_range() {
        let interval = Interval::of_total(&[&[3.0, 1.0, 2.0]]);
        assert_eq!(
            interval,
            Interval {
                low: 1.0,
                high: 3.0,
                kind: IntervalKind::Range
            }
        );
        let eight = [1.0; 8];
        assert_eq!(Interval::of_total(&[&eight]).kind, IntervalKind::Confidence);
        assert_eq!(
            Interval::of_total(&[&eight, &[1.0]]),
            Interval {
                low: 2.0,
                high: 2.0,
                kind: IntervalKind::Range
            }
        );
        let ratio = Interval::of_ratio(&[&[4.0, 6.0]], &[&[1.0, 2.0]]);
        assert_eq!(
            ratio,
            Interval {
                low: 2.0,
                high: 6.0,
                kind: IntervalKind::Range
            }
        );
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn recordings_add_up() {
        let (a, b) = ([1.0; 9], [10.0, 11.0, 12.0, 10.0, 11.0, 12.0, 10.0, 11.0, 12.0]);
        assert_eq!(total(&[&a, &b]), 12.0);
        let interval = Interval::of_total(&[&a, &b]);
        assert!(
            interval.contains(12.0) && interval.low >= 11.0 && interval.high <= 13.0,
            "{interval:?}"
        );
        assert_eq!(Interval::of_ratio(&[&a], &[&a]).half_width(), 0.0);
    }

    #[test]
    fn the_median_of_counts_is_that_of_the_sample() {
        assert_eq!(median_of_counts(&[1.0, 2.0, 3.0], &[3, 0, 0]), 1.0);
        assert_eq!(median_of_counts(&[1.0, 2.0, 3.0], &[1, 0, 2]), 3.0);
        assert_eq!(median_of_counts(&[1.0, 2.0, 3.0, 4.0], &[1, 1, 1, 1]), 2.5);
        assert_eq!(median_of_counts(&[1.0, 2.0, 3.0, 4.0], &[0, 2, 2, 0]), 2.5);
        assert_eq!(median_of_counts(&[1.0, 2.0, 3.0, 4.0], &[0, 3, 1, 0]), 2.0);
    }
}
