//! Weight matrices in the one layout that all kernels read: panels of 16 outputs.
//!
//! A panel holds, for one input after the other, that input's weight of 16 neighbouring outputs: one vector. The last
//! panel is filled up with zeros, as are the inputs to a multiple of four. Dense weights keep the width of the checkpoint, `[panel][input][16]`. Codes of MLX's
//! affine quantization are unpacked to a byte each, in the order of the integer dot instructions,
//! `[panel][input / 4][16][4]`, with scales and biases `[panel][group][16]`: the weight is `scale * code + bias`.

use half::{bf16, f16};

use crate::cpu::Cpu;
use crate::isa::LANES;
use crate::scratch::Line;
use crate::tile::QUAD;

/// Number format of a dense checkpoint tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Float {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16: the upper half of an f32.
    Bf16,
}

impl Float {
    /// Bytes of a number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

/// A matrix `[outputs, inputs]` stored for the kernels.
pub struct Weights {
    outputs: usize,
    inputs: usize,
    pub(crate) form: Form,
}

pub(crate) enum Form {
    F32(Vec<Line>),
    F16(Vec<HalfLine>),
    Bf16(Vec<HalfLine>),
    Codes(Codes),
}

/// 16 halves.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub(crate) struct HalfLine(pub(crate) [u16; LANES]);

/// The codes of four inputs for 16 outputs.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct CodeLine(pub(crate) [u8; 4 * LANES]);

pub(crate) struct Codes {
    /// Inputs that share a scale and a bias: `4 << group_shift`.
    pub(crate) group_shift: u32,
    pub(crate) codes: Vec<CodeLine>,
    pub(crate) scales: Vec<Line>,
    pub(crate) biases: Vec<Line>,
}

impl Weights {
    /// Dense weights from the little-endian bytes of a tensor `[outputs, inputs]`, kept in their width.
    ///
    /// # Panics
    /// If `bytes` is not `outputs * inputs` numbers long.
    pub fn dense(cpu: &Cpu, float: Float, outputs: usize, inputs: usize, bytes: &[u8]) -> Self {
        let expected = outputs.checked_mul(inputs).and_then(|n| n.checked_mul(float.bytes()));
        assert_eq!(
            Some(bytes.len()),
            expected,
            "bytes of a {float:?} matrix [{outputs}, {inputs}]"
        );
        let form = match float {
            Float::F32 => Form::F32(panels(
                cpu,
                outputs,
                inputs,
                inputs.next_multiple_of(QUAD),
                Line::ZERO,
                |line, lane, row, column| {
                    line.0[lane] = f32::from_le_bytes(element(bytes, row * inputs + column));
                },
            )),
            Float::F16 => Form::F16(half_panels(cpu, outputs, inputs, bytes)),
            Float::Bf16 => Form::Bf16(half_panels(cpu, outputs, inputs, bytes)),
        };
        Self { outputs, inputs, form }
    }

    /// Weights of MLX's affine quantization: `scale * code + bias`, with a scale and a bias for each `group` inputs of
    /// an output.
    ///
    /// `codes` are the bytes of the tensor: each output's codes are one little-endian stream of `inputs * bits` bits,
    /// lowest bit first. `scales` and `biases` are `[outputs, inputs / group]`.
    ///
    /// # Panics
    /// If `bits` is not 2, 3, 4, 5, 6 or 8, `group` is not 32, 64 or 128 or does not divide `inputs`, or a slice has
    /// another length than these say.
    pub fn affine(
        cpu: &Cpu,
        bits: usize,
        group: usize,
        outputs: usize,
        inputs: usize,
        codes: &[u8],
        scales: &[f32],
        biases: &[f32],
    ) -> Self {
        assert!(
            [32, 64, 128].contains(&group),
            "quantization group of {group}: expected 32, 64 or 128"
        );
        assert!(inputs.is_multiple_of(group), "{inputs} inputs in groups of {group}");
        let row_bytes = inputs / 8 * bits;
        let groups = inputs / group;
        assert_eq!(
            Some(codes.len()),
            outputs.checked_mul(row_bytes),
            "bytes of {bits}-bit codes [{outputs}, {inputs}]"
        );
        let expected = outputs.checked_mul(groups);
        assert_eq!(Some(scales.len()), expected, "scales [{outputs}, {groups}]");
        assert_eq!(Some(biases.len()), expected, "biases [{outputs}, {groups}]");
        let unpack = match bits {
            2 => unpack_panel::<2>,
            3 => unpack_panel::<3>,
            4 => unpack_panel::<4>,
            5 => unpack_panel::<5>,
            6 => unpack_panel::<6>,
            8 => unpack_panel::<8>,
            _ => panic!("{bits}-bit codes: expected 2, 3, 4, 5, 6 or 8"),
        };
        let n_panels = outputs.div_ceil(LANES);
        let mut lines = vec![CodeLine([0; 4 * LANES]); n_panels * (inputs / 4)];
        if !lines.is_empty() {
            cpu.for_each_chunk(&mut lines, inputs / 4, |panel, lines| {
                let rows = LANES.min(outputs - panel * LANES);
                unpack(
                    &codes[panel * LANES * row_bytes..][..rows * row_bytes],
                    row_bytes,
                    lines,
                );
            });
        }
        let per_group = |values: &[f32]| {
            panels(cpu, outputs, groups, groups, Line::ZERO, |line, lane, row, column| {
                line.0[lane] = values[row * groups + column];
            })
        };
        let (scales, biases) = (per_group(scales), per_group(biases));
        let form = Form::Codes(Codes {
            group_shift: group.ilog2() - 2,
            codes: lines,
            scales,
            biases,
        });
        Self { outputs, inputs, form }
    }

