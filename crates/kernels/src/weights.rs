//! Weight matrices in the one layout that all kernels read: panels of 16 outputs.
//!
//! A panel holds, for one input after the other, that input's weight of 16 neighbouring outputs: one vector. The last
//! panel is filled up with zeros, as are the inputs to a multiple of four. Dense weights keep the width of the checkpoint,
//! `[panel][input][16]`. Codes of affine quantization stay packed (see [`codes`](crate::codes)), with scales and biases
//! `[panel][group][16]`: the weight is `scale * code + bias`.

use half::{bf16, f16};

use crate::codes::{self, CodeLine, RUN, pack_panel};
use crate::cpu::{Cpu, SharedMut};
use crate::isa::{LANES, Op, Simd};
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

    /// Number `i` of little-endian bytes.
    #[inline(always)]
    fn read(self, bytes: &[u8], i: usize) -> f32 {
        match self {
            Self::F32 => f32::from_le_bytes(element(bytes, i)),
            Self::F16 => f16::from_le_bytes(element(bytes, i)).to_f32(),
            Self::Bf16 => bf16::from_le_bytes(element(bytes, i)).to_f32(),
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

pub(crate) struct Codes {
    pub(crate) bits: usize,
    /// Inputs that share a scale and a bias, in runs.
    pub(crate) group_runs: usize,
    /// Groups of an output. The last is filled up with inputs whose codes are 0.
    pub(crate) groups: usize,
    /// `[panel][run][bits]`.
    pub(crate) lines: Vec<CodeLine>,
    /// `[panel][group]`.
    pub(crate) scales: Vec<Line>,
    /// `[panel][group]`.
    pub(crate) biases: Vec<Line>,
}

/// 16 outputs of quantized weights.
#[derive(Clone, Copy)]
pub(crate) struct CodePanel<'a> {
    pub(crate) bits: usize,
    pub(crate) group_runs: usize,
    /// `[run][bits]`.
    pub(crate) lines: &'a [CodeLine],
    /// `[group]`.
    pub(crate) scales: &'a [Line],
    /// `[group]`.
    pub(crate) biases: &'a [Line],
}

impl Codes {
    /// Whether the same inputs share scales.
    pub(crate) fn grouped_like(&self, other: &Self) -> bool {
        (self.groups, self.group_runs) == (other.groups, other.group_runs)
    }

    #[inline(always)]
    pub(crate) fn panel(&self, i: usize) -> CodePanel<'_> {
        let groups = i * self.groups..(i + 1) * self.groups;
        let lines = self.group_runs * self.bits;
        CodePanel {
            bits: self.bits,
            group_runs: self.group_runs,
            lines: &self.lines[groups.start * lines..groups.end * lines],
            scales: &self.scales[groups.clone()],
            biases: &self.biases[groups],
        }
    }
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
        let pack = match bits {
            2 => pack_panel::<2>,
            3 => pack_panel::<3>,
            4 => pack_panel::<4>,
            5 => pack_panel::<5>,
            6 => pack_panel::<6>,
            8 => pack_panel::<8>,
            _ => panic!("{bits}-bit codes: expected 2, 3, 4, 5, 6 or 8"),
        };
        let panel_lines = inputs / RUN * bits;
        let mut lines = vec![CodeLine::ZERO; outputs.div_ceil(LANES) * panel_lines];
        if !lines.is_empty() {
            cpu.for_each_chunk(&mut lines, panel_lines, |panel, lines| {
                let rows = LANES.min(outputs - panel * LANES);
                pack(
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
            bits,
            group_runs: group / RUN,
            groups,
            lines,
            scales,
            biases,
        });
        Self { outputs, inputs, form }
    }

    /// Dense weights as codes of 8 bits, with a scale and a bias for each 64 inputs of an output: within half a scale of
    /// what they were, which is 1/510 of the distance from the least to the greatest of them. A last group that is not
    /// full holds the rest.
    ///
    /// # Panics
    /// As for [`Weights::dense`].
    pub fn quantized(cpu: &Cpu, float: Float, outputs: usize, inputs: usize, bytes: &[u8]) -> Self {
        let expected = outputs.checked_mul(inputs).and_then(|n| n.checked_mul(float.bytes()));
        assert_eq!(
            Some(bytes.len()),
            expected,
            "bytes of a {float:?} matrix [{outputs}, {inputs}]"
        );
        let groups = inputs.div_ceil(GROUP);
        let n_panels = outputs.div_ceil(LANES);
        let panel_lines = groups * GROUP / QUAD;
        let mut lines = vec![CodeLine::ZERO; n_panels * panel_lines];
        let (mut scales, mut biases) = (vec![Line::ZERO; n_panels * groups], vec![Line::ZERO; n_panels * groups]);
        let (all_scales, all_biases) = (SharedMut::new(&mut scales), SharedMut::new(&mut biases));
        let row_bytes = inputs * float.bytes();
        let pack = |panel: usize, lines: &mut [CodeLine]| {
            // SAFETY: each panel is packed by one task.
            let scales = unsafe { all_scales.slice(panel * groups, groups) };
            // SAFETY: as above.
            let biases = unsafe { all_biases.slice(panel * groups, groups) };
            for lane in 0..LANES.min(outputs - panel * LANES) {
                cpu.isa().run(QuantizeRow {
                    float,
                    row: &bytes[(panel * LANES + lane) * row_bytes..][..row_bytes],
                    lane,
                    lines: lines.as_chunks_mut().0,
                    scales,
                    biases,
                });
            }
        };
        if !lines.is_empty() {
            cpu.for_each_chunk(&mut lines, panel_lines, pack);
        }
        let form = Form::Codes(Codes {
            bits: 8,
            group_runs: GROUP / RUN,
            groups,
            lines,
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
            Form::Codes(c) => size_of_val(&c.lines[..]) + size_of_val(&c.scales[..]) + size_of_val(&c.biases[..]),
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
                let panel = c.panel(panel);
                for (k, o) in out.iter_mut().enumerate() {
                    let (run, group) = (k / RUN, k / RUN / c.group_runs);
                    let code = codes::code(&panel.lines[run * c.bits..][..c.bits], lane, k % RUN);
                    *o = f32::from(code).mul_add(panel.scales[group].0[lane], panel.biases[group].0[lane]);
                }
            }
        }
    }
}

/// Inputs that share a scale where we choose.
const GROUP: usize = 64;

/// A dense row as codes of 8 bits, in its lane of a panel.
struct QuantizeRow<'a> {
    float: Float,
    row: &'a [u8],
    lane: usize,
    /// `[group]`, zeros.
    lines: &'a mut [[CodeLine; GROUP / QUAD]],
    scales: &'a mut [Line],
    biases: &'a mut [Line],
}

