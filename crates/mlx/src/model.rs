//! Whisper on an open MLX: the [`Model`] whose numbers are computed there.

use std::rc::Rc;
use std::sync::Arc;

use whisper::model::{Alignment, Dims, Feed, Head, MEL_FRAMES, MelWindow, Model, Token, sinusoids};
use whisper::weights::{Checkpoint, Float, Form, Matrix, Part, parts};
use whisper::{Error, Result};

use crate::ffi::{self, Builder, Device, Fault};
use crate::memory::{Needs, room_for};
use crate::worker::{Mlx, Number, State, Worker};

/// How a model is loaded and computes; `None` is what is best for the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The type of activations and of weights that are not packed. On a GPU by default the checkpoint's, where that is of 16
    /// bits, else f16; on the CPU f32.
    pub float: Option<Float>,
    /// Whether quantized weights stay packed: by default on a GPU, not on the CPU, where MLX multiplies them slowly.
    pub packed: Option<bool>,
    /// Whether element-wise pieces are compiled: by default on a GPU. On the CPU MLX would run a compiler in a shared folder.
    pub compiled: Option<bool>,
    /// Whether what nobody has asked for yet, as an encoded window, is begun and not waited for. By default it is waited for.
    pub pipelined: Option<bool>,
    /// The most bytes that MLX may have in use.
    pub max_memory: Option<u64>,
    /// Threads of OpenBLAS on the CPU.
    pub threads: Option<usize>,
}

impl Options {
    /// Every choice that was left open, made for a checkpoint on a device; `packed` stays open where nothing is.
    #[must_use]
    pub fn settled(self, checkpoint: &Checkpoint, device: Device) -> Options {
        let on_gpu = device != Device::Cpu;
        let is_packed = matches!(checkpoint.description().form, Form::Affine(_));
        let float = match checkpoint.float() {
            _ if !on_gpu => Float::F32,
            Float::Bf16 => Float::Bf16,
            Float::F16 | Float::F32 => Float::F16,
        };
        Options {
            float: self.float.or(Some(float)),
            packed: is_packed.then(|| self.packed.unwrap_or(on_gpu)),
            compiled: self.compiled.or(Some(on_gpu)),
            pipelined: self.pipelined.or(Some(false)),
            ..self
        }
    }
}

/// A Whisper network on an MLX.
pub struct MlxModel {
    mlx: Mlx,
    number: Number,
    dims: Dims,
    alignment_heads: Option<Vec<Head>>,
    float: Float,
    needs: Needs,
    max_memory: Option<u64>,
}

/// One encoded window on the device. Dropping it only queues.
pub struct Audio {
    worker: Arc<Worker>,
    number: Number,
}

/// The tokens so far over one window, on the device. Dropping it only queues.
pub struct Hypothesis {
    worker: Arc<Worker>,
    number: Number,
    len: usize,
}

impl MlxModel {
    /// Reads every tensor of `checkpoint` into MLX's memory.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] where a tensor is missing, unknown, misshapen or cut short; [`Error::Model`] where there is not
    /// enough memory, or MLX says so.
    pub fn load(mlx: &Mlx, checkpoint: Checkpoint, options: &Options) -> Result<MlxModel> {
        let device = mlx.about().device;
        let options = options.settled(&checkpoint, device);
        let float = options.float.unwrap_or(Float::F32);
        let dims = checkpoint.dims().clone();
        let (number, alignment_heads) = mlx
            .worker
            .run(move |state| load(state, checkpoint, float, &options))??;
        Ok(MlxModel {
            needs: Needs::of(&dims, float, device),
            mlx: mlx.clone(),
            number,
            dims,
            alignment_heads,
            float,
            max_memory: options.max_memory,
        })
    }

    /// The type that it computes in.
    pub fn float(&self) -> Float {
        self.float
    }

    /// The MLX that it runs on.
    pub fn mlx(&self) -> &Mlx {
        &self.mlx
    }

    /// What the encoder makes of one window: `[1500, n_audio_state]`.
    ///
    /// # Errors
    /// [`Error::Request`] where the window does not fit the model; [`Error::Model`] where MLX fails.
    pub fn features(&self, mel: MelWindow<'_>) -> Result<Vec<f32>> {
        let mel = self.full_windows(&[mel])?;
        self.ask("encoding a window", self.needs.encode(1), move |_, model| {
            model.features(&mel)
        })
    }

