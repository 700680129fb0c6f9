//! The narrow waist: above it rules, windows and text, written once; below it one device.

use std::sync::Arc;

use crate::Result;

/// Encoder frames of a full window: 30 s at 50 frames a second.
pub const AUDIO_FRAMES: usize = 1500;

/// Log-mel frames of a full window: 30 s at 100 frames a second.
pub const MEL_FRAMES: usize = 3000;

/// An entry of the vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Token(pub u32);

/// The sizes of a Whisper network, under OpenAI's names.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Dims {
    /// Mel bands: 80, or 128 for large-v3 and turbo.
    pub n_mels: usize,
    /// Encoder frames of a window: 1500 (30 s).
    pub n_audio_ctx: usize,
    /// Width of the encoder.
    pub n_audio_state: usize,
    /// Attention heads of the encoder.
    pub n_audio_head: usize,
    /// Blocks of the encoder.
    pub n_audio_layer: usize,
    /// Size of the vocabulary.
    pub n_vocab: usize,
    /// The most tokens the decoder can hold: 448.
    pub n_text_ctx: usize,
    /// Width of the decoder.
    pub n_text_state: usize,
    /// Attention heads of the decoder.
    pub n_text_head: usize,
    /// Blocks of the decoder.
    pub n_text_layer: usize,
}

/// The encoder's positions `[length, channels]`, which no checkpoint holds: sines of rising wavelength, then their cosines.
///
/// Source: `sinusoids`, openai/whisper `model.py`.
pub fn sinusoids(length: usize, channels: usize) -> Vec<f32> {
    let half = channels / 2;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "computed in f64, then rounded, as in Python"
    )]
    let log_timescale = (10000_f64.ln() / (half as f64 - 1.0)) as f32;
    let frequencies: Vec<f32> = (0..half).map(|i| (-log_timescale * i as f32).exp()).collect();
    let row = |t: usize| {
        let angles = frequencies.iter().map(move |frequency| t as f32 * frequency);
        angles.clone().map(f32::sin).chain(angles.map(f32::cos))
    };
    (0..length).flat_map(row).collect()
}

/// One window for the encoder: log-mel `[n_frames, n_mels]`, row-major, as Whisper was trained on.
///
/// A full window has [`MEL_FRAMES`] frames; a device fills a shorter one with zeros, as mlx_whisper does.
#[derive(Clone, Copy, Debug)]
pub struct MelWindow<'a> {
    /// `n_frames * n_mels` values.
    pub values: &'a [f32],
    /// Bands a frame.
    pub n_mels: usize,
}

/// A cross-attention head of the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Decoder block.
    pub layer: usize,
    /// Head within the block.
    pub head: usize,
}

/// What the decoder saw while it read a whole text over a window.
#[derive(Clone, Debug)]
pub struct Alignment {
    /// Logits of every token read, `[tokens, n_vocab]`.
    pub logits: Vec<f32>,
    /// Scaled cross-attention scores before softmax, `[head, token, frame]` with [`AUDIO_FRAMES`] frames.
    pub scores: Vec<f32>,
}

/// Tokens to append to one hypothesis, and the rows whose logits are wanted.
pub struct Feed<'a, H> {
    /// The hypothesis that grows.
    pub hypothesis: &'a mut H,
    /// The tokens that follow.
    pub tokens: &'a [Token],
    /// Indices into `tokens`: only these rows are projected onto the vocabulary.
    pub rows: &'a [usize],
}

/// The network of Whisper on one device, and nothing else.
///
/// An encoded window outlives its hypotheses and is shared by them and by every fallback. `&self` lets one window be
/// encoded while another is decoded. A hypothesis is a value, so best-of, beam search and many windows at once need no
/// index bookkeeping.
pub trait Model: Send + Sync {
    /// One encoded window: the keys and values of cross-attention on the device; immutable, shared.
    type Audio: Send + Sync;
    /// The tokens so far over one [`Model::Audio`]: its growing self-attention cache, freed on drop.
    type Hypothesis: Send;

    /// The sizes of the network.
    fn dims(&self) -> &Dims;

    /// The heads of cross-attention that follow the words, where the checkpoint names them.
    fn alignment_heads(&self) -> Option<&[Head]> {
        None
    }

    /// Encodes windows together.
    fn encode(&self, mel: &[MelWindow<'_>]) -> Result<Vec<Arc<Self::Audio>>>;

    /// A hypothesis without tokens over `audio`.
    fn begin(&self, audio: &Arc<Self::Audio>) -> Result<Self::Hypothesis>;

    /// A copy that goes on by itself (best-of, beam search).
    fn fork(&self, from: &Self::Hypothesis) -> Result<Self::Hypothesis>;

    /// Keeps the first `len` tokens (fallback, language step).
    fn truncate(&self, hypothesis: &mut Self::Hypothesis, len: usize);

    /// Appends tokens to hypotheses of any windows as one batch. `logits` is cleared, then receives the rows asked for,
    /// `[rows, n_vocab]`, in order.
    fn step(&self, batch: &mut [Feed<'_, Self::Hypothesis>], logits: &mut Vec<f32>) -> Result<()>;

    /// Reads `tokens` over a window at once: logits of every row, and the attention of `heads` before softmax (word
    /// timestamps).
    fn align(&self, audio: &Arc<Self::Audio>, tokens: &[Token], heads: &[Head]) -> Result<Alignment>;
}
