//! The encoder: a log-mel window `[3000, n_mels]` to features `[1500, width]`.

use kernels::{Cpu, KeyValue, Rows, Then, attention};

use super::block::{Buffers, FeedForward, SelfAttention, resized};
use super::layers::{LayerNorm, Linear, Loader};
use crate::Result;
use crate::model::{Dims, MelWindow, sinusoids};

/// Two convolutions, sinusoidal positions, blocks, a norm.
pub(super) struct Encoder {
    n_mels: usize,
    width: usize,
    n_frames: usize,
    n_heads: usize,
    conv1: Linear,
    conv2: Linear,
    positions: Vec<f32>,
    blocks: Vec<(SelfAttention, FeedForward)>,
    norm: LayerNorm,
}

/// Activations of a window, kept for the next one: a system hands out fresh pages slower than they are computed.
#[derive(Default)]
pub(super) struct Scratch {
    /// `[2 * n_frames + 2, n_mels]`.
    padded: Vec<f32>,
    /// `[n_frames, width]`; in the end the features.
    pub(super) x: Vec<f32>,
    pub(super) buffers: Buffers,
    /// Keys and values of a block.
    frames: Option<KeyValue>,
}

impl Encoder {
    pub(super) fn load(loader: &mut Loader<'_>, dims: &Dims) -> Result<Encoder> {
        let width = dims.n_audio_state;
        let block = |loader: &mut Loader<'_>, layer| {
            let name = format!("encoder.blocks.{layer}");
            Ok((
                SelfAttention::load(loader, &name, width)?,
                FeedForward::load(loader, &name, width)?,
            ))
        };
        Ok(Encoder {
            n_mels: dims.n_mels,
            width,
            n_frames: dims.n_audio_ctx,
            n_heads: dims.n_audio_head,
            conv1: Linear::load_convolution(loader, "encoder.conv1", width, dims.n_mels)?,
            conv2: Linear::load_convolution(loader, "encoder.conv2", width, width)?,
            positions: sinusoids(dims.n_audio_ctx, width),
            blocks: (0..dims.n_audio_layer)
                .map(|layer| block(loader, layer))
                .collect::<Result<_>>()?,
            norm: LayerNorm::load(loader, "encoder.ln_post", width)?,
        })
    }

    /// Leaves the features `[n_frames, width]` in `scratch.x`. A window shorter than 30 s is followed by zeros; `mel` has `n_mels`
    /// bands (checked above).
    pub(super) fn hear(&self, cpu: &Cpu, mel: MelWindow<'_>, scratch: &mut Scratch) {
        self.convolve(cpu, mel, scratch);
        let Scratch { x, buffers, frames, .. } = scratch;
        let head_dim = self.width / self.n_heads;
        let frames = frames.get_or_insert_with(|| KeyValue::new(self.n_heads, head_dim, 0));
        for (x, position) in x.iter_mut().zip(&self.positions) {
            *x += position;
        }
        for (self_attention, feed_forward) in &self.blocks {
            self_attention.forward(cpu, x, buffers, |query, key, value, mixed| {
                frames.replace(cpu, key, value);
                attention(cpu, query, frames, false, mixed);
            });
            feed_forward.forward(cpu, x, buffers);
        }
        self.norm.forward(cpu, x, resized(&mut buffers.normed, x.len()));
        std::mem::swap(x, &mut buffers.normed);
    }

    /// Two convolutions over three frames, the second of stride 2, each with GELU. With a frame of zeros at either end,
    /// the three frames of an output lie side by side: a convolution is a linear layer over rows that overlap.
    fn convolve(&self, cpu: &Cpu, mel: MelWindow<'_>, scratch: &mut Scratch) {
        let (n_mels, width, n_mel_frames) = (self.n_mels, self.width, 2 * self.n_frames);
        let Scratch { padded, x, buffers, .. } = scratch;

        let padded = resized(padded, (n_mel_frames + 2) * n_mels);
        let heard = mel.values.len().min(n_mel_frames * n_mels);
        padded[n_mels..][..heard].copy_from_slice(&mel.values[..heard]);
        padded[n_mels + heard..].fill(0.0);

        // In a buffer that no block uses yet.
        let halfway = resized(&mut buffers.hidden, 4 * self.n_frames * width);
        let halfway = &mut halfway[..(n_mel_frames + 2) * width];
        let inner = width..(n_mel_frames + 1) * width;
        halfway[..inner.start].fill(0.0);
        halfway[inner.end..].fill(0.0);
        let rows = Rows::strided(padded, n_mel_frames, 3 * n_mels, n_mels);
        self.conv1.forward(cpu, rows, Then::Gelu, &mut halfway[inner]);

        let rows = Rows::strided(halfway, self.n_frames, 3 * width, 2 * width);
        self.conv2
            .forward(cpu, rows, Then::Gelu, resized(x, self.n_frames * width));
    }

    pub(super) fn bytes(&self) -> usize {
        let blocks: usize = self
            .blocks
            .iter()
            .map(|(attention, mlp)| attention.bytes() + mlp.bytes())
            .sum();
        self.conv1.bytes() + self.conv2.bytes() + 4 * self.positions.len() + blocks
    }
}
