//! Byte pair encoding, as GPT-2 does it: text is cut into pieces (words with the space before them, numbers, runs of
//! punctuation, white space), and within a piece the neighbours that form the token of the lowest rank are joined,
//! again and again.
//!
//! Both take time in proportion to the text, but for the logarithm of a heap: a megabyte without a space is no attack.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::LazyLock;

use regex::Regex;

use crate::model::Token;

/// The pattern of GPT-2 but for its look-ahead: there, `\s+(?!\S)` stands before the last `\s+`.
static PIECE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+").expect("the pattern is well-formed")
});

/// Cuts text into the pieces that no token crosses.
pub(super) fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let mut end = PIECE.find(text)?.end(); // every character starts a piece, so it begins at 0
        // The look-ahead: of white space before something else, the last character goes with what follows.
        // Only the pattern's last branch ends in white space.
        let (last, _) = text[..end].char_indices().next_back()?;
        if last > 0 && end < text.len() && text[last..end].starts_with(char::is_whitespace) {
            end = last;
        }
        let (piece, rest) = text.split_at(end);
        text = rest;
        Some(piece)
    })
}

/// Appends the tokens of one piece. `ranks` holds every single byte.
pub(super) fn encode(piece: &[u8], ranks: &HashMap<&[u8], Token>, tokens: &mut Vec<Token>) {
    // Not only faster: some tokens cannot be reached by joining.
    if let Some(&token) = ranks.get(piece) {
        tokens.push(token);
        return;
    }

    // Parts are named by their first byte: `next` is where a part ends, and `n` for one that was joined to another.
    let n = piece.len();
    let mut next: Vec<usize> = (1..=n).collect();
    let mut previous: Vec<usize> = (0..n).map(|start| start.saturating_sub(1)).collect();
    let rank = |start: usize, next: &[usize]| {
        let end = *next.get(next[start])?;
        ranks.get(&piece[start..end]).map(|&rank| Reverse((rank, start, end)))
    };

    let mut pairs: BinaryHeap<_> = (0..n).filter_map(|start| rank(start, &next)).collect();
    while let Some(Reverse((_, start, end))) = pairs.pop() {
        let middle = next[start];
        if next.get(middle) != Some(&end) {
            continue; // one of the pair has been joined to another meanwhile
        }
        next[start] = end;
        next[middle] = n;
        if end < n {
            previous[end] = start;
        }
        pairs.extend(rank(start, &next));
        if start > 0 {
            pairs.extend(rank(previous[start], &next));
        }
    }

    let mut start = 0;
    while start < n {
        tokens.push(ranks[&piece[start..next[start]]]);
        start = next[start];
    }
}
