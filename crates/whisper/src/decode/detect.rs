//! Which language is spoken?

use std::sync::Arc;

use super::sample;
use crate::Result;
use crate::language::Language;
use crate::model::{Feed, Model};
use crate::tokenizer::Tokenizer;

/// The probability of every language the model knows, in the order of their tokens; they sum to 1.
///
/// One step on `<|startoftranscript|>`: its logits of the language tokens, and of nothing else.
pub(crate) fn language_probabilities<M: Model>(
    model: &M,
    tokenizer: &Tokenizer,
    audio: &Arc<M::Audio>,
) -> Result<Vec<(Language, f32)>> {
    let mut logits = Vec::new();
    let mut hypothesis = model.begin(audio)?;
    let sot = [tokenizer.special().sot];
    model.step(
        &mut [Feed {
            hypothesis: &mut hypothesis,
            tokens: &sot,
            rows: &[0],
        }],
        &mut logits,
    )?;

    let token = |language: Language| tokenizer.language_token(language).map(|token| logits[token.0 as usize]);
    let languages = tokenizer.languages().iter().copied();
    let scores: Vec<(Language, f32)> = languages
        .filter_map(|language| Some((language, token(language)?)))
        .collect();
    let row: Vec<f32> = scores.iter().map(|&(_, logit)| logit).collect();
    let log_total = sample::log_sum_exp(&row);
    if !log_total.is_finite() {
        return Err(sample::broken_logits());
    }
    Ok(scores
        .into_iter()
        .map(|(language, logit)| (language, (logit - log_total).exp()))
        .collect())
}