impl Op for QuantizeRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let groups = self.row.chunks(GROUP * self.float.bytes());
        for ((bytes, to), i) in groups.zip(self.lines).zip(0..) {
            let values = widen_group(s, self.float, bytes);
            let (zero, first) = (s.splat(0.0), s.load(&values[0]));
            let (mut greatest, mut below) = (first, s.sub(zero, first));
            for line in &values {
                let line = s.load(line);
                greatest = s.max(line, greatest);
                below = s.max(s.sub(zero, line), below);
            }
            let least = -s.greatest(below);
            let scale = (s.greatest(greatest) - least) / 255.0;
            // Below this its inverse may be no number.
            let steps = if scale > 1e-30 { 1.0 / scale } else { 0.0 };
            (self.scales[i].0[self.lane], self.biases[i].0[self.lane]) = (scale, least);

            // At the size of `magic` floats are whole numbers: adding it rounds, half to even.
            let (least, steps, magic) = (s.splat(least), s.splat(steps), s.splat(12_582_912.0));
            let mut codes = [0; GROUP];
            for (line, codes) in values.iter().zip(codes.as_chunks_mut::<LANES>().0) {
                let whole = s.sub(s.add(s.mul(s.sub(s.load(line), least), steps), magic), magic);
                let mut bytes = [0; LANES];
                s.store_bytes(s.sub(whole, s.splat(128.0)), &mut bytes);
                for lane in 0..LANES {
                    codes[lane] = bytes[lane].cast_unsigned() ^ 0x80;
                }
            }
            let n_codes = bytes.len() / self.float.bytes();
            codes[n_codes..].fill(0);
            for (codes, run) in codes.as_chunks().0.iter().zip(to.as_chunks_mut::<8>().0) {
                codes::pack::<8>(codes, self.lane, run);
            }
        }
    }
}

/// The numbers of a group; where it has fewer than [`GROUP`], the first again and again.
#[inline(always)]
fn widen_group<S: Simd>(s: S, float: Float, bytes: &[u8]) -> [[f32; LANES]; GROUP / LANES] {
    let mut values = [[float.read(bytes, 0); LANES]; GROUP / LANES];
    for (bytes, values) in bytes.chunks(LANES * float.bytes()).zip(&mut values) {
        let mut bits = [0; LANES];
        match float {
            Float::F16 | Float::Bf16 if bytes.len() == LANES * 2 => {
                for (bits, bytes) in bits.iter_mut().zip(bytes.as_chunks().0) {
                    *bits = u16::from_le_bytes(*bytes);
                }
                let wide = if float == Float::F16 {
                    s.load_f16(&bits)
                } else {
                    s.load_bf16(&bits)
                };
                s.store(wide, values);
            }
            _ => {
                for (i, value) in values[..bytes.len() / float.bytes()].iter_mut().enumerate() {
                    *value = float.read(bytes, i);
                }
            }
        }
    }
    values
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

#[cfg(test)]
mod tests;
