//! What the decoder remembers: a fixed cache a window, a growing one a hypothesis.

use std::sync::Arc;

use kernels::KeyValue;

use crate::model::Dims;

/// One encoded window: cross-attention keys and values of every decoder block. Never changes.
pub struct Window {
    pub(super) blocks: Vec<KeyValue>,
}

/// The tokens so far over one window: self-attention keys and values of every decoder block, a row a token.
#[derive(Clone)]
pub struct Hypothesis {
    pub(super) window: Arc<Window>,
    pub(super) blocks: Vec<KeyValue>,
}

impl Hypothesis {
    pub(super) fn new(dims: &Dims, window: Arc<Window>) -> Hypothesis {
        let head_dim = dims.n_text_state / dims.n_text_head;
        let block = || KeyValue::new(dims.n_text_head, head_dim, dims.n_text_ctx);
        Hypothesis {
            window,
            blocks: (0..dims.n_text_layer).map(|_| block()).collect(),
        }
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
