//! A whole recording: windows of 30 s, one after the other.
//!
//! ```text
//! seek = start of the recording
//! while seek < its end
//!     encode the 30 s from seek on
//!     decode them, at a higher temperature where the text is not to be believed
//!     cut the tokens at their timestamps into segments
//!     seek = the last timestamp that closes a segment
//!     the text so far is the prompt of the next window
//! ```
//!
//! With [`Options::batch`] the recording is cut at its pauses, and the parts are treated so side by side.
//!
//! Source: `transcribe.py` of openai/whisper. [`Options::compat`] says where mlx_whisper's copy differs.

mod clips;
mod heard;
mod language;
mod passage;
mod pauses;
mod pieces;
mod read_on;
mod silence;
mod window;

use crate::decode::{Decoder, Window};
use crate::language::Language;
use crate::mel::LogMel;
use crate::model::{Dims, Model, Token};
use crate::options::{Compat, Options};
use crate::tokenizer::{Task, Tokenizer};
use crate::transcript::{Segment, Transcript, Warning};
use crate::words::Aligner;
use crate::{Error, Result};

pub(crate) use clips::check_clips;
use heard::Heard;
use language::Detection;
use passage::{Passage, Setting};
use window::WindowEncoder;

/// Transcribes a recording, segment by segment as they are found.
///
/// The language is detected before this returns.
///
/// # Errors
/// [`Error::Request`] where an option makes no sense or is not for this model, such as a language for an `.en` model.
pub fn transcribe<'a, M: Model>(model: &'a M, mel: &'a LogMel, options: &'a Options) -> Result<Transcription<'a, M>> {
    options.check()?;
    let tokenizer = Tokenizer::new(model.dims().n_vocab)?;
    check_model(model.dims(), mel)?;
    options.monitor.report(0, mel.content_frames());

    let mut warnings = Vec::new();
    let clips = clips::clips(&options.clip_timestamps, mel.content_frames(), options.compat)?;
    let (heard, clips) = match (options.batch, mel.voice()) {
        (Some(_), Some(scores)) => Heard::spoken(mel, scores, &clips),
        _ => (Heard::whole(mel), clips),
    };
    let nobody_speaks = heard.n_frames() == 0 && mel.content_frames() > 0;
    if nobody_speaks {
        warnings.push(Warning::NoVoice);
    }
    let mut encoder = WindowEncoder::new(model, heard);
    let mut detection = None;
    let language = match options.language {
        Some(language) => language,
        None if tokenizer.is_multilingual() => {
            let found = if nobody_speaks {
                language::detect(&mut WindowEncoder::new(model, Heard::whole(mel)), tokenizer, options)?
            } else {
                language::detect(&mut encoder, tokenizer, options)?
            };
            let found = detection.insert(found);
            if found.uncertain {
                warnings.push(Warning::UncertainLanguage {
                    language: found.language,
                });
            }
            found.language
        }
        None => Language::ENGLISH,
    };
    let sot_sequence = tokenizer.sot_sequence(language, options.task)?;
    let tokens = match &options.initial_prompt {
        Some(prompt) => tokenizer.encode(&format!(" {}", prompt.trim()))?,
        None => Vec::new(),
    };
    if options.task == Task::Translate && is_turbo(model.dims()) {
        warnings.push(Warning::CannotTranslate);
    }
    let setting = Setting {
        options,
        tokenizer,
        duration: encoder.heard.duration(),
        n_frames: encoder.heard.n_frames(),
        n_text_ctx: model.dims().n_text_ctx,
        initial_prompt: tokens,
    };
    let aligner = match options.word_timestamps {
        true => Some(aligner(
            model,
            tokenizer,
            language,
            &sot_sequence,
            options,
            &mut warnings,
        )?),
        false => None,
    };
    let passages = match options.batch {
        None => vec![Passage::new(clips, &setting)],
        Some(_) => {
            let parts = clips.into_iter().flat_map(|clip| silence::cut(&encoder.heard, clip));
            parts.map(|part| Passage::new(vec![part], &setting)).collect()
        }
    };
    Ok(Transcription {
        encoder,
        decoder: Decoder::new(model, tokenizer, &sot_sequence, options)?,
        aligner,
        setting,
        language,
        detection,
        passages,
        n_finished: 0,
        n_given: 0,
        n_given_of_passage: 0,
        earliest: 0.0,
        warnings,
        failed: false,
    })
}

/// A recording that is being transcribed: an iterator of its segments.
///
/// After an error there are no more segments.
pub struct Transcription<'a, M: Model> {
    encoder: WindowEncoder<'a, M>,
    decoder: Decoder<'a, M>,
    /// Where words are wanted.
    aligner: Option<Aligner<'a, M>>,
    setting: Setting<'a>,
    language: Language,
    detection: Option<Detection>,
    /// In the order of the recording: one, or as many as pauses have made.
    passages: Vec<Passage>,
    /// Passages that are transcribed and whose segments the iterator has given away.
    n_finished: usize,
    n_given: usize,
    /// How many segments of the first passage that is not finished.
    n_given_of_passage: usize,
    /// Where the last segment that was given away begins, in seconds.
    earliest: f64,
    warnings: Vec<Warning>,
    failed: bool,
}

impl<M: Model> Iterator for Transcription<'_, M> {
    type Item = Result<Segment>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(passage) = self.passages.get_mut(self.n_finished) else {
                let total = self.encoder.heard.mel.content_frames();
                self.setting.options.monitor.report(total, total); // behind the last pause, which nobody hears
                return None;
            };
            if let Some(segment) = passage.segments.get(self.n_given_of_passage) {
                let segment = Segment {
                    id: self.n_given,
                    ..(self.encoder.heard).in_the_recording(segment.clone(), &mut self.earliest)
                };
                self.n_given += 1;
                self.n_given_of_passage += 1;
                return Some(Ok(segment));
            }
            if self.failed {
                return None;
            }
            if passage.next_window(&self.setting).is_none() {
                self.n_finished += 1;
                self.n_given_of_passage = 0;
            } else if let Err(error) = self.transcribe_windows() {
                self.failed = true;
                return Some(Err(error));
            }
        }
    }
}

