//! What the decoder remembers: a fixed cache a window, a growing one a hypothesis.

use std::sync::Arc;

use kernels::KeyValue;

use super::idle::Lent;
use crate::model::Dims;

/// One encoded window: cross-attention keys and values of every decoder block. Never changes.
pub struct Window {
    pub(super) blocks: Lent<Vec<KeyValue>>,
}

/// The tokens so far over one window: self-attention keys and values of every decoder block, a row a token.
#[derive(Clone)]
pub struct Hypothesis {
    pub(super) window: Arc<Window>,
    pub(super) blocks: Lent<Vec<KeyValue>>,
}

impl Hypothesis {
    /// Nothing read yet, in the memory of one that has ended.
    pub(super) fn new(dims: &Dims, window: Arc<Window>, mut blocks: Lent<Vec<KeyValue>>) -> Hypothesis {
        let head_dim = dims.n_text_state / dims.n_text_head;
        blocks.resize_with(dims.n_text_layer, || {
            KeyValue::new(dims.n_text_head, head_dim, dims.n_text_ctx)
        });
        let mut hypothesis = Hypothesis { window, blocks };
        hypothesis.truncate(0);
        hypothesis
    }

    /// Tokens read so far.
    pub fn len(&self) -> usize {
        self.blocks.first().map_or(0, KeyValue::len)
    }

    /// Whether no token has been read.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.blocks.iter_mut().for_each(|block| block.truncate(len));
    }
}
