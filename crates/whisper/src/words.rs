//! When each word is said, from where the decoder looks while it reads the text of a window.
//!
//! ```text
//! scores of the alignment heads [head, token, frame]
//!   attention   softmax over time, standardised over tokens, median filter, mean of the heads -> how badly token and frame match
//!   dtw         the cheapest way through: the frame at which each token begins
//! words         tokens cut into words, a time and a probability each
//!   punctuation joined to the words beside it
//!   spread      given to the segments, those cut short that last too long for speech
//!   hallucination   segments of odd words around silence, to be left out
//! ```
//!
//! Source: `timing.py` of openai/whisper.

mod attention;
mod dtw;
pub(crate) mod hallucination;
mod punctuation;
mod spread;

use std::sync::Arc;

use crate::decode::sample::{broken_logits, log_sum_exp};
use crate::language::Language;
use crate::model::{AUDIO_FRAMES, Alignment, Head, Model, Token};
use crate::options::Compat;
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};

pub(crate) use spread::spread;

/// Encoder frames a second.
const FRAMES_PER_SECOND: f64 = 50.0;

/// A word, and when it is said in its window.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TimedWord {
    /// With the space before it. Empty where it was joined to another.
    pub(crate) text: String,
    pub(crate) n_tokens: usize,
    /// Seconds from the start of the window.
    pub(crate) start: f64,
    pub(crate) end: f64,
    /// The mean of its tokens'.
    pub(crate) probability: f32,
}

/// Times around the segments of a window, in seconds of what is heard: the recording, or that without its pauses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings {
    /// Where the window begins.
    pub(crate) start: f64,
    /// Where it ends: at most 30 s after its start.
    pub(crate) end: f64,
    /// Where the last word before it ends.
    pub(crate) spoken_until: f64,
    /// Where what is heard ends.
    pub(crate) duration: f64,
}

/// Finds the words of windows.
pub(crate) struct Aligner<'a, M> {
    model: &'a M,
    tokenizer: Tokenizer,
    language: Language,
    /// What stands before the text that the decoder reads: the start of the transcript, without timestamps.
    start: Vec<Token>,
    heads: Vec<Head>,
    pub(crate) heads_are_known: bool,
    compat: Compat,
}

impl<'a, M: Model> Aligner<'a, M> {
    /// For texts in `language` that start with `sot_sequence`.
    ///
    /// Where the checkpoint does not name the heads that follow the words, all heads of the upper half of the decoder
    /// are listened to, as OpenAI's Whisper does.
    pub(crate) fn new(
        model: &'a M,
        tokenizer: Tokenizer,
        language: Language,
        sot_sequence: &[Token],
        compat: Compat,
    ) -> Self {
        let dims = model.dims();
        let upper_half = || {
            let heads_of = |layer| (0..dims.n_text_head).map(move |head| Head { layer, head });
            (dims.n_text_layer / 2..dims.n_text_layer).flat_map(heads_of).collect()
        };
        let known = model.alignment_heads().filter(|heads| !heads.is_empty());
        Self {
            model,
            tokenizer,
            language,
            start: [sot_sequence, &[tokenizer.special().no_timestamps]].concat(),
            heads: known.map_or_else(upper_half, <[Head]>::to_vec),
            heads_are_known: known.is_some(),
            compat,
        }
    }

    /// The most tokens of text that fit the decoder beside what stands before and behind them.
    pub(crate) fn most_tokens(&self) -> usize {
        self.model.dims().n_text_ctx.saturating_sub(self.start.len() + 1)
    }

    /// The words of `segments`, tokens without timestamps that were heard in the first `n_frames` frames (of 10 ms) of a
    /// window.
    pub(crate) fn align(
        &self,
        audio: &Arc<M::Audio>,
        segments: &[Vec<Token>],
        n_frames: usize,
    ) -> Result<Vec<TimedWord>> {
        let text = segments.concat();
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let tokens = [&self.start[..], &text, &[self.tokenizer.special().eot]].concat();
        let n_frames = (n_frames / 2).clamp(1, AUDIO_FRAMES);
        let Alignment { logits, scores } = self.model.align(audio, &tokens, &self.heads)?;
        let expected = (
            tokens.len() * self.model.dims().n_vocab,
            self.heads.len() * tokens.len() * AUDIO_FRAMES,
        );
        if (logits.len(), scores.len()) != expected {
            return Err(Error::Model(
                "the network aligned something else than its text".to_owned(),
            ));
        }
        let probabilities = self.probabilities(&text, &logits)?;
        drop(logits); // a vocabulary for each token: some ten megabytes

        // The row before a token is where the decoder looks to find it.
        let rows = self.start.len() - 1..tokens.len() - 1;
        let cost = attention::cost(&scores, tokens.len(), n_frames, rows)?;
        let starts = dtw::first_columns(&cost, n_frames);
        // Over a single frame mlx_whisper divides by zero, and finds every word one before it.
        let shift = if n_frames == 1 && self.compat == Compat::Mlx {
            1.0
        } else {
            0.0
        };
        let second = |token: usize| (starts[token] as f64 - shift) / FRAMES_PER_SECOND;

        let mut words = Vec::new();
        let mut n_before = 0;
        let wholes = match self.compat {
            Compat::OpenAi => segments,
            Compat::Mlx => &[text], // a word may reach from one into the next
        };
        for whole in wholes {
            for word in self.tokenizer.split_words(whole, self.language) {
                let tokens = n_before + word.tokens.start..n_before + word.tokens.end;
                words.push(TimedWord {
                    text: word.text,
                    n_tokens: tokens.len(),
                    start: second(tokens.start),
                    end: second(tokens.end),
                    probability: mean(&probabilities[tokens]),
                });
            }
            n_before += whole.len();
        }
        Ok(words)
    }

    /// How probable each token of `text` was among all tokens of text.
    fn probabilities(&self, text: &[Token], logits: &[f32]) -> Result<Vec<f32>> {
        let n_text = self.tokenizer.special().eot.0 as usize;
        let rows = logits.chunks_exact(self.model.dims().n_vocab);
        let probability = |(token, row): (&Token, &[f32])| {
            let row = row.get(..n_text).ok_or_else(broken_logits)?;
            let logit = row.get(token.0 as usize).ok_or_else(broken_logits)?;
            let probability = (logit - log_sum_exp(row)).exp();
            if probability.is_nan() {
                return Err(broken_logits());
            }
            Ok(probability.min(1.0))
        };
        text.iter()
            .zip(rows.skip(self.start.len() - 1))
            .map(probability)
            .collect()
    }
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len().max(1) as f32
}

#[cfg(test)]
mod tests;
