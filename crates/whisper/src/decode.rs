//! Windows: from encoded audio to tokens.
//!
//! ```text
//! prompt    <|startofprev|> the text so far <|startoftranscript|> <|en|> <|transcribe|>     read at once
//! attempt   logits -> rules -> a token -> logits -> ..  until <|endoftext|>                 at one temperature
//! ```
//!
//! The first row of logits serves every attempt, and so does the memory of having read the prompt: an attempt at the
//! next temperature costs its own tokens only. Several windows go through the network together, which then reads its
//! weights once for all of them; none knows of the others. Source: `decoding.py` of openai/whisper; parts and names are
//! its.

pub(crate) mod detect;
pub(crate) mod quality;
mod rules;
pub(crate) mod sample;

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
    /// What every window starts with: the start-of-transcript sequence and the prefix.
    start: Vec<Token>,
    /// The most tokens of an attempt.
    sample_len: usize,
    /// The rows of the last step, `[rows, n_vocab]`.
    logits: Vec<f32>,
}

/// A window to decode.
pub struct Window<'a, M: Model> {
    /// Its sound.
    pub audio: &'a Arc<M::Audio>,
    /// The text before it.
    pub previous: &'a [Token],
    /// Where it begins, in frames of the recording: with the seed, what its samples are drawn from.
    pub start: usize,
}

/// A window whose prompt has been read, ready for attempts.
pub struct Prompted<M: Model> {
    hypothesis: M::Hypothesis,
    /// Where the window begins.
    start: usize,
    /// Tokens of the prompt.
    n_tokens: usize,
    /// The row after the prompt, `[n_vocab]`.
    logits: Vec<f32>,
    no_speech_prob: f64,
}

