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
//! Source: `transcribe.py` of openai/whisper. [`Options::compat`] says where mlx_whisper's copy differs.

mod clips;
mod language;
mod pieces;
mod window;

use std::ops::Range;
use std::sync::Arc;

use crate::decode::{Decoder, Decoding, quality};
use crate::language::Language;
use crate::mel::LogMel;
use crate::model::{AUDIO_FRAMES, Dims, MEL_FRAMES, Model, Token};
use crate::options::{Compat, Options};
use crate::tokenizer::{Task, Tokenizer};
use crate::transcript::{Segment, Transcript, Warning};
use crate::{Error, Result};

use language::Detection;
use pieces::Piece;
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
    let mut encoder = WindowEncoder::new(model, mel);
    let mut detection = None;
    let language = match options.language {
        Some(language) => language,
        None if tokenizer.is_multilingual() => {
            let found = detection.insert(language::detect(&mut encoder, tokenizer, options)?);
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
    let mut clips = clips::clips(&options.clip_timestamps, mel.content_frames(), options.compat)?;
    clips.reverse();
    Ok(Transcription {
        encoder,
        decoder: Decoder::new(model, tokenizer, &sot_sequence, options)?,
        tokenizer,
        options,
        language,
        detection,
        seek: clips.last().map_or(0, |clip| clip.start),
        clips_to_come: clips,
        n_stuck: 0,
        n_initial_prompt: tokens.len(),
        prompt_from: 0,
        tokens,
        segments: Vec::new(),
        n_given: 0,
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
    tokenizer: Tokenizer,
    options: &'a Options,
    language: Language,
    detection: Option<Detection>,
    /// Frames up to which the recording is transcribed.
    seek: usize,
    /// How many windows have begun here and come to nothing.
    n_stuck: usize,
    /// The current clip and those after it, the last one first.
    clips_to_come: Vec<Range<usize>>,
    /// The initial prompt and all tokens of the segments.
    tokens: Vec<Token>,
    n_initial_prompt: usize,
    /// The tokens from here on are the prompt of the next window.
    prompt_from: usize,
    segments: Vec<Segment>,
    /// How many segments the iterator has given away.
    n_given: usize,
    warnings: Vec<Warning>,
    failed: bool,
}

impl<M: Model> Iterator for Transcription<'_, M> {
    type Item = Result<Segment>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.n_given == self.segments.len() {
            let window = if self.failed { None } else { self.next_window() }?;
            if let Err(error) = self.transcribe_window(window) {
                self.failed = true;
                return Some(Err(error));
            }
        }
        self.n_given += 1;
        Some(Ok(self.segments[self.n_given - 1].clone()))
    }
}

impl<M: Model> Transcription<'_, M> {
    /// The language spoken, asked for or detected.
    pub fn language(&self) -> Language {
        self.language
    }

    /// What the user should know so far.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Transcribes what is left. After an error that the iterator has given: what was found before it.
    pub fn finish(mut self) -> Result<Transcript> {
        for segment in self.by_ref() {
            segment?;
        }
        let mut tokens = self.tokens.split_off(self.n_initial_prompt);
        if self.options.compat == Compat::OpenAi {
            tokens.retain(|&token| token < self.tokenizer.special().eot); // as the segments do
        }
        Ok(Transcript {
            text: self.tokenizer.decode(&tokens),
            segments: self.segments,
            language: self.language,
            language_probability: self.detection.as_ref().map(|found| found.probability),
            language_candidates: self.detection.map_or_else(Vec::new, |found| found.candidates),
            warnings: self.warnings,
        })
    }

    /// The frames to look at next; `None` at the end.
    fn next_window(&mut self) -> Option<Range<usize>> {
        loop {
            let clip = self.clips_to_come.last()?;
            if self.seek < clip.end {
                return Some(self.seek..clip.end.min(self.seek + MEL_FRAMES));
            }
            self.clips_to_come.pop();
            // mlx_whisper goes on where the clip before has ended.
            if let (Compat::OpenAi, Some(clip)) = (self.options.compat, self.clips_to_come.last()) {
                self.seek = clip.start;
            }
        }
    }

    fn transcribe_window(&mut self, window: Range<usize>) -> Result<()> {
        let audio = self.encoder.encode(&window)?;
        let prompt = self.prompt();
        let decoding = self.decode_with_fallback(&audio, &prompt)?;
        if quality::is_silence(&decoding, self.options) {
            self.seek_to(window.end);
            return Ok(());
        }

        let cut = pieces::cut(&decoding.tokens, &self.tokenizer);
        for piece in &cut.pieces {
            self.add_segment(piece, &window, &decoding);
        }
        if !self.options.condition_on_previous_text || decoding.temperature > 0.5 {
            self.prompt_from = self.tokens.len(); // a text of chance would lead the next window astray
        }
        match cut.read_on {
            Some(0) => self.read_again_or_leave(&window, &prompt),
            Some(steps) => self.seek_to(window.start + steps * MEL_FRAMES / AUDIO_FRAMES),
            None => self.seek_to(window.end),
        }
        Ok(())
    }

    /// A window whose last segment ends where it began. mlx_whisper reads it again, which helps as long as the prompt
    /// has grown, and is for ever where it has not.
    fn read_again_or_leave(&mut self, window: &Range<usize>, prompt: &[Token]) {
        const PATIENCE: usize = 10;
        self.n_stuck += 1;
        let may_help = self.n_stuck <= PATIENCE && self.prompt() != prompt;
        if self.options.compat == Compat::OpenAi || !may_help {
            self.warnings.push(Warning::EndlessWindow { seek: window.start });
            self.seek_to(window.end);
        }
    }

    /// Decodes at the first temperature whose text is to be believed, or at the last.
    fn decode_with_fallback(&mut self, audio: &Arc<M::Audio>, prompt: &[Token]) -> Result<Decoding> {
        let mut prompted = self.decoder.prompt(audio, prompt)?;
        let (&last, others) = self
            .options
            .temperatures
            .split_last()
            .expect("checked: there is a temperature");
        for &temperature in others {
            let decoding = self.decoder.attempt(&mut prompted, temperature)?;
            if !quality::needs_fallback(&decoding, self.options) {
                return Ok(decoding);
            }
        }
        self.decoder.attempt(&mut prompted, last)
    }

    /// The text before the next window, as far as it is to be shown; the decoder takes the end of it.
    fn prompt(&self) -> Vec<Token> {
        if !self.options.carry_initial_prompt {
            return self.tokens[self.prompt_from..].to_vec();
        }
        let (initial, rest) = self.tokens.split_at(self.n_initial_prompt);
        let rest = &rest[self.prompt_from.saturating_sub(self.n_initial_prompt)..];
        let room = (self.encoder.model.dims().n_text_ctx / 2 - 1).saturating_sub(initial.len());
        [initial, &rest[rest.len().saturating_sub(room)..]].concat()
    }

    fn add_segment(&mut self, piece: &Piece, window: &Range<usize>, decoding: &Decoding) {
        const SECONDS_A_STEP: f64 = 0.02;
        let offset = seconds(window.start);
        let start = offset + piece.start as f64 * SECONDS_A_STEP;
        let end = match piece.end {
            Some(steps) => offset + steps as f64 * SECONDS_A_STEP,
            None => offset + seconds(window.len()),
        };
        let mut tokens = decoding.tokens[piece.tokens.clone()].to_vec();
        let eot = self.tokenizer.special().eot;
        let words: Vec<Token> = tokens.iter().copied().filter(|&token| token < eot).collect();
        let mut text = self.tokenizer.decode(&words);
        if start == end || text.trim().is_empty() {
            text.clear();
            tokens.clear();
        }
        let (start, end) = match self.options.compat {
            Compat::OpenAi => self.within(start, end, window),
            Compat::Mlx => (start, end),
        };
        self.tokens.extend_from_slice(&tokens);
        self.segments.push(Segment {
            id: self.segments.len(),
            seek: window.start,
            start,
            end,
            text,
            tokens,
            temperature: decoding.temperature,
            avg_logprob: decoding.avg_logprob,
            compression_ratio: decoding.compression_ratio,
            no_speech_prob: decoding.no_speech_prob,
        });
    }

    /// Times that lie in the window and do not go back: the network may name any time within 30 s.
    fn within(&self, start: f64, end: f64, window: &Range<usize>) -> (f64, f64) {
        let latest = seconds(window.end).min(self.encoder.mel.duration());
        let earliest = self.segments.last().map_or(0.0, |segment| segment.start).min(latest);
        let start = start.clamp(earliest, latest);
        (start, end.clamp(start, latest))
    }

    fn seek_to(&mut self, frame: usize) {
        self.seek = frame;
        self.n_stuck = 0;
        let total = self.encoder.mel.content_frames();
        self.options.monitor.report(frame.min(total), total);
    }
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

fn seconds(frames: usize) -> f64 {
    frames as f64 / 100.0
}

#[cfg(test)]
mod tests;
