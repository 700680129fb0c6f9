//! The layers Whisper is made of. Dense and quantized weights differ inside [`Weights`] and nowhere else.

use kernels::{Compute, Cpu, Layer, Rows, Then, Weights, layer_norm, linear, linear_each};

use crate::Result;
use crate::weights::{Checkpoint, Dense, Float, Matrix};

/// Where layers come from: the tensors of a checkpoint, repacked by the processor that will run them.
pub(super) struct Loader<'a> {
    pub(super) checkpoint: &'a mut Checkpoint,
    pub(super) cpu: &'a Cpu,
}

/// `y = x · wᵀ + b`.
pub(super) struct Linear {
    weight: Weights,
    bias: Option<Vec<f32>>,
}

impl Linear {
    /// `NAME.weight` `[outputs, inputs]`, dense or quantized, and `NAME.bias`.
    pub(super) fn load(loader: &mut Loader<'_>, name: &str, outputs: usize, inputs: usize) -> Result<Linear> {
        let bias = Some(loader.checkpoint.vector(&format!("{name}.bias"), outputs)?);
        Ok(Linear {
            weight: matrix(loader, name, outputs, inputs)?,
            bias,
        })
    }

    /// A layer that has no bias (the keys of attention).
    pub(super) fn load_unbiased(loader: &mut Loader<'_>, name: &str, outputs: usize, inputs: usize) -> Result<Linear> {
        Ok(Linear {
            weight: matrix(loader, name, outputs, inputs)?,
            bias: None,
        })
    }

    /// A convolution over three frames, `NAME.weight` `[outputs, 3, inputs]`: a linear layer over rows that overlap.
    pub(super) fn load_convolution(
        loader: &mut Loader<'_>,
        name: &str,
        outputs: usize,
        inputs: usize,
    ) -> Result<Linear> {
        let bias = Some(loader.checkpoint.vector(&format!("{name}.bias"), outputs)?);
        let Dense { float, bytes } = loader
            .checkpoint
            .tensor(&format!("{name}.weight"), &[outputs, 3, inputs])?;
        Ok(Linear {
            weight: dense(loader.cpu, float, outputs, 3 * inputs, bytes),
            bias,
        })
    }

    /// `x` `[rows, inputs]` to `y` `[rows, outputs]`.
    pub(super) fn forward(&self, cpu: &Cpu, x: Rows<'_>, then: Then, y: &mut [f32]) {
        linear_each(cpu, x, [self.to(then, y)]);
    }

    /// The same as an operand of [`linear_each`].
    pub(super) fn to<'a>(&'a self, then: Then, y: &'a mut [f32]) -> Layer<'a> {
        Layer {
            w: &self.weight,
            bias: self.bias.as_deref(),
            then,
            y,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.weight.bytes() + self.bias.as_ref().map_or(0, |bias| 4 * bias.len())
    }
}

/// Token embedding, which is the output matrix as well.
pub(super) struct Embedding(Weights);

impl Embedding {
    pub(super) fn load(loader: &mut Loader<'_>, name: &str, n_vocab: usize, width: usize) -> Result<Embedding> {
        Ok(Embedding(matrix(loader, name, n_vocab, width)?))
    }

    pub(super) fn n_vocab(&self) -> usize {
        self.0.outputs()
    }

    /// The vector of one token.
    pub(super) fn row(&self, token: usize, out: &mut [f32]) {
        self.0.row(token, out);
    }

    /// Scores of every token: `x` `[rows, width]` to `logits` `[rows, n_vocab]`.
    pub(super) fn project(&self, cpu: &Cpu, x: Rows<'_>, logits: &mut [f32]) {
        linear(cpu, x, &self.0, None, Then::Store, logits);
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

/// Activations of `width` numbers a row.
pub(super) fn rows(x: &[f32], width: usize) -> Rows<'_> {
    Rows::new(x, x.len() / width, width)
}

/// Layer normalisation with scale and shift.
pub(super) struct LayerNorm {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl LayerNorm {
    pub(super) fn load(loader: &mut Loader<'_>, name: &str, width: usize) -> Result<LayerNorm> {
        Ok(LayerNorm {
            scale: loader.checkpoint.vector(&format!("{name}.weight"), width)?,
            shift: loader.checkpoint.vector(&format!("{name}.bias"), width)?,
        })
    }

    /// Normalises each row of `x` into `y`, both `[rows, width]`.
    pub(super) fn forward(&self, cpu: &Cpu, x: &[f32], y: &mut [f32]) {
        layer_norm(cpu, x, &self.scale, &self.shift, y);
    }
}

fn matrix(loader: &mut Loader<'_>, name: &str, outputs: usize, inputs: usize) -> Result<Weights> {
    Ok(match loader.checkpoint.matrix(name, outputs, inputs)? {
        Matrix::Dense { float, bytes } => dense(loader.cpu, float, outputs, inputs, bytes),
        Matrix::Affine {
            bits,
            group,
            codes,
            scales,
            biases,
        } => Weights::affine(loader.cpu, bits, group, outputs, inputs, codes, scales, biases),
    })
}

/// Dense weights; where products are to be whole numbers, as codes.
fn dense(cpu: &Cpu, float: Float, outputs: usize, inputs: usize, bytes: &[u8]) -> Weights {
    let float = kernel_float(float);
    match cpu.compute() {
        Compute::F32 => Weights::dense(cpu, float, outputs, inputs, bytes),
        Compute::Int8 | Compute::Int16 => Weights::quantized(cpu, float, outputs, inputs, bytes),
    }
}

fn kernel_float(float: Float) -> kernels::Float {
    match float {
        Float::F32 => kernels::Float::F32,
        Float::F16 => kernels::Float::F16,
        Float::Bf16 => kernels::Float::Bf16,
    }
}
