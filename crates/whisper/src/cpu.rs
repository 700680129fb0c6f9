//! Whisper on the CPU: the [`Model`] whose numbers the crate `kernels` computes.
//!
//! ```text
//! mel [3000, n_mels] -> encoder -> features [1500, d] -> Window: cross-attention keys and values of every block
//! tokens -> decoder over a Window and the Hypothesis' own cache -> logits of the rows asked for
//! ```

use std::sync::Arc;

use kernels::{KeyValue, attention_scores};

use crate::model::{Alignment, Dims, Feed, Head, MelWindow, Model, Token};
use crate::weights::Checkpoint;
use crate::{Error, Result};

mod block;
mod cache;
mod decoder;
mod encoder;
mod idle;
mod layers;

pub use cache::{Hypothesis, Window};
pub use kernels::{Compute, Cpu, Isa, IsaError};

use decoder::Decoder;
use encoder::Encoder;
use idle::Idle;
use layers::Loader;

/// A Whisper network in memory, ready to run on this machine's CPU.
pub struct CpuModel {
    dims: Dims,
    cpu: Cpu,
    /// What decodes: few rows at a time, which cost the same when they are quantized more finely.
    decoder_cpu: Cpu,
    encoder: Encoder,
    decoder: Decoder,
    alignment_heads: Option<Vec<Head>>,
    /// Of windows.
    encoding: Idle<encoder::Scratch>,
    /// Of steps, which therefore allocate nothing.
    decoding: Idle<decoder::Scratch>,
    /// Of a [`Window`].
    heard: Idle<Vec<KeyValue>>,
    /// Of a [`Hypothesis`].
    read: Idle<Vec<KeyValue>>,
}

impl CpuModel {
    /// Reads every tensor of `checkpoint` into the form the kernels want.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] where a tensor is missing, unknown, misshapen or cut short.
    pub fn load(mut checkpoint: Checkpoint, cpu: Cpu) -> Result<CpuModel> {
        let dims = checkpoint.dims().clone();
        let mut loader = Loader {
            checkpoint: &mut checkpoint,
            cpu: &cpu,
        };
        let encoder = Encoder::load(&mut loader, &dims)?;
        let decoder = Decoder::load(&mut loader, &dims)?;
        let alignment_heads = checkpoint.alignment_heads()?;
        checkpoint.finish()?;
        Ok(CpuModel {
            dims,
            decoder_cpu: match cpu.compute() {
                Compute::Int8 => cpu.clone().computing(Compute::Int16),
                Compute::F32 | Compute::Int16 => cpu.clone(),
            },
            cpu,
            encoder,
            decoder,
            alignment_heads,
            encoding: Idle::default(),
            decoding: Idle::default(),
            heard: Idle::default(),
            read: Idle::default(),
        })
    }

    /// The instruction set and threads it runs on.
    pub fn cpu(&self) -> &Cpu {
        &self.cpu
    }

    /// Bytes of weights kept in memory.
    pub fn weight_bytes(&self) -> usize {
        self.encoder.bytes() + self.decoder.bytes()
    }

    /// What the encoder makes of one window: `[1500, n_audio_state]`.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] where the window does not fit the model.
    pub fn features(&self, mel: MelWindow<'_>) -> Result<Vec<f32>> {
        self.hear(mel, |scratch| scratch.x.clone())
    }

    /// Encodes one window, and looks at it.
    fn hear<T>(&self, mel: MelWindow<'_>, then: impl FnOnce(&mut encoder::Scratch) -> T) -> Result<T> {
        if mel.n_mels != self.dims.n_mels {
            let (expected, found) = (self.dims.n_mels, mel.n_mels);
            return Err(Error::Request(format!(
                "the model hears {expected} mel bands, the window has {found}"
            )));
        }
        let mut scratch = self.encoding.lend();
        self.encoder.hear(&self.cpu, mel, &mut scratch);
        Ok(then(&mut scratch))
    }