/// A text that grows during an attempt.
struct Candidate<'a, H> {
    hypothesis: &'a mut H,
    sampler: Sampler,
    tokens: Vec<Token>,
    /// The most tokens it may have.
    limit: usize,
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
            start,
            sample_len,
            logits: Vec::new(),
        })
    }

    /// Decodes windows together, each at the first temperature whose text is to be believed, or at the last.
    pub fn decode(&mut self, windows: &[Window<'_, M>]) -> Result<Vec<Decoding>> {
        let options = self.options;
        let mut prompted = self.prompt(windows)?;
        let mut doubtful: Vec<_> = prompted.iter_mut().enumerate().collect();
        let mut decodings: Vec<Option<Decoding>> = windows.iter().map(|_| None).collect();
        for &temperature in &options.temperatures {
            let attempts = self.attempt(doubtful.iter_mut().map(|(_, prompted)| &mut **prompted), temperature)?;
            for ((index, _), decoding) in doubtful.iter().zip(attempts) {
                decodings[*index] = Some(decoding);
            }
            let is_doubtful = |decoding: &Decoding| quality::needs_fallback(decoding, options);
            doubtful.retain(|(index, _)| decodings[*index].as_ref().is_some_and(is_doubtful));
            if doubtful.is_empty() {
                break;
            }
        }
        let decodings = decodings.into_iter().collect::<Option<_>>();
        Ok(decodings.expect("checked: there is a temperature"))
    }

    /// Reads the prompts of windows: the end of the text before each, and the start of the transcript.
    pub fn prompt(&mut self, windows: &[Window<'_, M>]) -> Result<Vec<Prompted<M>>> {
        struct Prompt {
            tokens: Vec<Token>,
            /// The start of the transcript and the last token, which may be one.
            rows: Vec<usize>,
        }
        let Dims {
            n_vocab, n_text_ctx, ..
        } = *self.model.dims();
        let special = self.tokenizer.special();

        let prompt_of = |window: &Window<'_, M>| {
            let mut tokens = Vec::new();
            if !window.previous.is_empty() {
                tokens.push(special.sot_prev);
                tokens.extend_from_slice(last(window.previous, n_text_ctx / 2 - 1));
            }
            let mut rows = vec![tokens.len()];
            tokens.extend_from_slice(&self.start);
            rows.push(tokens.len() - 1);
            rows.dedup();
            Prompt { tokens, rows }
        };
        let prompts: Vec<Prompt> = windows.iter().map(prompt_of).collect();
        let begin = |window: &Window<'_, M>| self.model.begin(window.audio);
        let mut hypotheses = windows.iter().map(begin).collect::<Result<Vec<_>>>()?;
        let feeds = hypotheses.iter_mut().zip(&prompts).map(|(hypothesis, prompt)| Feed {
            hypothesis,
            tokens: &prompt.tokens,
            rows: &prompt.rows,
        });
        self.model.step(&mut feeds.collect::<Vec<_>>(), &mut self.logits)?;

        let mut rows = self.logits.chunks_exact(n_vocab);
        let prompted = |((window, prompt), hypothesis): ((&Window<'_, M>, &Prompt), _)| {
            let at_sot = rows.next().ok_or_else(sample::broken_logits)?;
            let at_end = if prompt.rows.len() == 1 {
                Some(at_sot)
            } else {
                rows.next()
            };
            let no_speech = special.no_speech.0 as usize;
            let no_speech_prob = f64::from((at_sot[no_speech] - sample::log_sum_exp(at_sot)).exp());
            if no_speech_prob.is_nan() {
                return Err(sample::broken_logits());
            }
            Ok(Prompted {
                hypothesis,
                start: window.start,
                n_tokens: prompt.tokens.len(),
                logits: at_end.ok_or_else(sample::broken_logits)?.to_vec(),
                no_speech_prob,
            })
        };
        windows.iter().zip(&prompts).zip(hypotheses).map(prompted).collect()
    }

    /// Decodes windows once: greedily at temperature 0, else the best of [`Options::best_of`] samples of each.
    pub fn attempt<'p>(
        &mut self,
        prompted: impl IntoIterator<Item = &'p mut Prompted<M>>,
        temperature: f64,
    ) -> Result<Vec<Decoding>>
    where
        M: 'p,
    {
        let n_text_ctx = self.model.dims().n_text_ctx;
        let n_samples = if temperature > 0.0 { self.options.best_of } else { 1 };

        let mut prompted: Vec<_> = prompted.into_iter().collect();
        let no_speech_probs: Vec<f64> = prompted.iter().map(|window| window.no_speech_prob).collect();
        let mut forks = Vec::new();
        for window in &mut prompted {
            self.model.truncate(&mut window.hypothesis, window.n_tokens);
            for _ in 1..n_samples {
                forks.push(self.model.fork(&window.hypothesis)?);
            }
        }
        let mut forks = forks.iter_mut();
        let mut candidates = Vec::with_capacity(prompted.len() * n_samples);
        self.logits.clear();
        for window in prompted {
            // The context holds one token more than is read: the last is not.
            let limit = self.sample_len.min(n_text_ctx + 1 - window.n_tokens);
            let hypotheses = std::iter::once(&mut window.hypothesis).chain(forks.by_ref().take(n_samples - 1));
            for (sample, hypothesis) in hypotheses.enumerate() {
                let origin = [
                    self.options.seed,
                    window.start as u64,
                    temperature.to_bits(),
                    sample as u64,
                ];
                candidates.push(Candidate::new(hypothesis, Sampler::new(&origin), limit));
                self.logits.extend_from_slice(&window.logits);
            }
        }
        loop {
            self.options.monitor.check()?;
            self.extend(&mut candidates, temperature)?;
            if candidates.iter().all(|candidate| candidate.ended) {
                break;
            }
            self.step(&mut candidates)?;
        }

        let mut candidates = candidates.into_iter();
        let decoding = |no_speech_prob| {
            let Candidate {
                tokens, sum_logprob, ..
            } = self.most_probable(candidates.by_ref().take(n_samples));
            let text = self.tokenizer.decode(&tokens).trim().to_owned();
            Decoding {
                avg_logprob: f64::from(sum_logprob) / (tokens.len() + 1) as f64,
                compression_ratio: compression_ratio(&text),
                no_speech_prob,
                temperature,
                tokens,
                text,
            }
        };
        Ok(no_speech_probs.into_iter().map(decoding).collect())
    }

    /// Gives each candidate that goes on its next token; `self.logits` has a row for each.
    fn extend(&mut self, candidates: &mut [Candidate<'_, M::Hypothesis>], temperature: f64) -> Result<()> {
        let eot = self.tokenizer.special().eot;
        let rows = self.logits.chunks_exact_mut(self.model.dims().n_vocab);
        for (candidate, logits) in candidates.iter_mut().filter(|candidate| !candidate.ended).zip(rows) {
            self.rules.apply(&candidate.tokens, logits);
            let chosen = candidate.sampler.choose(logits, temperature)?;
            let (token, logprob) = chosen.unwrap_or(match self.options.compat {
                Compat::OpenAi => (eot, 0.0),        // all that is left is to end
                Compat::Mlx => (Token(0), f32::NAN), // what its argmax makes of nothing but -inf: "!"
            });
            candidate.sum_logprob += logprob;
            if token == eot {
                candidate.ended = true;
            } else {
                candidate.tokens.push(token);
                candidate.ended = candidate.tokens.len() >= candidate.limit;
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
    fn most_probable<'c>(
        &self,
        candidates: impl Iterator<Item = Candidate<'c, M::Hypothesis>>,
    ) -> Candidate<'c, M::Hypothesis> {
        let score = |candidate: &Candidate<'_, _>| {
            let length = candidate.tokens.len().max(1) as f64;
            let penalty = match self.options.length_penalty {
                None => length,
                Some(alpha) => ((5.0 + length) / 6.0).powf(alpha), // Wu et al.: Google's NMT system (2016)
            };
            f64::from(candidate.sum_logprob) / penalty
        };
        let better = |a, b| if score(&b) > score(&a) { b } else { a };
        candidates.reduce(better).expect("an attempt has candidates")
    }
}

impl<'a, H> Candidate<'a, H> {
    fn new(hypothesis: &'a mut H, sampler: Sampler, limit: usize) -> Self {
        Self {
            hypothesis,
            sampler,
            tokens: Vec::with_capacity(limit),
            limit,
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
