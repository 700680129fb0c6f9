//! Which tokens may come next: edits of a row of logits, where a forbidden token gets minus infinity.
//!
//! Whisper was trained on text between pairs of timestamps,
//!
//! ```text
//! <|0.00|> And so, my fellow Americans,<|3.24|><|3.24|> ask not<|4.40|><|endoftext|>
//! ```
//!
//! but nothing in the network makes it keep to that form; these rules do. Source: `LogitFilter` and the three below it
//! in `decoding.py` of openai/whisper and of mlx_whisper. Where the two differ, [`Compat`] chooses.

use super::sample;
use crate::model::{AUDIO_FRAMES, Dims, Token};
use crate::options::{Compat, Options, Suppress};
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};

/// The rules of one transcription.
pub(crate) struct Rules {
    compat: Compat,
    eot: usize,
    no_timestamps: usize,
    timestamp_begin: usize,
    /// Forbidden as the first token.
    blank: Vec<usize>,
    /// Forbidden everywhere.
    suppressed: Vec<usize>,
    /// Whether timestamps are asked for.
    timestamps: bool,
    /// The highest first timestamp, counted from `<|0.00|>`.
    max_initial_index: Option<usize>,
}

impl Rules {
    /// # Errors
    /// A token to suppress is not in the vocabulary.
    pub(crate) fn new(dims: &Dims, tokenizer: &Tokenizer, options: &Options) -> Result<Self> {
        let special = tokenizer.special();
        let mut blank = Vec::new();
        if options.suppress_blank {
            blank.extend(tokenizer.blank().map(index));
        }
        let mut suppressed = Vec::new();
        for entry in &options.suppress_tokens {
            match *entry {
                Suppress::NonSpeech => suppressed.extend(tokenizer.non_speech().iter().copied().map(index)),
                Suppress::Token(token) if index(token) < dims.n_vocab => suppressed.push(index(token)),
                Suppress::Token(Token(id)) => {
                    let n_vocab = dims.n_vocab;
                    return Err(Error::Request(format!(
                        "suppress_tokens: expected ids below {n_vocab} (the vocabulary of this model), found {id}"
                    )));
                }
            }
        }
        if !options.suppress_tokens.is_empty() {
            let never = [
                special.transcribe,
                special.translate,
                special.sot,
                special.sot_prev,
                special.sot_lm,
            ];
            suppressed.extend(never.map(index));
            suppressed.push(index(special.no_speech)); // its probability is collected separately
        }
        suppressed.sort_unstable();
        suppressed.dedup();
        Ok(Self {
            compat: options.compat,
            eot: index(special.eot),
            no_timestamps: index(special.no_timestamps),
            timestamp_begin: index(special.timestamp_begin),
            blank,
            suppressed,
            timestamps: !options.without_timestamps,
            max_initial_index: options.max_initial_timestamp.and_then(initial_index),
        })
    }

    /// Forbids in `logits` (one row, `[n_vocab]`) what may not follow `sampled`, the tokens of this window so far.
    pub(crate) fn apply(&self, sampled: &[Token], logits: &mut [f32]) {
        if sampled.is_empty() {
            forbid(logits, &self.blank);
        }
        forbid(logits, &self.suppressed);
        if !self.timestamps {
            return;
        }
        // mlx_whisper weighs before it applies the other rules: both sides may lose, and nothing is left.
        let weighed_early = self.compat == Compat::Mlx && self.timestamps_outweigh_text(logits);
        self.pair_timestamps(sampled, logits);
        if weighed_early || (self.compat == Compat::OpenAi && self.timestamps_outweigh_text(logits)) {
            logits[..self.timestamp_begin].fill(f32::NEG_INFINITY);
        }
    }

    /// Timestamps open the window, come in pairs but before the end of text, and do not go back.
    fn pair_timestamps(&self, sampled: &[Token], logits: &mut [f32]) {
        logits[self.no_timestamps] = f32::NEG_INFINITY;

        let is_timestamp = |token: Token| index(token) >= self.timestamp_begin;
        let (last, before) = match *sampled {
            [] => (false, true),
            [last] => (is_timestamp(last), true),
            [.., before, last] => (is_timestamp(last), is_timestamp(before)),
        };
        if last && before {
            logits[self.timestamp_begin..].fill(f32::NEG_INFINITY); // the pair is complete: text
        } else if last {
            logits[..self.eot].fill(f32::NEG_INFINITY); // a segment has ended: the other of the pair, or the end
        }

        // mlx_whisper means to do this too, but looks at positions instead of tokens.
        if self.compat == Compat::OpenAi
            && let Some(&latest) = sampled.iter().rev().find(|&&token| is_timestamp(token))
        {
            let segment_has_ended = last && !before;
            let first_allowed = if segment_has_ended {
                index(latest)
            } else {
                index(latest) + 1
            };
            logits[self.timestamp_begin..first_allowed].fill(f32::NEG_INFINITY);
        }

        if sampled.is_empty() {
            logits[..self.timestamp_begin].fill(f32::NEG_INFINITY);
            if let Some(max) = self.max_initial_index {
                logits[self.timestamp_begin + max + 1..].fill(f32::NEG_INFINITY);
            }
        }
    }

    /// Whether some timestamp, whichever, is more probable than the most probable text.
    fn timestamps_outweigh_text(&self, logits: &[f32]) -> bool {
        let (text, timestamps) = logits.split_at(self.timestamp_begin);
        sample::log_sum_exp(timestamps) > sample::max(text)
    }
}

fn forbid(logits: &mut [f32], tokens: &[usize]) {
    for &token in tokens {
        logits[token] = f32::NEG_INFINITY;
    }
}

fn index(token: Token) -> usize {
    token.0 as usize
}

/// Seconds to steps of 20 ms. 0 means no limit, as OpenAI's truth test has it; halves round to even, as Python rounds.
fn initial_index(seconds: f64) -> Option<usize> {
    const PRECISION: f64 = 30.0 / AUDIO_FRAMES as f64;
    #[expect(clippy::cast_possible_truncation, reason = "checked to lie in 0..=30 s")]
    let steps = (seconds / PRECISION).round_ties_even() as usize;
    (seconds != 0.0).then_some(steps)
}

#[cfg(test)]
mod tests;
