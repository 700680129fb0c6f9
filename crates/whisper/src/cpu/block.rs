//! What a transformer block is made of: self-attention, cross-attention and feed-forward, each normalised before and
//! added to what came in.

use kernels::{Cpu, KeyValue, Then, linear_each};

use super::layers::{LayerNorm, Linear, Loader, rows};
use crate::Result;

/// Activations within a block, kept from one to the next: `[rows, width]`, `hidden` `[rows, 4 * width]`.
#[derive(Default)]
pub(super) struct Buffers {
    pub(super) normed: Vec<f32>,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    pub(super) hidden: Vec<f32>,
}

/// Attention of a sequence to itself.
pub(super) struct SelfAttention {
    norm: LayerNorm,
    heads: Heads,
}

impl SelfAttention {
    pub(super) fn load(loader: &mut Loader<'_>, block: &str, width: usize) -> Result<SelfAttention> {
        Ok(SelfAttention {
            norm: LayerNorm::load(loader, &format!("{block}.attn_ln"), width)?,
            heads: Heads::load(loader, &format!("{block}.attn"), width)?,
        })
    }

    /// Adds to `x` what its rows find among each other and before them.
    ///
    /// `attend(query, key, value, mixed)` keeps the new keys and values and writes, for every query, the mixed values.
    pub(super) fn forward(
        &self,
        cpu: &Cpu,
        x: &mut [f32],
        buffers: &mut Buffers,
        attend: impl FnOnce(&[f32], &[f32], &[f32], &mut [f32]),
    ) {
        let Buffers {
            normed,
            query,
            key,
            value,
            ..
        } = buffers;
        self.norm.forward(cpu, x, resized(normed, x.len()));
        let input = rows(normed, self.heads.width);
        let layers = [
            self.heads.query.to(Then::Store, resized(query, x.len())),
            self.heads.key.to(Then::Store, resized(key, x.len())),
            self.heads.value.to(Then::Store, resized(value, x.len())),
        ];
        linear_each(cpu, input, layers);
        attend(query, key, value, normed);
        self.heads
            .out
            .forward(cpu, rows(normed, self.heads.width), Then::Add, x);
    }

    pub(super) fn bytes(&self) -> usize {
        self.heads.bytes()
    }
}

/// Attention of the decoder to an encoded window.
pub(super) struct CrossAttention {
    norm: LayerNorm,
    heads: Heads,
}

impl CrossAttention {
    pub(super) fn load(loader: &mut Loader<'_>, block: &str, width: usize) -> Result<CrossAttention> {
        Ok(CrossAttention {
            norm: LayerNorm::load(loader, &format!("{block}.cross_attn_ln"), width)?,
            heads: Heads::load(loader, &format!("{block}.cross_attn"), width)?,
        })
    }

    /// The keys and values of a window, computed once: `features` `[frames, width]` to `window`.
    pub(super) fn listen(&self, cpu: &Cpu, features: &[f32], buffers: &mut Buffers, window: &mut KeyValue) {
        let Buffers { key, value, .. } = buffers;
        let input = rows(features, self.heads.width);
        let layers = [
            self.heads.key.to(Then::Store, resized(key, features.len())),
            self.heads.value.to(Then::Store, resized(value, features.len())),
        ];
        linear_each(cpu, input, layers);
        window.replace(cpu, key, value);
    }

    /// Adds to `x` what its rows find in the window. `attend(query, mixed)` writes the mixed values of every query.
    pub(super) fn forward(
        &self,
        cpu: &Cpu,
        x: &mut [f32],
        buffers: &mut Buffers,
        attend: impl FnOnce(&[f32], &mut [f32]),
    ) {
        let Buffers { normed, query, .. } = buffers;
        self.norm.forward(cpu, x, resized(normed, x.len()));
        self.heads.query.forward(
            cpu,
            rows(normed, self.heads.width),
            Then::Store,
            resized(query, x.len()),
        );
        attend(query, normed);
        self.heads
            .out
            .forward(cpu, rows(normed, self.heads.width), Then::Add, x);
    }

    pub(super) fn bytes(&self) -> usize {
        self.heads.bytes()
    }
}

/// Two layers with GELU between them.
pub(super) struct FeedForward {
    width: usize,
    norm: LayerNorm,
    widen: Linear,
    narrow: Linear,
}

impl FeedForward {
    pub(super) fn load(loader: &mut Loader<'_>, block: &str, width: usize) -> Result<FeedForward> {
        Ok(FeedForward {
            width,
            norm: LayerNorm::load(loader, &format!("{block}.mlp_ln"), width)?,
            widen: Linear::load(loader, &format!("{block}.mlp1"), 4 * width, width)?,
            narrow: Linear::load(loader, &format!("{block}.mlp2"), width, 4 * width)?,
        })
    }

    /// `x += narrow(gelu(widen(norm(x))))`.
    pub(super) fn forward(&self, cpu: &Cpu, x: &mut [f32], buffers: &mut Buffers) {
        let Buffers { normed, hidden, .. } = buffers;
        self.norm.forward(cpu, x, resized(normed, x.len()));
        self.widen
            .forward(cpu, rows(normed, self.width), Then::Gelu, resized(hidden, 4 * x.len()));
        self.narrow.forward(cpu, rows(hidden, 4 * self.width), Then::Add, x);
    }

    pub(super) fn bytes(&self) -> usize {
        self.widen.bytes() + self.narrow.bytes()
    }
}

/// The four projections of an attention with several heads.
struct Heads {
    width: usize,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
}

impl Heads {
    fn load(loader: &mut Loader<'_>, name: &str, width: usize) -> Result<Heads> {
        Ok(Heads {
            width,
            query: Linear::load(loader, &format!("{name}.query"), width, width)?,
            key: Linear::load_unbiased(loader, &format!("{name}.key"), width, width)?,
            value: Linear::load(loader, &format!("{name}.value"), width, width)?,
            out: Linear::load(loader, &format!("{name}.out"), width, width)?,
        })
    }

    fn bytes(&self) -> usize {
        self.query.bytes() + self.key.bytes() + self.value.bytes() + self.out.bytes()
    }
}

/// `buffer` with `len` values, allocating only where it has never been as long.
pub(super) fn resized(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    buffer.resize(len, 0.0);
    buffer
}