    /// Windows filled up with zeros, one after the other.
    fn full_windows(&self, windows: &[MelWindow<'_>]) -> Result<Vec<f32>> {
        let n_mels = self.dims.n_mels;
        if let Some(window) = windows.iter().find(|window| window.n_mels != n_mels) {
            let found = window.n_mels;
            return Err(Error::Request(format!(
                "the model hears {n_mels} mel bands, the window has {found}"
            )));
        }
        let full = MEL_FRAMES * n_mels;
        let mut values = vec![0.0; windows.len() * full];
        for (window, place) in windows.iter().zip(values.chunks_exact_mut(full)) {
            let heard = window.values.len().min(full);
            place[..heard].copy_from_slice(&window.values[..heard]);
        }
        Ok(values)
    }

    /// Has the worker do something with this model, where there is memory for it.
    fn ask<T: Send + 'static>(
        &self,
        what: &'static str,
        bytes: u64,
        work: impl FnOnce(&mut State, &ffi::Model) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        let (number, max) = (self.number, self.max_memory);
        let done = self.mlx.worker.run(move |state| {
            room_for(what, bytes, state.api.memory()?, max).map_err(Fault::Memory)?;
            let model = state.models.get(&number).cloned();
            work(
                state,
                &*model.ok_or_else(|| Fault::Request("the model is gone".into()))?,
            )
        });
        done?.map_err(failed)
    }
}

impl Model for MlxModel {
    type Audio = Audio;
    type Hypothesis = Hypothesis;

    fn dims(&self) -> &Dims {
        &self.dims
    }

    fn alignment_heads(&self) -> Option<&[Head]> {
        self.alignment_heads.as_deref()
    }

