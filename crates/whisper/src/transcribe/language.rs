//! The language of a recording.
//!
//! OpenAI's Whisper believes its first look, however weak: a mumbled start turns an English recording into Latin, and
//! the decoder, asked for Latin, runs in circles. So a weak look is followed by others:
//!
//! 1. the first 30 s; enough where one language has at least half of the probability,
//! 2. up to four windows spread over the rest; enough where one has half of the mean,
//! 3. the first window, decoded in each of the likeliest languages: the one wins in which language and text together
//!    are most probable.

use super::window::WindowEncoder;
use crate::decode::{Decoder, Window, detect, quality};
use crate::language::Language;
use crate::model::{MEL_FRAMES, Model};
use crate::options::{Compat, Options};
use crate::tokenizer::{Task, Tokenizer};
use crate::{Error, Result};

/// A language with this probability is believed.
const ENOUGH: f32 = 0.5;
/// Windows to look at after the first.
const FURTHER_LOOKS: usize = 4;
/// Languages to decode the first window in.
const TRIALS: usize = 5;

/// A detected language.
pub(super) struct Detection {
    pub(super) language: Language,
    pub(super) probability: f32,
    /// The likeliest languages by sound, the best first.
    pub(super) candidates: Vec<(Language, f32)>,
    /// Whether their texts had to decide.
    pub(super) uncertain: bool,
}

pub(super) fn detect<M: Model>(
    encoder: &mut WindowEncoder<'_, M>,
    tokenizer: Tokenizer,
    options: &Options,
) -> Result<Detection> {
    let n_frames = encoder.heard.n_frames();
    let mut look = |from: usize| {
        let end = match options.compat {
            // Where the recording is shorter, silence follows.
            Compat::Mlx => from + MEL_FRAMES,
            // What is decoded next: encoded once for both.
            Compat::OpenAi => (from + MEL_FRAMES).min(n_frames),
        };
        let audio = encoder.encode_one(from..end)?;
        detect::language_probabilities(encoder.model, &tokenizer, &audio)
    };
    let mut sums = look(0)?;
    let mut n_looks = 1;
    if options.compat == Compat::OpenAi && !is_enough(&sums) && n_frames > MEL_FRAMES {
        let n_further = FURTHER_LOOKS.min((n_frames - 1) / MEL_FRAMES);
        for i in 1..=n_further {
            options.monitor.check()?;
            for (sum, (_, probability)) in sums.iter_mut().zip(look(i * (n_frames - MEL_FRAMES) / n_further)?) {
                sum.1 += probability;
            }
            n_looks += 1;
        }
    }
    let mut candidates = sums;
    for (_, probability) in &mut candidates {
        *probability /= n_looks as f32;
    }
    let enough = is_enough(&candidates);
    candidates.sort_by(|a, b| b.1.total_cmp(&a.1)); // stable: of equals the first stays first
    candidates.truncate(TRIALS);

    let uncertain = options.compat == Compat::OpenAi && !enough && n_frames > 0;
    let (language, probability) = if uncertain {
        try_out(encoder, tokenizer, options, &candidates)?
    } else {
        candidates[0]
    };
    Ok(Detection {
        language,
        probability,
        candidates,
        uncertain,
    })
}

fn is_enough(probabilities: &[(Language, f32)]) -> bool {
    probabilities.iter().any(|&(_, probability)| probability >= ENOUGH)
}

/// The language whose token and text are most probable together, text not to be believed last.
fn try_out<M: Model>(
    encoder: &mut WindowEncoder<'_, M>,
    tokenizer: Tokenizer,
    options: &Options,
    candidates: &[(Language, f32)],
) -> Result<(Language, f32)> {
    let audio = encoder.encode_one(0..encoder.heard.n_frames().min(MEL_FRAMES))?;
    let mut best = None;
    for &(language, probability) in candidates {
        let sot_sequence = tokenizer.sot_sequence(language, Task::Transcribe)?;
        let mut decoder = Decoder::new(encoder.model, tokenizer, &sot_sequence, options)?;
        let window = Window {
            audio: &audio,
            previous: &[],
            start: 0,
        };
        let mut prompted = decoder.prompt(&[window])?;
        let Some(decoding) = decoder.attempt(&mut prompted, 0.0)?.pop() else {
            continue;
        };
        let text_logprob = decoding.avg_logprob * (decoding.tokens.len() + 1) as f64;
        let score = (
            !quality::needs_fallback(&decoding, options),
            f64::from(probability).ln() + text_logprob,
        );
        if best.is_none_or(|(highest, _)| score > highest) {
            best = Some((score, (language, probability)));
        }
    }
    best.map(|(_, found)| found)
        .ok_or_else(|| Error::Model("the network knows no language".to_owned()))
}