    /// Rows of the matrix.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Columns of the matrix.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        match &self.form {
            Form::F32(lines) => size_of_val(&lines[..]),
            Form::F16(lines) | Form::Bf16(lines) => size_of_val(&lines[..]),
            Form::Codes(c) => size_of_val(&c.codes[..]) + size_of_val(&c.scales[..]) + size_of_val(&c.biases[..]),
        }
    }

    /// Writes the weights of output `i`, `[inputs]`: the lookup of an embedding.
    ///
    /// # Panics
    /// If there is no output `i` or `out` is not `inputs` long.
    pub fn row(&self, i: usize, out: &mut [f32]) {
        assert!(i < self.outputs, "row {i} of {}", self.outputs);
        assert_eq!(out.len(), self.inputs, "length of a row");
        let (panel, lane) = (i / LANES, i % LANES);
        let first = panel * self.inputs.next_multiple_of(QUAD);
        match &self.form {
            Form::F32(lines) => out
                .iter_mut()
                .zip(&lines[first..])
                .for_each(|(o, line)| *o = line.0[lane]),
            Form::F16(lines) => {
                out.iter_mut()
                    .zip(&lines[first..])
                    .for_each(|(o, line)| *o = f16::from_bits(line.0[lane]).to_f32());
            }
            Form::Bf16(lines) => {
                out.iter_mut()
                    .zip(&lines[first..])
                    .for_each(|(o, line)| *o = bf16::from_bits(line.0[lane]).to_f32());
            }
            Form::Codes(c) => {
                let groups = (self.inputs / 4) >> c.group_shift;
                for (k, o) in out.iter_mut().enumerate() {
                    let code = c.codes[first / 4 + k / 4].0[4 * lane + k % 4];
                    let group = panel * groups + ((k / 4) >> c.group_shift);
                    *o = f32::from(code).mul_add(c.scales[group].0[lane], c.biases[group].0[lane]);
                }
            }
        }
    }
}

fn element<const N: usize>(bytes: &[u8], i: usize) -> [u8; N] {
    bytes.as_chunks::<N>().0[i]
}

fn half_panels(cpu: &Cpu, outputs: usize, inputs: usize, bytes: &[u8]) -> Vec<HalfLine> {
    panels(
        cpu,
        outputs,
        inputs,
        inputs.next_multiple_of(QUAD),
        HalfLine([0; LANES]),
        |line, lane, row, column| {
            line.0[lane] = u16::from_le_bytes(element(bytes, row * inputs + column));
        },
    )
}

/// Lines `[outputs / 16][length]`; `set(line, lane, row, column)` fills each element of `[outputs, columns]`.
fn panels<L: Copy + Send>(
    cpu: &Cpu,
    outputs: usize,
    columns: usize,
    length: usize,
    zero: L,
    set: impl Fn(&mut L, usize, usize, usize) + Sync,
) -> Vec<L> {
    let mut lines = vec![zero; outputs.div_ceil(LANES) * length];
    if !lines.is_empty() {
        cpu.for_each_chunk(&mut lines, length, |panel, lines| {
            let rows = LANES.min(outputs - panel * LANES);
            for (column, line) in lines[..columns].iter_mut().enumerate() {
                for lane in 0..rows {
                    set(line, lane, panel * LANES + lane, column);
                }
            }
        });
    }
    lines
}

/// Unpacks the rows of a panel. Eight codes of `BITS` bits are `BITS` whole bytes, whatever `BITS` is.
fn unpack_panel<const BITS: usize>(rows: &[u8], row_bytes: usize, lines: &mut [CodeLine]) {
    let mask = (1u64 << BITS) - 1;
    for (lane, row) in rows.chunks_exact(row_bytes).enumerate() {
        for (eight, pair) in row.as_chunks::<BITS>().0.iter().zip(lines.as_chunks_mut::<2>().0) {
            let mut stream = [0; 8];
            stream[..BITS].copy_from_slice(eight);
            let stream = u64::from_le_bytes(stream);
            for (i, line) in pair.iter_mut().enumerate() {
                let code = |j: usize| (stream >> (BITS * (4 * i + j)) & mask) as u8;
                line.0.as_chunks_mut::<4>().0[lane] = [code(0), code(1), code(2), code(3)];
            }
        }
    }
}

#[cfg(test)]
mod tests;
