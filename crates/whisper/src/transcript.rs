//! What a transcription gives.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::language::Language;
use crate::model::Token;

/// A recording as text. Serialised, the keys of mlx_whisper come first, in its order; its own files can be read, too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    /// All of the text.
    pub text: String,
    /// Its parts, in the order of their start.
    pub segments: Vec<Segment>,
    /// The language spoken, asked for or detected.
    pub language: Language,
    /// How probable the detected language is; `None` where it was known.
    #[serde(default)]
    pub language_probability: Option<f32>,
    /// The languages most probable by sound, at most five, the best first; where they were close, texts have decided.
    #[serde(default)]
    pub language_candidates: Vec<(Language, f32)>,
    /// What the user should know about this result.
    #[serde(default)]
    pub warnings: Vec<Warning>,
}

/// Some words that belong together, and when they are said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Place in the transcript.
    pub id: usize,
    /// Start of the window it was found in, in frames of 10 ms.
    pub seek: usize,
    /// Seconds from the start of the recording.
    pub start: f64,
    /// Seconds from the start of the recording.
    pub end: f64,
    /// The text with its leading space; empty where nothing is said.
    pub text: String,
    /// Text and timestamps; empty where nothing is said.
    pub tokens: Vec<Token>,
    /// The temperature at which its window was decoded.
    pub temperature: f64,
    /// Mean log-probability of its window's tokens. NaN, which JSON does not know, only under `Compat::Mlx`.
    #[serde(deserialize_with = "null_is_nan")]
    pub avg_logprob: f64,
    /// Compression ratio of its window's text.
    pub compression_ratio: f64,
    /// How probable the network finds it that nobody speaks in the window.
    pub no_speech_prob: f64,
    /// Its words, where they were asked for: [`Options::word_timestamps`](crate::Options::word_timestamps).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Vec<Word>>,
}

impl Segment {
    /// Where it or its last word starts.
    pub(crate) fn latest_start(&self) -> f64 {
        self.words.iter().flatten().last().map_or(self.start, |word| word.start)
    }
}

/// A word, and when it is said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// The word with the space before it and the punctuation beside it.
    pub word: String,
    /// Seconds from the start of the recording.
    pub start: f64,
    /// Seconds from the start of the recording.
    pub end: f64,
    /// How probable the network finds it, after what stands before it.
    pub probability: f64,
}

/// What the user should know about a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "warning", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Warning {
    /// Turbo models were not trained to translate.
    CannotTranslate,
    /// By its sound the recording could be in several languages; the texts have decided.
    UncertainLanguage {
        /// The language taken.
        language: Language,
    },
    /// Times of words come from attention to the sound, whose words are others than those of the translation.
    WordsOfTranslation,
    /// The checkpoint does not name the attention heads that follow the words: all of the decoder's upper half are taken.
    UnknownAlignmentHeads,
    /// With [`Options::batch`](crate::options::Options::batch) pauses are left out, and the recording is all pause.
    NoVoice,
    /// The rules of mlx_whisper would read this window again and again; it was left behind.
    EndlessWindow {
        /// Start of the window in frames of 10 ms.
        seek: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CannotTranslate => {
                write!(
                    f,
                    "turbo models were not trained to translate: expect the language spoken, or take large-v3"
                )
            }
            Self::UncertainLanguage { language } => {
                write!(
                    f,
                    "the language is uncertain, taken for {language}: if it is another, name it with --language"
                )
            }
            Self::WordsOfTranslation => {
                write!(
                    f,
                    "the times of words are those of what is said, and fit a translation badly"
                )
            }
            Self::UnknownAlignmentHeads => write!(
                f,
                "this checkpoint does not name the attention heads that follow the words (alignment_heads): all of the \
                 decoder's upper half are taken, and times of words are less exact"
            ),
            Self::NoVoice => write!(
                f,
                "no voice was heard, and pauses are left out of batches: --keep-pauses hears everything"
            ),
            Self::EndlessWindow { seek } => write!(
                f,
                "mlx_whisper would read the window at {:.2} s for ever: the transcript goes on after it",
                *seek as f64 / 100.0
            ),
        }
    }
}

/// JSON has no NaN: `null` stands for it.
fn null_is_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}
