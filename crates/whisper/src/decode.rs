//! One window: from encoded audio to tokens.
//!
//! ```text
//! prompt    <|startofprev|> the text so far <|startoftranscript|> <|en|> <|transcribe|>     read at once
//! attempt   logits -> rules -> a token -> logits -> ..  until <|endoftext|>                 at one temperature
//! ```
//!
//! The first row of logits serves every attempt, and so does the memory of having read the prompt: an attempt at the
//! next temperature costs its own tokens only. Source: `decoding.py` of openai/whisper; parts and names are its.

pub(crate) mod detect;
pub(crate) mod quality;
mod rules;
mod sample;

use std::sync::Arc;

use crate::model::{Dims, Feed, Model, Token};
use crate::options::{Compat, Options};
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};

pub use quality::compression_ratio;
use rules::Rules;
use sample::Sampler;

/// What an attempt at a window has found.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoding {
    /// Text and timestamps, without the end of text.
    pub tokens: Vec<Token>,
    /// The text of `tokens`, trimmed.
    pub text: String,
    /// Mean log-probability of the tokens and their end. NaN only under [`Compat::Mlx`].
    pub avg_logprob: f64,
    /// How probable the network finds it that nobody speaks.
    pub no_speech_prob: f64,
    /// The temperature of this attempt.
    pub temperature: f64,
    /// See [`compression_ratio`].
    pub compression_ratio: f64,
}

/// Decodes the windows of one recording.
pub struct Decoder<'a, M: Model> {
    model: &'a M,
    tokenizer: Tokenizer,
    options: &'a Options,
    rules: Rules,
    sampler: Sampler,
    /// What every window starts with: the start-of-transcript sequence and the prefix.
    start: Vec<Token>,
    /// The most tokens of an attempt.
    sample_len: usize,
    /// The rows of the last step, `[rows, n_vocab]`.
    logits: Vec<f32>,
}

/// A window whose prompt has been read, ready for attempts.
pub struct Prompted<M: Model> {
    hypothesis: M::Hypothesis,
    /// Tokens of the prompt.
    n_tokens: usize,
    /// The row after the prompt, `[n_vocab]`.
    logits: Vec<f32>,
    no_speech_prob: f64,
}

/// A text that grows during an attempt.
struct Candidate<'a, H> {
    hypothesis: &'a mut H,
    tokens: Vec<Token>,
    sum_logprob: f32,
    ended: bool,
}

impl<'a, M: Model> Decoder<'a, M> {
    /// A decoder whose windows start with `sot_sequence` ([`Tokenizer::sot_sequence`]).
    ///
    /// # Errors
    /// [`Error::Request`] where options do not fit the vocabulary or the context of the model.
    pub fn new(model: &'a M, tokenizer: Tokenizer, sot_sequence: &[Token], options: &'a Options) -> Result<Self> {
        let n_ctx = model.dims().n_text_ctx;
        let sample_len = options.sample_len.unwrap_or(n_ctx / 2).min(n_ctx);
        let mut start = sot_sequence.to_vec();
        if options.without_timestamps {
            start.push(tokenizer.special().no_timestamps);
        }
        if let Some(prefix) = &options.prefix {
            let prefix = tokenizer.encode(&format!(" {}", prefix.trim()))?;
            let room = (n_ctx / 2).saturating_sub(sample_len);
            // As in OpenAI's, no room means no limit.
            start.extend_from_slice(if room == 0 { &prefix } else { last(&prefix, room) });
        }
        if start.len() + n_ctx / 2 >= n_ctx {
            let (found, most) = (start.len(), n_ctx.div_ceil(2) - 1);
            return Err(Error::Request(format!(
                "prefix: with the start of the transcript expected at most {most} tokens, found {found}"
            )));
        }
        Ok(Self {
            model,
            rules: Rules::new(model.dims(), &tokenizer, options)?,
            tokenizer,
            options,
            sampler: Sampler::new(options.seed),
            start,
            sample_len,
            logits: Vec::new(),
        })
    }

    /// Reads the prompt over a window: the end of the text before it, and the start of the transcript.
    pub fn prompt(&mut self, audio: &Arc<M::Audio>, previous: &[Token]) -> Result<Prompted<M>> {
        let Dims {
            n_vocab, n_text_ctx, ..
        } = *self.model.dims();
        let special = self.tokenizer.special();

        let mut tokens = Vec::new();
        if !previous.is_empty() {
            tokens.push(special.sot_prev);
            tokens.extend_from_slice(last(previous, n_text_ctx / 2 - 1));
        }
        let sot = tokens.len();
        tokens.extend_from_slice(&self.start);
        let end = tokens.len() - 1;
        let rows = if sot == end { &[end][..] } else { &[sot, end] };

        let mut hypothesis = self.model.begin(audio)?;
        let feed = Feed {
            hypothesis: &mut hypothesis,
            tokens: &tokens,
            rows,
        };
        self.model.step(&mut [feed], &mut self.logits)?;

        let (at_sot, at_end) = (&self.logits[..n_vocab], &self.logits[self.logits.len() - n_vocab..]);
        let no_speech = special.no_speech.0 as usize;
        let no_speech_prob = f64::from((at_sot[no_speech] - sample::log_sum_exp(at_sot)).exp());
        if no_speech_prob.is_nan() {
            return Err(sample::broken_logits());
        }
        Ok(Prompted {
            hypothesis,
            n_tokens: tokens.len(),
            logits: at_end.to_vec(),
            no_speech_prob,
        })
    }

