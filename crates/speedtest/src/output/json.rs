//! Everything, as mlx_whisper orders it, and after that what it does not say.

use serde::Serialize;

use super::python;
use crate::transcript::{Segment, Transcript};

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

/// The sizes of the network.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Dims {
    pub(crate) n_mels: usize,
    pub(crate) n_audio_ctx: usize,
    pub(crate) n_audio_state: usize,
    pub(crate) n_audio_head: usize,
    pub(crate) n_audio_layer: usize,
    pub(crate) n_vocab: usize,
    pub(crate) n_text_ctx: usize,
    pub(crate) n_text_state: usize,
    pub(crate) n_text_head: usize,
    pub(crate) n_text_layer: usize,
}

/// How the weights are stored.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Weights {
    /// MLX affine codes of so many bits, a scale and a bias for each group of so many.
    Quantization { bits: u32, group: u32 },
    /// `float16`, ...
    Type(String),
}

/// A line of JSON without its end, as Python's `json.dump(.., ensure_ascii=False)` writes it; what is no number is null.
pub(super) fn document(transcript: &Transcript, model: &ModelUsed) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        text: &'a str,
        segments: &'a [Segment],
        language: &'a str,
        language_probability: Option<f64>,
        model: &'a ModelUsed,
    }
    let Transcript {
        text,
        segments,
        language,
        language_probability,
    } = transcript;
    python::json(&Document {
        text,
        segments,
        language,
        language_probability: *language_probability,
        model,
    })
}