impl<M: Model> Transcription<'_, M> {
    /// The language spoken, asked for or detected.
    pub fn language(&self) -> Language {
        self.language
    }

    /// What the user should know so far.
    pub fn warnings(&self) -> impl Iterator<Item = &Warning> {
        let of_passages = self.passages.iter().flat_map(|passage| &passage.warnings);
        self.warnings.iter().chain(of_passages)
    }

    /// Transcribes what is left. After an error that the iterator has given: what was found before it.
    pub fn finish(mut self) -> Result<Transcript> {
        for segment in self.by_ref() {
            segment?;
        }
        self.passages.truncate(self.n_finished + 1); // after an error there may be some behind a gap
        let mut tokens: Vec<Token> = self.passages.iter().flat_map(Passage::said).copied().collect();
        if self.setting.options.compat == Compat::OpenAi {
            tokens.retain(|&token| token < self.setting.tokenizer.special().eot); // as the segments do
        }
        let warnings = self.warnings().cloned().collect();
        let segments = self.passages.into_iter().flat_map(|passage| passage.segments);
        let (heard, mut earliest) = (&self.encoder.heard, 0.0);
        Ok(Transcript {
            text: self.setting.tokenizer.decode(&tokens),
            segments: segments
                .enumerate()
                .map(|(id, segment)| Segment {
                    id,
                    ..heard.in_the_recording(segment, &mut earliest)
                })
                .collect(),
            language: self.language,
            language_probability: self.detection.as_ref().map(|found| found.probability),
            language_candidates: self.detection.map_or_else(Vec::new, |found| found.candidates),
            warnings,
        })
    }

    /// The next window of each of the first passages that are not at their end, all of them together.
    fn transcribe_windows(&mut self) -> Result<()> {
        struct Turn<'p> {
            passage: &'p mut Passage,
            prompt: Vec<Token>,
        }
        let setting = &self.setting;
        let (mut turns, mut windows) = (Vec::new(), Vec::new());
        for passage in &mut self.passages[self.n_finished..] {
            if windows.len() == setting.options.batch.map_or(1, usize::from) {
                break;
            }
            if let Some(window) = passage.next_window(setting) {
                windows.push(window);
                turns.push(Turn {
                    prompt: passage.prompt(setting),
                    passage,
                });
            }
        }

        let audio = self.encoder.encode(&windows)?;
        let asked: Vec<_> = (turns.iter().zip(&audio).zip(&windows))
            .map(|((turn, audio), window)| Window {
                audio,
                previous: &turn.prompt,
                start: window.start,
            })
            .collect();
        let decodings = self.decoder.decode(&asked)?;
        for (((turn, window), audio), decoding) in turns.iter_mut().zip(&windows).zip(&audio).zip(&decodings) {
            let align = self.aligner.as_ref().map(|aligner| {
                move |segments: &[Vec<Token>]| {
                    setting.options.monitor.check()?;
                    aligner.align(audio, segments, window.len())
                }
            });
            let n_known = turn.passage.warnings.len();
            turn.passage.take(window, &turn.prompt, decoding, setting, align)?;
            for warning in &mut turn.passage.warnings[n_known..] {
                self.encoder.heard.warning_in_the_recording(warning);
            }
        }

        let heard = &self.encoder.heard;
        let total = heard.mel.content_frames();
        let next = self.passages.get(self.n_finished);
        let done = next.map_or(total, |passage| heard.recorded(passage.seek));
        setting.options.monitor.report(done.min(total), total);
        Ok(())
    }
}

/// What finds the words, and what the user should know about them.
fn aligner<'a, M: Model>(
    model: &'a M,
    tokenizer: Tokenizer,
    language: Language,
    sot_sequence: &[Token],
    options: &Options,
    warnings: &mut Vec<Warning>,
) -> Result<Aligner<'a, M>> {
    let aligner = Aligner::new(model, tokenizer, language, sot_sequence, options.compat);
    let asked = options.sample_len.unwrap_or(model.dims().n_text_ctx / 2);
    let most = aligner.most_tokens();
    if asked > most {
        return Err(Error::Request(format!(
            "sample_len: with word_timestamps expected at most {most}, found {asked}"
        )));
    }
    if !aligner.heads_are_known {
        warnings.push(Warning::UnknownAlignmentHeads);
    }
    if options.task == Task::Translate {
        warnings.push(Warning::WordsOfTranslation);
    }
    Ok(aligner)
}

/// Refuses a model or a spectrogram that the rest would stumble over.
fn check_model(dims: &Dims, mel: &LogMel) -> Result<()> {
    if dims.n_mels != mel.n_mels() {
        let (expected, found) = (dims.n_mels, mel.n_mels());
        return Err(Error::Request(format!(
            "this model hears {expected} mel bands, the spectrogram has {found}"
        )));
    }
    if dims.n_text_ctx < 8 {
        return Err(Error::Request(format!(
            "this model holds {} tokens, expected 448",
            dims.n_text_ctx
        )));
    }
    Ok(())
}

/// large-v3-turbo: large-v3 with 4 of its 32 decoder blocks.
fn is_turbo(dims: &Dims) -> bool {
    dims.n_vocab == 51866 && dims.n_text_layer == 4
}

#[cfg(test)]
mod guarantees;
#[cfg(test)]
mod tests;
