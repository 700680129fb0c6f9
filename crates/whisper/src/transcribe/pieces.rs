//! The tokens of a window, cut at its timestamps.
//!
//! ```text
//! <|0.00|> And so<|1.50|><|1.50|> ask not<|3.00|><|3.00|> what your      what follows the last pair is cut off in the
//! [----- piece -----][------ piece ------]       ^ read on from here     middle: the next window reads it again
//! ```

use std::ops::Range;

use crate::model::Token;
use crate::tokenizer::Tokenizer;

/// The pieces of a window.
#[derive(Debug, PartialEq)]
pub(super) struct Pieces {
    pub(super) pieces: Vec<Piece>,
    /// Whether a single timestamp stands at the end: nobody speaks in what remains.
    pub(super) complete: bool,
    /// Where the next window begins, in steps of 20 ms from the start of this one; `None`: where this one ends.
    pub(super) read_on: Option<usize>,
}

/// A part of a window's tokens, and when it is said, in steps of 20 ms from the start of the window.
#[derive(Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) tokens: Range<usize>,
    /// Negative where the network has not begun with a timestamp.
    pub(super) start: i64,
    /// `None`: where the window ends.
    pub(super) end: Option<i64>,
}

/// Cuts between the two timestamps of each pair.
pub(super) fn cut(tokens: &[Token], tokenizer: &Tokenizer) -> Pieces {
    let begin = i64::from(tokenizer.special().timestamp_begin.0);
    let steps = |token: &Token| i64::from(token.0) - begin;
    let is_timestamp = |token: &Token| steps(token) >= 0;

    let mut cuts: Vec<usize> = (1..tokens.len())
        .filter(|&i| is_timestamp(&tokens[i - 1]) && is_timestamp(&tokens[i]))
        .collect();
    let complete = matches!(tokens, [.., text, end] if !is_timestamp(text) && is_timestamp(end));
    let Some(&last_pair) = cuts.last() else {
        let latest = tokens.iter().rev().find(|token| is_timestamp(token)).map(steps);
        let whole = Piece {
            tokens: 0..tokens.len(),
            start: 0,
            end: latest.filter(|&steps| steps > 0),
        };
        return Pieces {
            pieces: vec![whole],
            complete,
            read_on: None,
        };
    };
    if complete {
        cuts.push(tokens.len());
    }
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let pieces = starts.zip(&cuts).map(|(from, &to)| Piece {
        tokens: from..to,
        start: steps(&tokens[from]),
        end: Some(steps(&tokens[to - 1])),
    });
    let heard_until = usize::try_from(steps(&tokens[last_pair - 1])).ok();
    Pieces {
        pieces: pieces.collect(),
        complete,
        read_on: if complete { None } else { heard_until },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: Token = Token(1000);

    fn at(steps: u32) -> Token {
        Token(50363 + steps)
    }

    fn cut_english(tokens: &[Token]) -> (Vec<(Range<usize>, i64, Option<i64>)>, Option<usize>) {
        let Pieces { pieces, read_on, .. } = cut(tokens, &Tokenizer::new(51864).unwrap());
        (
            pieces
                .into_iter()
                .map(|piece| (piece.tokens, piece.start, piece.end))
                .collect(),
            read_on,
        )
    }

    // Expected values: mlx_whisper 0.4.3, lines 346-408 of transcribe.py, by hand.
    #[test]
    fn without_a_pair_the_window_is_one_piece() {
        assert_eq!(cut_english(&[]), (vec![(0..0, 0, None)], None));
        assert_eq!(cut_english(&[at(0), TEXT]), (vec![(0..2, 0, None)], None));
        assert_eq!(cut_english(&[at(40), TEXT, at(90)]), (vec![(0..3, 0, Some(90))], None)); // the start is not looked at
        assert_eq!(cut_english(&[TEXT]), (vec![(0..1, 0, None)], None));
    }

    #[test]
    fn pairs_cut_and_the_rest_is_read_again() {
        let tokens = [at(0), TEXT, at(75), at(75), TEXT, at(150), at(160), TEXT, TEXT];
        assert_eq!(
            cut_english(&tokens),
            (vec![(0..3, 0, Some(75)), (3..6, 75, Some(150))], Some(150))
        );
    }

    #[test]
    fn a_pair_at_the_end_reads_on_there() {
        let tokens = [at(0), TEXT, at(75), at(75)];
        assert_eq!(cut_english(&tokens), (vec![(0..3, 0, Some(75))], Some(75)));
    }

    #[test]
    fn a_single_timestamp_at_the_end_completes_the_window() {
        let tokens = [at(0), TEXT, at(75), at(80), TEXT, at(150)];
        assert_eq!(
            cut_english(&tokens),
            (vec![(0..3, 0, Some(75)), (3..6, 80, Some(150))], None)
        );
    }

    #[test]
    fn odd_forms_are_cut_all_the_same() {
        let three = [at(0), at(0), at(5)];
        assert_eq!(
            cut_english(&three),
            (vec![(0..1, 0, Some(0)), (1..2, 0, Some(0))], Some(0))
        );
        let text_first = [TEXT, at(5), at(5)];
        assert_eq!(cut_english(&text_first), (vec![(0..2, 1000 - 50363, Some(5))], Some(5)));
    }
}
