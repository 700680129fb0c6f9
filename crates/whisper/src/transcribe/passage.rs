//! A passage: windows that follow one another, each after the text of the one before.
//!
//! A recording is one passage, or, where windows are decoded side by side, as many as its silences allow
//! ([`silence`](super::silence)). A passage knows nothing of the others.

use std::ops::Range;

use super::pieces::{self, Piece};
use crate::decode::{Decoding, quality};
use crate::model::{AUDIO_FRAMES, MEL_FRAMES, Token};
use crate::options::{Compat, Options};
use crate::tokenizer::Tokenizer;
use crate::transcript::{Segment, Warning};

/// What all passages of a recording share.
pub(super) struct Setting<'a> {
    pub(super) options: &'a Options,
    pub(super) tokenizer: Tokenizer,
    /// Seconds of the recording.
    pub(super) duration: f64,
    pub(super) n_text_ctx: usize,
    pub(super) initial_prompt: Vec<Token>,
}

/// A passage as far as it has been transcribed.
pub(super) struct Passage {
    /// Frames up to which it is transcribed.
    pub(super) seek: usize,
    /// The current clip and those after it, the last one first.
    clips_to_come: Vec<Range<usize>>,
    /// How many windows have begun here and come to nothing.
    n_stuck: usize,
    /// The initial prompt and all tokens of the segments.
    tokens: Vec<Token>,
    n_initial_prompt: usize,
    /// The tokens from here on are the prompt of the next window.
    prompt_from: usize,
    pub(super) segments: Vec<Segment>,
    pub(super) warnings: Vec<Warning>,
}

impl Passage {
    /// One that consists of `clips`, frames of the recording.
    pub(super) fn new(mut clips: Vec<Range<usize>>, setting: &Setting<'_>) -> Self {
        clips.reverse();
        Self {
            seek: clips.last().map_or(0, |clip| clip.start),
            clips_to_come: clips,
            n_stuck: 0,
            tokens: setting.initial_prompt.clone(),
            n_initial_prompt: setting.initial_prompt.len(),
            prompt_from: 0,
            segments: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The frames to look at next; `None` at the end.
    pub(super) fn next_window(&mut self, setting: &Setting<'_>) -> Option<Range<usize>> {
        loop {
            let clip = self.clips_to_come.last()?;
            if self.seek < clip.end {
                return Some(self.seek..clip.end.min(self.seek + MEL_FRAMES));
            }
            self.clips_to_come.pop();
            // mlx_whisper goes on where the clip before has ended.
            if let (Compat::OpenAi, Some(clip)) = (setting.options.compat, self.clips_to_come.last()) {
                self.seek = clip.start;
            }
        }
    }

    /// The text before the next window, as far as it is to be shown; the decoder takes the end of it.
    pub(super) fn prompt(&self, setting: &Setting<'_>) -> Vec<Token> {
        if !setting.options.carry_initial_prompt {
            return self.tokens[self.prompt_from..].to_vec();
        }
        let (initial, rest) = self.tokens.split_at(self.n_initial_prompt);
        let rest = &rest[self.prompt_from.saturating_sub(self.n_initial_prompt)..];
        let room = (setting.n_text_ctx / 2 - 1).saturating_sub(initial.len());
        [initial, &rest[rest.len().saturating_sub(room)..]].concat()
    }

    /// Takes up what was heard in `window` after `prompt`, and goes on behind it.
    pub(super) fn take(&mut self, window: &Range<usize>, prompt: &[Token], decoding: &Decoding, setting: &Setting<'_>) {
        if quality::is_silence(decoding, setting.options) {
            self.seek_to(window.end);
            return;
        }
        let cut = pieces::cut(&decoding.tokens, &setting.tokenizer);
        for piece in &cut.pieces {
            self.add_segment(piece, window, decoding, setting);
        }
        if !setting.options.condition_on_previous_text || decoding.temperature > 0.5 {
            self.prompt_from = self.tokens.len(); // a text of chance would lead the next window astray
        }
        match cut.read_on {
            Some(0) => self.read_again_or_leave(window, prompt, setting),
            Some(steps) => self.seek_to(window.start + steps * MEL_FRAMES / AUDIO_FRAMES),
            None => self.seek_to(window.end),
        }
    }

    /// A window whose last segment ends where it began. mlx_whisper reads it again, which helps as long as the prompt
    /// has grown, and is for ever where it has not.
    fn read_again_or_leave(&mut self, window: &Range<usize>, prompt: &[Token], setting: &Setting<'_>) {
        const PATIENCE: usize = 10;
        self.n_stuck += 1;
        let may_help = self.n_stuck <= PATIENCE && self.prompt(setting) != prompt;
        if setting.options.compat == Compat::OpenAi || !may_help {
            self.warnings.push(Warning::EndlessWindow { seek: window.start });
            self.seek_to(window.end);
        }
    }

    fn add_segment(&mut self, piece: &Piece, window: &Range<usize>, decoding: &Decoding, setting: &Setting<'_>) {
        const SECONDS_A_STEP: f64 = 0.02;
        let offset = seconds(window.start);
        let start = offset + piece.start as f64 * SECONDS_A_STEP;
        let end = match piece.end {
            Some(steps) => offset + steps as f64 * SECONDS_A_STEP,
            None => offset + seconds(window.len()),
        };
        let mut tokens = decoding.tokens[piece.tokens.clone()].to_vec();
        let eot = setting.tokenizer.special().eot;
        let words: Vec<Token> = tokens.iter().copied().filter(|&token| token < eot).collect();
        let mut text = setting.tokenizer.decode(&words);
        if start == end || text.trim().is_empty() {
            text.clear();
            tokens.clear();
        }
        let (start, end) = match setting.options.compat {
            Compat::OpenAi => self.within(start, end, window, setting),
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
    fn within(&self, start: f64, end: f64, window: &Range<usize>, setting: &Setting<'_>) -> (f64, f64) {
        let latest = seconds(window.end).min(setting.duration);
        let before = self.segments.last().map_or(0.0, |segment| segment.start);
        let earliest = before.max(seconds(window.start)).min(latest);
        let start = start.clamp(earliest, latest);
        (start, end.clamp(start, latest))
    }

    fn seek_to(&mut self, frame: usize) {
        self.seek = frame;
        self.n_stuck = 0;
    }

    /// All tokens of the segments.
    pub(super) fn said(&self) -> &[Token] {
        &self.tokens[self.n_initial_prompt..]
    }
}

fn seconds(frames: usize) -> f64 {
    frames as f64 / 100.0
}
