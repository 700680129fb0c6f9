//! Everything, as mlx_whisper orders it, and after that what it does not say.

use std::fmt;

use serde::Serialize;

use whisper::language::Language;
use whisper::model::Dims;
use whisper::weights::Float;

use super::python;
use whisper::transcript::{Segment, Transcript, Warning};

/// What really did the work.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ModelUsed {
    /// `bundled`, a repository or a folder.
    pub(crate) source: String,
    /// The commit of a repository.
    pub(crate) revision: Option<String>,
    pub(crate) dims: Dims,
    #[serde(flatten)]
    pub(crate) weights: Weights,
    /// The arithmetic: `f32`, ...
    pub(crate) compute: String,
    /// `cpu`, ...
    pub(crate) device: String,
    /// Whether this is not the repository that was asked for first.
    pub(crate) fallback: bool,
}

/// How the weights are stored.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Weights {
    /// MLX affine codes of so many bits, a scale and a bias for each group of so many.
    Quantization { bits: usize, group: usize },
    /// `f16`, ...: a number a weight.
    Type(Float),
}

impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Weights::Quantization { bits, group } => write!(f, "{bits} bits, groups of {group}"),
            Weights::Type(float) => f.write_str(&format!("{float:?}").to_lowercase()),
        }
    }
}

/// A line of JSON without its end, as Python's `json.dump(.., ensure_ascii=False)` writes it; what is no number is null.
pub(super) fn document(transcript: &Transcript, model: &ModelUsed) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        text: &'a str,
        segments: &'a [Segment],
        language: Language,
        language_probability: Option<f64>,
        language_candidates: Vec<(Language, f64)>,
        warnings: &'a [Warning],
        model: &'a ModelUsed,
    }
    let Transcript {
        text,
        segments,
        language,
        language_probability,
        language_candidates,
        warnings,
    } = transcript;
    let candidate = |&(language, probability): &(Language, f32)| (language, f64::from(probability));
    python::json(&Document {
        text,
        segments,
        language: *language,
        language_probability: language_probability.map(f64::from),
        language_candidates: language_candidates.iter().map(candidate).collect(),
        warnings,
        model,
    })
}
