//! The fewest edits between two sequences.

use anyhow::{Result, bail};

use super::Errors;

/// Cells of the table that may be filled: some ten seconds.
const MOST_CELLS: usize = 1 << 33;

/// Counts the fewest edits that turn `reference` into `found`; among equally few, those with the most substitutions.
///
/// Fills a band along the diagonal and widens it until the edits found fit into it: time follows the number of errors.
///
/// # Errors
///
/// Where the sequences are so long and unlike that more than [`MOST_CELLS`] would be filled.
pub(super) fn errors<T: PartialEq>(reference: &[T], found: &[T]) -> Result<Errors> {
    let same = |(a, b): &(&T, &T)| a == b;
    let head = reference.iter().zip(found).take_while(same).count();
    let (left, right) = (&reference[head..], &found[head..]);
    let tail = left.iter().rev().zip(right.iter().rev()).take_while(same).count();
    let (left, right) = (&left[..left.len() - tail], &right[..right.len() - tail]);

    let mut band = left.len().abs_diff(right.len()).max(32);
    loop {
        if left.len().saturating_mul((2 * band + 1).min(right.len() + 1)) > MOST_CELLS {
            let (n, m) = (reference.len(), found.len());
            bail!("{m} words or characters are too many, and too unlike their reference of {n}, to count the errors");
        }
        let cost = within(left, right, band);
        let edits = usize::try_from(cost >> 32)?;
        if edits <= band {
            let (edits, deletions) = (cost >> 32, cost & u64::from(u32::MAX));
            let insertions = deletions + right.len() as u64 - left.len() as u64;
            let substitutions = edits - deletions - insertions;
            return Ok(Errors {
                substitutions,
                deletions,
                insertions,
                reference: reference.len() as u64,
            });
        }
        band *= 2;
    }
}

/// The cheapest way from corner to corner through cells at most `band` off the diagonal: edits in the upper half, deletions in
/// the lower, so that the smaller number is the better way. Some number with more edits than `band`, if there is no cheaper way.
fn within<T: PartialEq>(left: &[T], right: &[T], band: usize) -> u64 {
    const EDIT: u64 = 1 << 32;
    const DELETION: u64 = EDIT + 1;
    const OUTSIDE: u64 = u64::MAX / 2;
    let most = (band as u64 + 1) * EDIT;
    let mut row: Vec<u64> = (0..=right.len())
        .map(|j| if j <= band { j as u64 * EDIT } else { OUTSIDE })
        .collect();
    for (i, word) in left.iter().enumerate() {
        let from = (i + 1).saturating_sub(band);
        let to = (i + 1 + band).min(right.len());
        let mut diagonal = row[from.saturating_sub(1)];
        if from == 0 {
            row[0] += DELETION;
        } else {
            row[from - 1] = OUTSIDE;
        }
        let mut cheapest = if from == 0 { row[0] } else { OUTSIDE };
        for j in from.max(1)..=to {
            let substituted = if *word == right[j - 1] {
                diagonal
            } else {
                diagonal + EDIT
            };
            diagonal = row[j];
            row[j] = substituted.min(diagonal + DELETION).min(row[j - 1] + EDIT);
            cheapest = cheapest.min(row[j]);
        }
        if cheapest >= most {
            return cheapest;
        }
    }
    row[right.len()]
}
