//! What was said in one recording, under mlx_whisper's names.
// Stands in for the types of `whisper::transcribe` until the engine is joined.

use serde::Serialize;

#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub(crate) struct Segment {
    pub(crate) id: usize,
    pub(crate) seek: usize,
    pub(crate) start: f64,
    pub(crate) end: f64,
    pub(crate) text: String,
    pub(crate) tokens: Vec<u32>,
    pub(crate) temperature: f64,
    #[cfg_attr(test, serde(deserialize_with = "nullable"))]
    pub(crate) avg_logprob: f64,
    pub(crate) compression_ratio: f64,
    pub(crate) no_speech_prob: f64,
}

#[derive(Clone, Debug, Default)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub(crate) struct Transcript {
    pub(crate) text: String,
    pub(crate) segments: Vec<Segment>,
    pub(crate) language: String,
    #[cfg_attr(test, serde(skip))]
    pub(crate) language_probability: Option<f64>,
}

/// Golden transcripts hold null where mlx_whisper has NaN.
#[cfg(test)]
fn nullable<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(<Option<f64> as serde::Deserialize>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}
