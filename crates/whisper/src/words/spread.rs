//! The words of a window, given to its segments.
//!
//! Attention says well when a word begins, and badly when one ends before a pause: the word lasts up to the next one. So
//! words beside a pause that last too long are cut short, by the length of the others.

use super::{Surroundings, TimedWord, punctuation};
use crate::options::{Compat, Options};
use crate::transcript::{Segment, Word};

/// How long words last, by which those beside pauses are judged.
#[derive(Clone, Copy, Debug)]
struct Durations {
    median: f64,
    longest: f64,
}

/// Gives the words of a window to its segments, of so many tokens each; the times of a segment become those of its words.
///
/// Source: `add_word_timestamps` in `timing.py`.
pub(crate) fn spread(
    mut words: Vec<TimedWord>,
    segments: &mut [Segment],
    n_tokens: impl Iterator<Item = usize>,
    window: Surroundings,
    options: &Options,
) {
    let durations = durations(&words);
    shorten_at_sentences(&mut words, durations);
    let join = |words: &mut [TimedWord]| {
        punctuation::join(words, &options.prepend_punctuations, &options.append_punctuations);
    };
    if options.compat == Compat::Mlx {
        join(&mut words); // from one segment into another, too
    }

    let mut spoken_until = window.spoken_until;
    let mut words = words.into_iter();
    for (segment, n_tokens) in segments.iter_mut().zip(n_tokens) {
        let mut own = take(&mut words, n_tokens);
        if options.compat == Compat::OpenAi {
            join(&mut own);
        }
        own.retain(|word| !word.text.is_empty());
        let mut own: Vec<Word> = own.into_iter().map(|word| word.at(window.start)).collect();
        if !own.is_empty() {
            shorten_at_pause(&mut own, spoken_until, durations);
            agree(segment, &mut own, durations);
            spoken_until = segment.end;
        }
        segment.words = Some(own);
    }
}

/// The next words, until they have `n_tokens` tokens.
fn take(words: &mut impl Iterator<Item = TimedWord>, n_tokens: usize) -> Vec<TimedWord> {
    let mut taken = Vec::new();
    let mut n_taken = 0;
    while n_taken < n_tokens {
        let Some(word) = words.next() else { break };
        n_taken += word.n_tokens;
        taken.push(word);
    }
    taken
}

impl TimedWord {
    /// In a window that begins at `offset` seconds.
    fn at(self, offset: f64) -> Word {
        Word {
            word: self.text,
            start: hundredths(offset + self.start),
            end: hundredths(offset + self.end),
            probability: f64::from(self.probability),
        }
    }
}

fn durations(words: &[TimedWord]) -> Durations {
    let mut all: Vec<f64> = words
        .iter()
        .map(|word| word.end - word.start)
        .filter(|&d| d != 0.0)
        .collect();
    all.sort_by(f64::total_cmp);
    let middle = all.len() / 2;
    let median = match all.len() {
        0 => 0.0,
        n if n.is_multiple_of(2) => (all[middle - 1] + all[middle]) / 2.0,
        _ => all[middle],
    };
    let median = median.min(0.7);
    Durations {
        median,
        longest: 2.0 * median,
    }
}

/// The mark that ends a sentence, and the word after it.
fn shorten_at_sentences(words: &mut [TimedWord], Durations { longest, .. }: Durations) {
    let ends_sentence = |word: &TimedWord| ".。!！?？".contains(&word.text);
    for i in 1..words.len() {
        if longest > 0.0 && words[i].end - words[i].start > longest {
            if ends_sentence(&words[i]) {
                words[i].end = words[i].start + longest;
            } else if ends_sentence(&words[i - 1]) {
                words[i].start = words[i].end - longest;
            }
        }
    }
}

/// The first two words after a pause.
fn shorten_at_pause(words: &mut [Word], spoken_until: f64, Durations { median, longest }: Durations) {
    let long = |word: &Word| word.end - word.start > longest;
    let (first, second) = words.split_at_mut(1);
    let (first, second) = (&mut first[0], second.first_mut());
    let pair_is_long = second
        .as_ref()
        .is_some_and(|second| second.end - first.start > longest * 2.0);
    if first.end - spoken_until > median * 4.0 && (long(first) || pair_is_long) {
        if let Some(second) = second.filter(|second| long(second)) {
            let between = f64::max(second.end / 2.0, second.end - longest);
            first.end = between;
            second.start = between;
        }
        first.start = f64::max(0.0, first.end - longest);
    }
}

/// Of the segment and its outer words, whoever claims less time is believed, if the claims differ by more than half a
/// second; else the words.
fn agree(segment: &mut Segment, words: &mut [Word], Durations { median, .. }: Durations) {
    const MUCH: f64 = 0.5;
    let [first, ..] = words else { return };
    if segment.start < first.end && segment.start - MUCH > first.start {
        first.start = (first.end - median).min(segment.start).max(0.0);
    } else {
        segment.start = first.start;
    }
    let [.., last] = words else { return };
    if segment.end > last.start && segment.end + MUCH < last.end {
        last.end = (last.start + median).max(segment.end);
    } else {
        segment.end = last.end;
    }
}

/// As numpy rounds: 2.675 is 2.68.
fn hundredths(seconds: f64) -> f64 {
    (seconds * 100.0).round_ties_even() / 100.0
}