    /// Whether the tokens of `feed` exist and fit.
    fn check(&self, feed: &Feed<'_, Hypothesis>) -> Result<()> {
        let (len, limit) = (feed.hypothesis.len() + feed.tokens.len(), self.dims.n_text_ctx);
        if len > limit {
            return Err(Error::Request(format!(
                "{len} tokens do not fit the decoder's context of {limit}"
            )));
        }
        let n_vocab = self.dims.n_vocab;
        if let Some(Token(id)) = feed.tokens.iter().find(|token| token.0 as usize >= n_vocab) {
            return Err(Error::Request(format!("token {id} is not among the model's {n_vocab}")));
        }
        if let Some(row) = feed.rows.iter().find(|&&row| row >= feed.tokens.len()) {
            return Err(Error::Request(format!(
                "row {row} was asked for, {} tokens were given",
                feed.tokens.len()
            )));
        }
        Ok(())
    }
}

impl Model for CpuModel {
    type Audio = Window;
    type Hypothesis = Hypothesis;

    fn dims(&self) -> &Dims {
        &self.dims
    }

    fn alignment_heads(&self) -> Option<&[Head]> {
        self.alignment_heads.as_deref()
    }

    fn encode(&self, mel: &[MelWindow<'_>]) -> Result<Vec<Arc<Window>>> {
        mel.iter()
            .map(|window| {
                self.hear(*window, |scratch| {
                    let encoder::Scratch { x, buffers, .. } = scratch;
                    let mut blocks = self.heard.lend();
                    self.decoder.listen(&self.cpu, x, buffers, &mut blocks);
                    Arc::new(Window { blocks })
                })
            })
            .collect()
    }

    fn begin(&self, audio: &Arc<Window>) -> Result<Hypothesis> {
        Ok(Hypothesis::new(&self.dims, audio.clone(), self.read.lend()))
    }

    fn fork(&self, from: &Hypothesis) -> Result<Hypothesis> {
        Ok(from.clone())
    }

    fn truncate(&self, hypothesis: &mut Hypothesis, len: usize) {
        hypothesis.truncate(len);
    }

    fn step(&self, batch: &mut [Feed<'_, Hypothesis>], logits: &mut Vec<f32>) -> Result<()> {
        batch.iter().try_for_each(|feed| self.check(feed))?;
        let mut scratch = self.decoding.lend();
        self.decoder.read(&self.decoder_cpu, batch, &mut scratch, |_, _, _| {});
        self.decoder.project(&self.decoder_cpu, batch, &mut scratch, logits);
        Ok(())
    }

    fn align(&self, audio: &Arc<Window>, tokens: &[Token], heads: &[Head]) -> Result<Alignment> {
        if let Some(head) = heads
            .iter()
            .find(|h| h.layer >= self.dims.n_text_layer || h.head >= self.dims.n_text_head)
        {
            return Err(Error::Request(format!("the decoder has no {head:?}")));
        }
        let rows: Vec<usize> = (0..tokens.len()).collect();
        let mut batch = [Feed {
            hypothesis: &mut self.begin(audio)?,
            tokens,
            rows: &rows,
        }];
        self.check(&batch[0])?;

        let per_head = tokens.len() * self.dims.n_audio_ctx;
        let mut scores = vec![0.0; heads.len() * per_head];
        let mut logits = Vec::new();
        let mut scratch = self.decoding.lend();
        let watch = |layer, queries: &[f32], window: &KeyValue| {
            for (head, scores) in heads.iter().zip(scores.chunks_exact_mut(per_head)) {
                if head.layer == layer {
                    attention_scores(&self.decoder_cpu, queries, window, head.head, scores);
                }
            }
        };
        self.decoder.read(&self.decoder_cpu, &mut batch, &mut scratch, watch);
        self.decoder
            .project(&self.decoder_cpu, &batch, &mut scratch, &mut logits);
        Ok(Alignment { logits, scores })
    }
}