    fn encode(&self, mel: &[MelWindow<'_>]) -> Result<Vec<Arc<Audio>>> {
        if mel.is_empty() {
            return Ok(Vec::new());
        }
        let values = self.full_windows(mel)?;
        let numbers = self.ask("encoding", self.needs.encode(mel.len()), move |state, model| {
            let windows = model.encode(&values)?;
            let numbers = windows.into_iter().map(|window| {
                let number = state.number();
                state.windows.insert(number, window);
                number
            });
            Ok(numbers.collect::<Vec<_>>())
        })?;
        let worker = &self.mlx.worker;
        let windows = numbers.into_iter().map(|number| Audio {
            worker: worker.clone(),
            number,
        });
        Ok(windows.map(Arc::new).collect())
    }

    fn begin(&self, audio: &Arc<Audio>) -> Result<Hypothesis> {
        let window = audio.number;
        self.new_hypothesis(0, move |state| match state.windows.get(&window) {
            Some(window) => window.begin(),
            None => Err(Fault::Request("the window is gone".into())),
        })
    }

    fn fork(&self, from: &Hypothesis) -> Result<Hypothesis> {
        let number = from.number;
        self.new_hypothesis(from.len, move |state| match state.hypotheses.get(&number) {
            Some(hypothesis) => hypothesis.fork(),
            None => Err(gone()),
        })
    }

    fn truncate(&self, hypothesis: &mut Hypothesis, len: usize) {
        let number = hypothesis.number;
        hypothesis.len = hypothesis.len.min(len);
        self.mlx.worker.queue(move |state| {
            if let Some(hypothesis) = state.hypotheses.get_mut(&number) {
                hypothesis.truncate(len);
            }
        });
    }

    fn step(&self, batch: &mut [Feed<'_, Hypothesis>], logits: &mut Vec<f32>) -> Result<()> {
        let asked: Vec<_> = batch
            .iter()
            .map(|feed| (feed.hypothesis.number, feed.tokens.to_vec(), feed.rows.to_vec()))
            .collect();
        let tokens = batch.iter().map(|feed| feed.tokens.len()).sum();
        let rows = batch.iter().map(|feed| feed.rows.len()).sum();
        let cached = batch.iter().map(|feed| feed.hypothesis.len + feed.tokens.len()).sum();
        let bytes = self.needs.step(tokens, rows, cached);
        let mut room = std::mem::take(logits); // the caller's allocation goes there and comes back
        *logits = self.ask("a step", bytes, move |state, model| {
            let mut feeds = Vec::new();
            let mut numbers = Vec::new();
            for (number, tokens, rows) in asked {
                let Some(hypothesis) = state.hypotheses.remove(&number) else {
                    continue; // cannot be: whoever has asked holds it
                };
                numbers.push(number);
                feeds.push(ffi::Feed {
                    hypothesis,
                    tokens,
                    rows,
                });
            }
            let done = model.step(&mut feeds, &mut room);
            let feeds = feeds.into_iter().map(|feed| feed.hypothesis);
            state.hypotheses.extend(numbers.into_iter().zip(feeds));
            done.map(|()| room)
        })?;
        for feed in batch {
            feed.hypothesis.len += feed.tokens.len();
        }
        Ok(())
    }

    fn align(&self, audio: &Arc<Audio>, tokens: &[Token], heads: &[Head]) -> Result<Alignment> {
        let (window, tokens, heads) = (audio.number, tokens.to_vec(), heads.to_vec());
        let bytes = self.needs.step(tokens.len(), tokens.len(), tokens.len());
        let (logits, scores) = self.ask("an alignment", bytes, move |state, model| {
            match state.windows.get(&window) {
                Some(window) => model.align(window, &tokens, &heads),
                None => Err(Fault::Request("the window is gone".into())),
            }
        })?;
        Ok(Alignment { logits, scores })
    }
}

impl MlxModel {
    fn new_hypothesis(
        &self,
        len: usize,
        make: impl FnOnce(&mut State) -> Result<ffi::Hypothesis, Fault> + Send + 'static,
    ) -> Result<Hypothesis> {
        let number = self.mlx.worker.run(move |state| {
            let hypothesis = make(state)?;
            let number = state.number();
            state.hypotheses.insert(number, hypothesis);
            Ok(number)
        })?;
        Ok(Hypothesis {
            worker: self.mlx.worker.clone(),
            number: number.map_err(failed)?,
            len,
        })
    }
}

impl Drop for MlxModel {
    fn drop(&mut self) {
        let number = self.number;
        self.mlx.worker.queue(move |state| {
            state.models.remove(&number);
            let _ = state.api.clear_cache(); // it only lets go
        });
    }
}

impl Drop for Audio {
    fn drop(&mut self) {
        let number = self.number;
        self.worker.queue(move |state| drop(state.windows.remove(&number)));
    }
}

impl Drop for Hypothesis {
    fn drop(&mut self) {
        let number = self.number;
        self.worker.queue(move |state| drop(state.hypotheses.remove(&number)));
    }
}

/// Every tensor from the checkpoint to MLX, one at a time, on MLX's thread.
fn load(
    state: &mut State,
    mut checkpoint: Checkpoint,
    float: Float,
    options: &Options,
) -> Result<(Number, Option<Vec<Head>>)> {
    let dims = checkpoint.dims().clone();
    let packed = options.packed.unwrap_or_default();
    let description = checkpoint.description();
    let largest = dims.n_vocab * dims.n_text_state * 4;
    let weights = match description.form {
        Form::Affine(_) if packed => description.bytes,
        _ => description.parameters * float.size() as u64,
    };
    let memory = state.api.memory().map_err(failed)?;
    room_for("the model", weights + 3 * largest as u64, memory, options.max_memory)
        .map_err(|problem| failed(Fault::Memory(problem)))?;
    if let (Some(blas), Some(threads)) = (state.blas, options.threads) {
        blas.set_threads(threads);
    }

    let raw = ffi::Options {
        float,
        dequantize: !packed,
        compile: options.compiled.unwrap_or_default(),
        pipeline: options.pipelined.unwrap_or_default(),
    };
    let mut network = Builder::new(&state.api, &dims, raw).map_err(failed)?;
    for part in parts(&dims) {
        give(&mut network, &mut checkpoint, part)?;
    }
    let positions = bytes_of(&sinusoids(dims.n_audio_ctx, dims.n_audio_state));
    let shape = [dims.n_audio_ctx, dims.n_audio_state];
    network
        .dense("encoder.positions", Float::F32, &shape, &positions)
        .map_err(failed)?;
    let alignment_heads = checkpoint.alignment_heads()?;
    checkpoint.finish()?;
    let model = network.ready().map_err(failed)?;
    let number = state.number();
    state.models.insert(number, Rc::new(model));
    state.api.clear_cache().map_err(failed)?;
    Ok((number, alignment_heads))
}

fn give(network: &mut Builder, checkpoint: &mut Checkpoint, part: Part) -> Result<()> {
    let given = match part {
        Part::Plain { name, shape } => match *shape {
            [len] => {
                let values = checkpoint.vector(&name, len)?;
                network.dense(&name, Float::F32, &shape, &bytes_of(&values))
            }
            _ => {
                let tensor = checkpoint.tensor(&name, &shape)?;
                network.dense(&name, tensor.float, &shape, tensor.bytes)
            }
        },
        Part::Matrix { path, n, k } => match checkpoint.matrix(&path, n, k)? {
            Matrix::Dense { float, bytes } => network.dense(&format!("{path}.weight"), float, &[n, k], bytes),
            Matrix::Affine {
                bits,
                group,
                codes,
                scales,
                biases,
            } => network.affine(&path, (bits, group), (n, k), codes, scales, biases),
        },
    };
    given.map_err(failed)
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn gone() -> Fault {
    Fault::Request("the hypothesis is gone".into())
}

/// What the other side says, as the library says it.
pub(crate) fn failed(fault: Fault) -> Error {
    match fault {
        Fault::Request(problem) => Error::Request(problem),
        Fault::Mlx(text) => Error::Model(format!("MLX: {text}")),
        Fault::Memory(text) => Error::Model(format!("not enough memory: {text}")),
    }
}
