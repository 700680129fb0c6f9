//! What may be asked of a transcription, under OpenAI's names and with OpenAI's defaults.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::language::Language;
use crate::model::Token;
use crate::tokenizer::Task;
use crate::transcribe::check_clips;
use crate::{Error, Result};

/// Whose rules hold where OpenAI's Whisper and mlx_whisper differ.
///
/// | | `OpenAi` | `Mlx` |
/// |---|---|---|
/// | timestamps of a window | never decrease | may decrease |
/// | timestamps against text | weighed after the pair rules | before them, so that nothing may be left: token 0, NaN |
/// | a window that is probably silent | retried where its text is improbable too | never retried |
/// | starts of the second and later clips | honoured | ignored |
/// | segments and words | `0 <= start <= end <= duration`, starts never decrease, words within their segment | as they come |
/// | a word or a mark that belongs to the segment before | is cut off: the words of a segment are its text | is moved there, and later words with it |
/// | an uncertain language | further looks at the recording | the first look decides |
///
/// A window that would be read again for ever is left behind in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compat {
    /// OpenAI's Whisper v20250625, and the guarantees above.
    #[default]
    OpenAi,
    /// mlx_whisper 0.4.3, to the token at temperature 0.
    Mlx,
}

/// An entry of [`Options::suppress_tokens`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suppress {
    /// Symbols that are written but not spoken; `-1` on the command line.
    NonSpeech,
    /// One token.
    Token(Token),
}

/// What is asked, with OpenAI's names and defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// The language spoken; `None` detects it.
    pub language: Option<Language>,
    /// Write what is said, or translate it into English.
    pub task: Task,
    /// Whose rules hold.
    pub compat: Compat,

    /// Tried in this order until a window passes the thresholds; 0 takes the most probable tokens, more samples them.
    pub temperatures: Vec<f64>,
    /// How many samples are drawn at a temperature above 0; the most probable text wins.
    pub best_of: usize,
    /// Exponent alpha in 0..=1 of the penalty for length when samples are compared; `None` compares means.
    pub length_penalty: Option<f64>,
    /// Seed of all sampling.
    pub seed: u64,
    /// Text that compresses better than this repeats itself: next temperature.
    pub compression_ratio_threshold: Option<f64>,
    /// A mean log-probability below this is a failure: next temperature.
    pub logprob_threshold: Option<f64>,
    /// Above this probability of no speech, a window of improbable text is silent.
    pub no_speech_threshold: Option<f64>,

    /// Show each window the text before it.
    pub condition_on_previous_text: bool,
    /// Text before the first window: names, spelling, style.
    pub initial_prompt: Option<String>,
    /// Show the initial prompt to every window.
    pub carry_initial_prompt: bool,
    /// Text with which every window is made to begin. It is no part of the result.
    pub prefix: Option<String>,
    /// Start and end in seconds of the parts to transcribe, in turn; without a last end, up to the end.
    pub clip_timestamps: Vec<f64>,

    /// Forbid a window to begin with a blank or to be empty.
    pub suppress_blank: bool,
    /// Tokens never to write, and with any entry also the special ones. Empty: all are allowed.
    pub suppress_tokens: Vec<Suppress>,
    /// Ask for text without timestamps: one segment a window.
    pub without_timestamps: bool,
    /// The latest first timestamp of a window in seconds; 0 and `None`: any.
    pub max_initial_timestamp: Option<f64>,
    /// The most tokens of a window; `None`: half the context of the model, 224.
    pub sample_len: Option<usize>,

    /// Find out when each word is said, [`Segment::words`](crate::Segment::words), and let the times of segments follow their
    /// words.
    pub word_timestamps: bool,
    /// Marks that belong to the word after them.
    pub prepend_punctuations: String,
    /// Marks that belong to the word before them.
    pub append_punctuations: String,
    /// With `word_timestamps`: where words look made up, leave out the silence beside them if it is longer than so many
    /// seconds.
    pub hallucination_silence_threshold: Option<f64>,

    /// Cut the recording at its silences into parts of at most 30 s, and decode so many side by side: faster, but a part
    /// does not know the text before it. The number changes no text. `None`: windows follow one another.
    ///
    /// Where the spectrogram knows where somebody speaks
    /// ([`LogMelBuilder::detecting_voice`](crate::mel::LogMelBuilder::detecting_voice)), pauses are left out.
    pub batch: Option<NonZeroUsize>,

    /// Shared with whoever watches the work or stops it.
    pub monitor: Arc<Monitor>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            language: None,
            task: Task::Transcribe,
            compat: Compat::default(),
            temperatures: vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
            best_of: 5,
            length_penalty: None,
            seed: 0,
            compression_ratio_threshold: Some(2.4),
            logprob_threshold: Some(-1.0),
            no_speech_threshold: Some(0.6),
            condition_on_previous_text: true,
            initial_prompt: None,
            carry_initial_prompt: false,
            prefix: None,
            clip_timestamps: Vec::new(),
            suppress_blank: true,
            suppress_tokens: vec![Suppress::NonSpeech],
            without_timestamps: false,
            max_initial_timestamp: Some(1.0),
            sample_len: None,
            word_timestamps: false,
            prepend_punctuations: "\"'“¿([{-".to_owned(),
            append_punctuations: "\"'.。,，!！?？:：”)]}、".to_owned(),
            hallucination_silence_threshold: None,
            batch: None,
            monitor: Arc::default(),
        }
    }
}

