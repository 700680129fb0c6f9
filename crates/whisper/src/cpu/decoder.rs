//! The decoder: tokens over an encoded window to logits `[rows, n_vocab]`.

use kernels::{Cpu, KeyValue, attention};

use super::block::{Buffers, CrossAttention, FeedForward, SelfAttention, resized};
use super::cache::Hypothesis;
use super::layers::{Embedding, LayerNorm, Loader, rows};
use crate::Result;
use crate::model::{Dims, Feed};

const POSITIONS: &str = "decoder.positional_embedding";

/// Embedding, learned positions, blocks, a norm; the embedding once more as output matrix.
pub(super) struct Decoder {
    width: usize,
    n_heads: usize,
    embedding: Embedding,
    positions: Vec<f32>,
    blocks: Vec<(SelfAttention, CrossAttention, FeedForward)>,
    norm: LayerNorm,
}

/// Activations of a step, kept for the next one.
#[derive(Default)]
pub(super) struct Scratch {
    /// `[tokens of all hypotheses, width]`.
    x: Vec<f32>,
    /// The rows asked for, gathered and normalised.
    chosen: Vec<f32>,
    normed: Vec<f32>,
    buffers: Buffers,
}

impl Decoder {
    pub(super) fn load(loader: &mut Loader<'_>, dims: &Dims) -> Result<Decoder> {
        let width = dims.n_text_state;
        let block = |loader: &mut Loader<'_>, layer| {
            let name = format!("decoder.blocks.{layer}");
            Ok((
                SelfAttention::load(loader, &name, width)?,
                CrossAttention::load(loader, &name, width)?,
                FeedForward::load(loader, &name, width)?,
            ))
        };
        Ok(Decoder {
            width,
            n_heads: dims.n_text_head,
            embedding: Embedding::load(loader, "decoder.token_embedding", dims.n_vocab, width)?,
            positions: loader
                .checkpoint
                .tensor(POSITIONS, &[dims.n_text_ctx, width])?
                .widened(),
            blocks: (0..dims.n_text_layer)
                .map(|layer| block(loader, layer))
                .collect::<Result<_>>()?,
            norm: LayerNorm::load(loader, "decoder.ln", width)?,
        })
    }

    /// The cross-attention keys and values of every block over `features` `[frames, width]`, in place of those in `window`.
    pub(super) fn listen(&self, cpu: &Cpu, features: &[f32], buffers: &mut Buffers, window: &mut Vec<KeyValue>) {
        let head_dim = self.width / self.n_heads;
        window.resize_with(self.blocks.len(), || KeyValue::new(self.n_heads, head_dim, 0));
        for ((_, cross, _), frames) in self.blocks.iter().zip(window) {
            cross.listen(cpu, features, buffers, frames);
        }
    }

    /// Runs all blocks over the tokens of `batch`, which then are part of their hypotheses.
    ///
    /// `watch(block, query, window)` sees each cross-attention before it happens.
    pub(super) fn read(
        &self,
        cpu: &Cpu,
        batch: &mut [Feed<'_, Hypothesis>],
        scratch: &mut Scratch,
        mut watch: impl FnMut(usize, &[f32], &KeyValue),
    ) {
        let Scratch { x, buffers, .. } = scratch;
        self.embed(batch, x);
        for (layer, (self_attention, cross_attention, feed_forward)) in self.blocks.iter().enumerate() {
            self_attention.forward(cpu, x, buffers, |query, key, value, mixed| {
                for (feed, rows) in rows_of(batch, self.width) {
                    let cache = &mut feed.hypothesis.blocks[layer];
                    cache.extend(cpu, &key[rows.clone()], &value[rows.clone()]);
                    attention(cpu, &query[rows.clone()], cache, true, &mut mixed[rows]);
                }
            });
            cross_attention.forward(cpu, x, buffers, |query, mixed| {
                for (feed, rows) in rows_of(batch, self.width) {
                    let window = &feed.hypothesis.window.blocks[layer];
                    watch(layer, &query[rows.clone()], window);
                    attention(cpu, &query[rows.clone()], window, false, &mut mixed[rows]);
                }
            });
            feed_forward.forward(cpu, x, buffers);
        }
    }

    /// After [`Decoder::read`]: the logits of the rows asked for, `[rows, n_vocab]`; no other row is projected.
    pub(super) fn project(
        &self,
        cpu: &Cpu,
        batch: &[Feed<'_, Hypothesis>],
        scratch: &mut Scratch,
        logits: &mut Vec<f32>,
    ) {
        let Scratch { x, chosen, normed, .. } = scratch;
        chosen.clear();
        let mut first = 0;
        for feed in batch {
            for row in feed.rows {
                chosen.extend_from_slice(&x[(first + row) * self.width..][..self.width]);
            }
            first += feed.tokens.len();
        }
        self.norm.forward(cpu, chosen, resized(normed, chosen.len()));
        let n_logits = chosen.len() / self.width * self.embedding.n_vocab();
        self.embedding
            .project(cpu, rows(normed, self.width), resized(logits, n_logits));
    }

    /// Token and position vectors, `[tokens of all hypotheses, width]`.
    fn embed(&self, batch: &[Feed<'_, Hypothesis>], x: &mut Vec<f32>) {
        let n_tokens: usize = batch.iter().map(|feed| feed.tokens.len()).sum();
        let places = batch
            .iter()
            .flat_map(|feed| feed.tokens.iter().zip(feed.hypothesis.len()..));
        for ((token, place), x) in places.zip(resized(x, n_tokens * self.width).chunks_exact_mut(self.width)) {
            self.embedding.row(token.0 as usize, x);
            for (x, position) in x.iter_mut().zip(&self.positions[place * self.width..]) {
                *x += position;
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let blocks = self
            .blocks
            .iter()
            .map(|(own, cross, mlp)| own.bytes() + cross.bytes() + mlp.bytes());
        self.embedding.bytes() + 4 * self.positions.len() + blocks.sum::<usize>()
    }
}

/// Each feed of a batch with the range that its rows take in activations `[tokens of all hypotheses, width]`.
fn rows_of<'b, 'f>(
    batch: &'b mut [Feed<'f, Hypothesis>],
    width: usize,
) -> impl Iterator<Item = (&'b mut Feed<'f, Hypothesis>, std::ops::Range<usize>)> {
    batch.iter_mut().scan(0, move |first, feed| {
        let start = *first;
        *first += feed.tokens.len() * width;
        Some((feed, start..*first))
    })
}
