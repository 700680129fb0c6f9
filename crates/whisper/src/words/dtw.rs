//! Dynamic time warping: the cheapest way through a matrix that never goes back.

/// Where the cheapest way from the first to the last corner of `cost`, `[rows, n_columns]`, enters each row.
///
/// A step goes down, right, or both. As in OpenAI's Whisper a step goes right where both of the others cost the same to the
/// bit, even if it costs more: sums of real attention are never equal. Memory: a byte a cell.
pub(super) fn first_columns(cost: &[f32], n_columns: usize) -> Vec<usize> {
    #[derive(Clone, Copy)]
    enum From {
        Corner,
        Above,
        Left,
    }
    let n_rows = cost.len() / n_columns;
    let mut came_from = Vec::with_capacity(cost.len());
    // Total costs of the row above, and in turn of this one; in float64, as numba computes OpenAI's.
    let mut totals = vec![f64::INFINITY; n_columns];
    for (row, costs) in cost.chunks_exact(n_columns).enumerate() {
        let mut corner = if row == 0 { 0.0 } else { f64::INFINITY };
        let mut left = f64::INFINITY;
        for (total, cost) in totals.iter_mut().zip(costs) {
            let above = *total;
            let (best, from) = if corner < above && corner < left {
                (corner, From::Corner)
            } else if above < corner && above < left {
                (above, From::Above)
            } else {
                (left, From::Left)
            };
            came_from.push(from);
            corner = above;
            left = best + f64::from(*cost);
            *total = left;
        }
    }

    let mut first = vec![0; n_rows];
    let (mut row, mut column) = (n_rows.saturating_sub(1), n_columns - 1);
    while row > 0 {
        let from = match column {
            0 => From::Above,
            _ => came_from[row * n_columns + column],
        };
        if !matches!(from, From::Left) {
            first[row] = column;
            row -= 1;
        }
        if !matches!(from, From::Above) {
            column -= 1;
        }
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::scripted::mix;

    fn matrix(seed: usize, len: usize, distinct: u64) -> Vec<f32> {
        let value = |i| (mix(&[seed as u64, i]) % distinct) as f32 - (distinct / 2) as f32;
        (0..len as u64).map(value).collect()
    }

    /// Every way there is, from `(row, column)` to the last corner: the least it costs.
    fn cheapest(cost: &[f32], n_columns: usize, row: usize, column: usize) -> f32 {
        let n_rows = cost.len() / n_columns;
        let rest = [(1, 1), (1, 0), (0, 1)]
            .into_iter()
            .map(|(down, right)| (row + down, column + right))
            .filter(|&(row, column)| row < n_rows && column < n_columns)
            .map(|(row, column)| cheapest(cost, n_columns, row, column))
            .reduce(f32::min);
        cost[row * n_columns + column] + rest.unwrap_or(0.0)
    }

    /// What a way costs at least that enters rows at these columns.
    fn cost_of(first: &[usize], cost: &[f32], n_columns: usize) -> f32 {
        let ends = first[1..].iter().copied().chain([n_columns]);
        let mut total = 0.0;
        for ((row, (&from, to)), costs) in first.iter().zip(ends).enumerate().zip(cost.chunks_exact(n_columns)) {
            // Straight down leaves the row in the column in which the next begins, a corner before it.
            let until_corner: f32 = costs[from..to.max(from + 1)].iter().sum();
            let straight = if row + 1 < first.len() && to > from {
                costs[to]
            } else {
                f32::INFINITY
            };
            total += until_corner.min(until_corner + straight);
        }
        total
    }

    #[test]
    fn the_way_is_the_cheapest() {
        for seed in 0..400 {
            let (n_rows, n_columns) = (1 + seed % 5, 1 + seed / 5 % 7);
            let cost = matrix(seed, n_rows * n_columns, 1 << 18); // exact sums, hardly ever equal ones
            let first = first_columns(&cost, n_columns);
            assert!(first[0] == 0 && first.is_sorted(), "{first:?}");
            let (found, expected) = (cost_of(&first, &cost, n_columns), cheapest(&cost, n_columns, 0, 0));
            assert_eq!(found, expected, "seed {seed}: {first:?} through {cost:?}");
        }
    }

    /// `dtw_cpu` and `backtrace` of `timing.py`, line by line: ties must be broken as there.
    fn theirs(x: &[f32], m: usize) -> Vec<usize> {
        let n = x.len() / m;
        let mut cost = vec![vec![f32::INFINITY; m + 1]; n + 1];
        let mut trace = vec![vec![-1; m + 1]; n + 1];
        cost[0][0] = 0.0;
        for j in 1..=m {
            for i in 1..=n {
                let (c0, c1, c2) = (cost[i - 1][j - 1], cost[i - 1][j], cost[i][j - 1]);
                let (c, t) = if c0 < c1 && c0 < c2 {
                    (c0, 0)
                } else if c1 < c0 && c1 < c2 {
                    (c1, 1)
                } else {
                    (c2, 2)
                };
                cost[i][j] = x[(i - 1) * m + j - 1] + c;
                trace[i][j] = t;
            }
        }
        trace[0].fill(2);
        trace.iter_mut().for_each(|row| row[0] = 1);
        let (mut i, mut j) = (n, m);
        let mut first = vec![0; n];
        while i > 0 || j > 0 {
            if i > 0 {
                first[i - 1] = j.saturating_sub(1);
            }
            match trace[i][j] {
                0 => (i, j) = (i - 1, j - 1),
                1 => i -= 1,
                _ => j -= 1,
            }
        }
        first
    }

    #[test]
    fn ties_are_broken_as_in_whisper() {
        for seed in 0..300 {
            let (n_rows, n_columns) = (1 + seed % 23, 1 + seed % 31);
            for distinct in [1, 2, 3, 1000] {
                let cost = matrix(seed, n_rows * n_columns, distinct);
                assert_eq!(first_columns(&cost, n_columns), theirs(&cost, n_columns), "seed {seed}");
            }
        }
    }
}
