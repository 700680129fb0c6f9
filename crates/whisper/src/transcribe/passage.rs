//! A passage: windows that follow one another, each after the text of the one before.
//!
//! A recording is one passage, or, where windows are decoded side by side, as many as its pauses allow
//! ([`silence`](super::silence)). A passage knows nothing of the others.

use std::ops::Range;

use super::pieces::{self, Piece};
use super::read_on::{ReadOn, behind_words, end_of_words};
use crate::Result;
use crate::decode::{Decoding, quality};
use crate::model::{AUDIO_FRAMES, MEL_FRAMES, Token};
use crate::options::{Compat, Options};
use crate::tokenizer::Tokenizer;
use crate::transcript::{Segment, Warning};
use crate::words::{Surroundings, TimedWord, spread};

/// What all passages of a recording share.
pub(super) struct Setting<'a> {
    pub(super) options: &'a Options,
    pub(super) tokenizer: Tokenizer,
    /// Seconds of what is heard.
    pub(super) duration: f64,
    /// Whole frames of what is heard.
    pub(super) n_frames: usize,
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
    /// Where the last word ends, in seconds; 0 before the first.
    spoken_until: f64,
    pub(super) segments: Vec<Segment>,
    pub(super) warnings: Vec<Warning>,
}

impl Passage {
    /// One that consists of `clips`, frames of what is heard.
    pub(super) fn new(mut clips: Vec<Range<usize>>, setting: &Setting<'_>) -> Self {
        clips.reverse();
        Self {
            seek: clips.last().map_or(0, |clip| clip.start),
            clips_to_come: clips,
            n_stuck: 0,
            tokens: setting.initial_prompt.clone(),
            n_initial_prompt: setting.initial_prompt.len(),
            prompt_from: 0,
            spoken_until: 0.0,
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

    /// Takes up what was heard in `window` after `prompt`, and goes on behind it. `align` finds the words of the
    /// segments in the window, where they are wanted.
    pub(super) fn take(
        &mut self,
        window: &Range<usize>,
        prompt: &[Token],
        decoding: &Decoding,
        setting: &Setting<'_>,
        align: Option<impl FnOnce(&[Vec<Token>]) -> Result<Vec<TimedWord>>>,
    ) -> Result<()> {
        if quality::is_silence(decoding, setting.options) {
            self.seek_to(window.end);
            return Ok(());
        }
        let cut = pieces::cut(&decoding.tokens, &setting.tokenizer);
        let mut segments: Vec<Segment> = (cut.pieces.iter())
            .map(|piece| segment(piece, window, decoding, setting))
            .collect();
        let mut read_on = match cut.read_on {
            Some(steps) => window.start + steps * MEL_FRAMES / AUDIO_FRAMES,
            None => window.end,
        };
        if let Some(align) = align {
            let texts: Vec<_> = segments
                .iter()
                .map(|segment| text_of(&segment.tokens, setting))
                .collect();
            let n_tokens = texts.iter().map(Vec::len);
            let around = Surroundings {
                start: seconds(window.start),
                end: seconds(window.end),
                spoken_until: self.spoken_until,
                duration: seconds(setting.n_frames),
            };
            spread(align(&texts)?, &mut segments, n_tokens, around, setting.options);
            let threshold = setting.options.hallucination_silence_threshold;
            match behind_words(&mut segments, cut.complete, around, threshold) {
                ReadOn::AsTold => {}
                ReadOn::At(frame) => read_on = frame.min(setting.n_frames),
                ReadOn::Again(frame) => {
                    self.go_on(frame, window, prompt, setting);
                    return Ok(());
                }
            }
            self.spoken_until = end_of_words(&segments).unwrap_or(self.spoken_until);
        }
        for segment in segments {
            self.add(segment, window, setting);
        }
        if !setting.options.condition_on_previous_text || decoding.temperature > 0.5 {
            self.prompt_from = self.tokens.len(); // a text of chance would lead the next window astray
        }
        self.go_on(read_on, window, prompt, setting);
        Ok(())
    }

    /// Adds a segment; one without text or duration keeps its place only.
    fn add(&mut self, mut segment: Segment, window: &Range<usize>, setting: &Setting<'_>) {
        if segment.start == segment.end || segment.text.trim().is_empty() {
            segment.text.clear();
            segment.tokens.clear();
            if let Some(words) = &mut segment.words {
                words.clear();
            }
        }
        if setting.options.compat == Compat::OpenAi {
            self.confine(&mut segment, window, setting);
        }
        segment.id = self.segments.len();
        self.tokens.extend_from_slice(&segment.tokens);
        self.segments.push(segment);
    }

    /// Times that lie in the window and do not go back, words within their segment: the network may name any time within
    /// 30 s.
    fn confine(&self, segment: &mut Segment, window: &Range<usize>, setting: &Setting<'_>) {
        let latest = seconds(window.end).min(setting.duration);
        let before = self.segments.last().map_or(0.0, Segment::latest_start);
        let earliest = before.max(seconds(window.start)).min(latest);
        segment.start = segment.start.clamp(earliest, latest);
        segment.end = segment.end.clamp(segment.start, latest);
        let mut earliest = segment.start;
        for word in segment.words.iter_mut().flatten() {
            word.start = word.start.clamp(earliest, segment.end);
            word.end = word.end.clamp(word.start, segment.end);
            earliest = word.start;
        }
    }

    /// Reads on from `frame`.
    fn go_on(&mut self, frame: usize, window: &Range<usize>, prompt: &[Token], setting: &Setting<'_>) {
        if frame > window.start {
            self.seek_to(frame);
        } else {
            self.read_again_or_leave(window, prompt, setting);
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

    fn seek_to(&mut self, frame: usize) {
        self.seek = frame;
        self.n_stuck = 0;
    }

    /// All tokens of the segments.
    pub(super) fn said(&self) -> &[Token] {
        &self.tokens[self.n_initial_prompt..]
    }
}

/// A piece of what was heard in `window`.
fn segment(piece: &Piece, window: &Range<usize>, decoding: &Decoding, setting: &Setting<'_>) -> Segment {
    const SECONDS_A_STEP: f64 = 0.02;
    let offset = seconds(window.start);
    let tokens = decoding.tokens[piece.tokens.clone()].to_vec();
    Segment {
        id: 0,
        seek: window.start,
        start: offset + piece.start as f64 * SECONDS_A_STEP,
        end: match piece.end {
            Some(steps) => offset + steps as f64 * SECONDS_A_STEP,
            None => offset + seconds(window.len()),
        },
        text: setting.tokenizer.decode(&text_of(&tokens, setting)),
        tokens,
        temperature: decoding.temperature,
        avg_logprob: decoding.avg_logprob,
        compression_ratio: decoding.compression_ratio,
        no_speech_prob: decoding.no_speech_prob,
        words: None,
    }
}

/// `tokens` without timestamps and other special ones.
fn text_of(tokens: &[Token], setting: &Setting<'_>) -> Vec<Token> {
    let eot = setting.tokenizer.special().eot;
    tokens.iter().copied().filter(|&token| token < eot).collect()
}

pub(super) fn seconds(frames: usize) -> f64 {
    frames as f64 / 100.0
}

/// The nearest frame, halves to the even one, as Python rounds.
pub(super) fn frame(seconds: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and NaN gives 0")]
    let frame = (seconds * 100.0).round_ties_even() as usize;
    frame
}