    /// Decodes the window once: greedily at temperature 0, else the best of [`Options::best_of`] samples.
    pub fn attempt(&mut self, prompted: &mut Prompted<M>, temperature: f64) -> Result<Decoding> {
        let n_text_ctx = self.model.dims().n_text_ctx;
        let n_candidates = if temperature > 0.0 { self.options.best_of } else { 1 };

        self.model.truncate(&mut prompted.hypothesis, prompted.n_tokens);
        let forks = (1..n_candidates).map(|_| self.model.fork(&prompted.hypothesis));
        let mut forks = forks.collect::<Result<Vec<_>>>()?;
        let hypotheses = std::iter::once(&mut prompted.hypothesis).chain(&mut forks);
        let mut candidates: Vec<_> = hypotheses
            .map(|hypothesis| Candidate::new(hypothesis, self.sample_len))
            .collect();

        self.logits.clear();
        for _ in 0..n_candidates {
            self.logits.extend_from_slice(&prompted.logits);
        }
        for n_sampled in 1.. {
            self.options.monitor.check()?;
            self.extend(&mut candidates, temperature)?;
            let full = n_sampled >= self.sample_len || prompted.n_tokens + n_sampled > n_text_ctx;
            if full || candidates.iter().all(|candidate| candidate.ended) {
                break;
            }
            self.step(&mut candidates)?;
        }

        let Candidate {
            tokens, sum_logprob, ..
        } = self.most_probable(candidates);
        let text = self.tokenizer.decode(&tokens).trim().to_owned();
        Ok(Decoding {
            avg_logprob: f64::from(sum_logprob) / (tokens.len() + 1) as f64,
            compression_ratio: compression_ratio(&text),
            no_speech_prob: prompted.no_speech_prob,
            temperature,
            tokens,
            text,
        })
    }

    /// Gives each candidate that goes on its next token; `self.logits` has a row for each.
    fn extend(&mut self, candidates: &mut [Candidate<'_, M::Hypothesis>], temperature: f64) -> Result<()> {
        let eot = self.tokenizer.special().eot;
        let rows = self.logits.chunks_exact_mut(self.model.dims().n_vocab);
        for (candidate, logits) in candidates.iter_mut().filter(|candidate| !candidate.ended).zip(rows) {
            self.rules.apply(&candidate.tokens, logits);
            let chosen = self.sampler.choose(logits, temperature)?;
            let (token, logprob) = chosen.unwrap_or(match self.options.compat {
                Compat::OpenAi => (eot, 0.0),        // all that is left is to end
                Compat::Mlx => (Token(0), f32::NAN), // what its argmax makes of nothing but -inf: "!"
            });
            candidate.sum_logprob += logprob;
            if token == eot {
                candidate.ended = true;
            } else {
                candidate.tokens.push(token);
            }
        }
        Ok(())
    }

    /// Feeds the candidates that go on their last tokens.
    fn step(&mut self, candidates: &mut [Candidate<'_, M::Hypothesis>]) -> Result<()> {
        match candidates {
            [one] => self.model.step(&mut [one.feed()], &mut self.logits), // the usual case needs no list
            many => {
                let going_on = many.iter_mut().filter(|candidate| !candidate.ended);
                let mut batch: Vec<_> = going_on.map(Candidate::feed).collect();
                self.model.step(&mut batch, &mut self.logits)
            }
        }
    }

    /// The candidate of the highest log-probability, penalised for length; of equal ones the first.
    fn most_probable<'c>(&self, candidates: Vec<Candidate<'c, M::Hypothesis>>) -> Candidate<'c, M::Hypothesis> {
        let score = |candidate: &Candidate<'_, _>| {
            let length = candidate.tokens.len().max(1) as f64;
            let penalty = match self.options.length_penalty {
                None => length,
                Some(alpha) => ((5.0 + length) / 6.0).powf(alpha), // Wu et al.: Google's NMT system (2016)
            };
            f64::from(candidate.sum_logprob) / penalty
        };
        let better = |a, b| if score(&b) > score(&a) { b } else { a };
        candidates
            .into_iter()
            .reduce(better)
            .expect("an attempt has candidates")
    }
}

impl<'a, H> Candidate<'a, H> {
    fn new(hypothesis: &'a mut H, capacity: usize) -> Self {
        Self {
            hypothesis,
            tokens: Vec::with_capacity(capacity),
            sum_logprob: 0.0,
            ended: false,
        }
    }

    fn feed(&mut self) -> Feed<'_, H> {
        let last = self.tokens.len() - 1;
        Feed {
            hypothesis: self.hypothesis,
            tokens: &self.tokens[last..],
            rows: &[0],
        }
    }
}

/// The last `n` tokens, or all where there are fewer.
fn last(tokens: &[Token], n: usize) -> &[Token] {
    &tokens[tokens.len().saturating_sub(n)..]
}

#[cfg(test)]
pub(crate) mod scripted;
#[cfg(test)]
mod tests;
