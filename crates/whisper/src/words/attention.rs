//! How badly each token matches each moment, by the attention of some heads.

use std::ops::Range;

use crate::Result;
use crate::decode::sample::broken_logits;
use crate::model::AUDIO_FRAMES;

/// Places on either side of a median.
const REACH: usize = 3;

/// The cost of each of `rows` at each of the first `n_frames` frames, `[rows, n_frames]`: the negative mean over the heads of
/// their attention, standardised over all tokens and smoothed over time.
///
/// `scores` are those of a window before softmax, `[head, token, AUDIO_FRAMES]`.
///
/// # Errors
/// The scores hold NaN or infinity.
pub(super) fn cost(scores: &[f32], n_tokens: usize, n_frames: usize, rows: Range<usize>) -> Result<Vec<f32>> {
    let heads = scores.chunks_exact(n_tokens * AUDIO_FRAMES);
    let n_heads = heads.len() as f32;
    let mut sum = vec![0.0; rows.len() * n_frames];
    let mut weights = vec![0.0; n_tokens * n_frames];
    let mut smooth = vec![0.0; n_frames];
    for head in heads {
        let tokens = head.chunks_exact(AUDIO_FRAMES);
        for (weights, scores) in weights.chunks_exact_mut(n_frames).zip(tokens) {
            softmax(&scores[..n_frames], weights)?;
        }
        standardise(&mut weights, n_frames);
        let wanted = weights.chunks_exact(n_frames).skip(rows.start);
        for (sum, weights) in sum.chunks_exact_mut(n_frames).zip(wanted) {
            median_filter(weights, &mut smooth);
            for (sum, weight) in sum.iter_mut().zip(&smooth) {
                *sum += weight;
            }
        }
    }
    for sum in &mut sum {
        *sum /= -n_heads;
    }
    Ok(sum)
}

fn softmax(scores: &[f32], weights: &mut [f32]) -> Result<()> {
    let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut total = 0.0;
    for (weight, score) in weights.iter_mut().zip(scores) {
        *weight = (score - max).exp();
        total += *weight;
    }
    if !total.is_finite() {
        return Err(broken_logits());
    }
    for weight in weights {
        *weight /= total;
    }
    Ok(())
}

/// At each frame, mean 0 and deviation 1 over the tokens; 0 where all are equal. mlx_whisper divides by zero there.
fn standardise(weights: &mut [f32], n_frames: usize) {
    let n_tokens = (weights.len() / n_frames) as f64;
    let (mut mean, mut variance) = (vec![0.0; n_frames], vec![0.0; n_frames]);
    for row in weights.chunks_exact(n_frames) {
        for (mean, &weight) in mean.iter_mut().zip(row) {
            *mean += f64::from(weight) / n_tokens;
        }
    }
    for row in weights.chunks_exact(n_frames) {
        for ((variance, mean), &weight) in variance.iter_mut().zip(&mean).zip(row) {
            *variance += (f64::from(weight) - mean).powi(2) / n_tokens;
        }
    }
    for row in weights.chunks_exact_mut(n_frames) {
        for ((weight, mean), variance) in row.iter_mut().zip(&mean).zip(&variance) {
            let deviation = (f64::from(*weight) - mean) / f64::sqrt(*variance);
            #[expect(
                clippy::cast_possible_truncation,
                reason = "at most the root of the number of tokens"
            )]
            let narrow = deviation as f32;
            *weight = if *variance > 0.0 { narrow } else { 0.0 };
        }
    }
}

/// Of each place the median of itself and [`REACH`] places on either side; the row is mirrored at its ends, and left as it is
/// where it is too short for that.
fn median_filter(row: &[f32], out: &mut [f32]) {
    if row.len() <= REACH {
        return out.copy_from_slice(row);
    }
    let last = row.len() - 1;
    let mirrored = |place: usize| match place.checked_sub(REACH) {
        None => row[REACH - place],
        Some(place) if place > last => row[2 * last - place],
        Some(place) => row[place],
    };
    for (place, out) in out.iter_mut().enumerate() {
        *out = match row.get(place.wrapping_sub(REACH)..=place + REACH) {
            Some(around) => median(std::array::from_fn(|i| around[i])),
            None => median(std::array::from_fn(|i| mirrored(place + i))),
        };
    }
}