impl Options {
    /// Refuses what makes sense for no model; [`transcribe`](crate::transcribe()) does so itself, and then what does not fit
    /// its model.
    ///
    /// # Errors
    /// [`Error::Request`] names the option, what is expected and what was found.
    pub fn check(&self) -> Result<()> {
        let refuse = |problem: String| Err(Error::Request(problem));
        if self.temperatures.is_empty() {
            return refuse("temperature: expected at least one, found none".into());
        }
        if let Some(bad) = self.temperatures.iter().find(|t| !(0.0..=100.0).contains(*t)) {
            return refuse(format!("temperature: expected 0 to 100 (usual: 0 to 1), found {bad}"));
        }
        if self.best_of == 0 || self.best_of > 64 {
            return refuse(format!("best_of: expected 1 to 64, found {}", self.best_of));
        }
        if let Some(bad) = self.length_penalty.filter(|alpha| !(0.0..=1.0).contains(alpha)) {
            return refuse(format!("length_penalty: expected 0 to 1, found {bad}"));
        }
        if let Some(bad) = self
            .max_initial_timestamp
            .filter(|seconds| !(0.0..=30.0).contains(seconds))
        {
            return refuse(format!("max_initial_timestamp: expected 0 to 30 seconds, found {bad}"));
        }
        if self.batch.is_some() && self.compat == Compat::Mlx {
            return refuse("batch: mlx_whisper reads one window after the other; leave out batch or compat".into());
        }
        if self.batch.is_some_and(|n| n.get() > 64) {
            return refuse("batch: expected 1 to 64 windows".into());
        }
        if let Some(bad) = self
            .hallucination_silence_threshold
            .filter(|seconds| !(0.0..).contains(seconds))
        {
            return refuse(format!(
                "hallucination_silence_threshold: expected seconds from 0 on, found {bad}"
            ));
        }
        if self.sample_len == Some(0) {
            return refuse("sample_len: expected at least 1, found 0".into());
        }
        check_clips(&self.clip_timestamps, self.compat)
    }
}

/// How far a transcription is, readable from any thread, and the way to stop it.
#[derive(Debug, Default)]
pub struct Monitor {
    done: AtomicUsize,
    total: AtomicUsize,
    cancelled: AtomicBool,
}

impl Monitor {
    /// Hundredths of a second of audio that are done.
    pub fn frames_done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    /// Hundredths of a second of audio there are.
    pub fn frames_total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// Ends the work before the next token with [`Error::Cancelled`].
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub(crate) fn report(&self, done: usize, total: usize) {
        self.done.store(done, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.cancelled.load(Ordering::Relaxed) {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }
}