/// The fourth of seven numbers, by the exchanges that a sorting network needs for it; N. Devillard, "Fast median search"
/// (1998).
#[inline]
fn median(mut x: [f32; 2 * REACH + 1]) -> f32 {
    const EXCHANGES: [(usize, usize); 13] = [
        (0, 5),
        (0, 3),
        (1, 6),
        (2, 4),
        (0, 1),
        (3, 5),
        (2, 6),
        (2, 3),
        (3, 6),
        (4, 5),
        (1, 4),
        (1, 3),
        (3, 4),
    ];
    for (i, j) in EXCHANGES {
        let (a, b) = (x[i], x[j]);
        (x[i], x[j]) = if b < a { (b, a) } else { (a, b) };
    }
    x[REACH]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::scripted::mix;

    #[test]
    fn the_median_of_seven() {
        // A network that finds it among zeros and ones finds it among all numbers.
        for bits in 0..128_u32 {
            let values = std::array::from_fn(|i| (bits >> i & 1) as f32);
            assert_eq!(
                median(values),
                if bits.count_ones() >= 4 { 1.0 } else { 0.0 },
                "{bits:b}"
            );
        }
    }

    /// As numpy's `pad(mode="reflect")` and a sort have it.
    #[test]
    fn a_median_filter_mirrors_at_the_ends() {
        let filtered = |row: &[f32]| {
            let mut out = vec![0.0; row.len()];
            median_filter(row, &mut out);
            out
        };
        assert_eq!(filtered(&[]), [0.0; 0]);
        assert_eq!(filtered(&[3.0, 1.0, 2.0]), [3.0, 1.0, 2.0]);
        for n in 4..40_usize {
            let row: Vec<f32> = (0..n).map(|i| (mix(&[n as u64, i as u64]) % 100) as f32).collect();
            let mut padded: Vec<f32> = row[1..4].iter().rev().copied().collect();
            padded.extend(&row);
            padded.extend(row[n - 4..n - 1].iter().rev());
            let expected = padded.windows(7).map(|around| {
                let mut around = around.to_vec();
                around.sort_by(f32::total_cmp);
                around[3]
            });
            assert_eq!(filtered(&row), expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn frames_are_standardised_over_tokens() {
        let mut weights = vec![1.0, 5.0, 3.0, 5.0, 5.0, 5.0]; // three tokens, two frames
        standardise(&mut weights, 2);
        let expected = (1.5_f32).sqrt();
        assert_eq!(weights, [-expected, 0.0, 0.0, 0.0, expected, 0.0]);
    }

    #[test]
    fn a_token_costs_least_where_the_heads_look() {
        let (n_tokens, n_frames) = (4, 40);
        let mut scores = vec![0.0; 2 * n_tokens * AUDIO_FRAMES];
        for (row, scores) in scores.chunks_exact_mut(AUDIO_FRAMES).enumerate() {
            scores[row % n_tokens * 10..][..10].fill(4.0);
            scores[n_frames..].fill(90.0); // behind the end of the recording: not looked at
        }
        let cost = cost(&scores, n_tokens, n_frames, 1..4).unwrap();
        for (row, cost) in cost.chunks_exact(n_frames).enumerate() {
            let best = cost
                .iter()
                .copied()
                .enumerate()
                .min_by(|a, b| a.1.total_cmp(&b.1))
                .unwrap()
                .0;
            assert_eq!(best / 10, row + 1);
        }
        scores[7] = f32::NAN;
        assert!(super::cost(&scores, n_tokens, n_frames, 1..4).is_err());
    }
}
