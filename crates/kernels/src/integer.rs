//! The linear layer in whole numbers: rows are quantized as they come, and multiplied by the codes of the weights.
//!
//! A weight is `s q + b` with unsigned codes `q`; a number of a row is taken as `t x` with whole `x` from -127 to 127. The
//! scales `s`, `b` and `t` hold for a group of inputs, so with the exact whole numbers `q . x` and `sum x`
//!
//! ```text
//! y = sum over groups of t (s (q . x) + b sum x)
//! ```
//!
//! Groups are added in ascending order, each by one multiply-add: as in [`tile`](crate::tile), results do not depend on
//! the instruction set (`scalar`, which rounds products, apart), on the rows beside, or on the threads.
//!
//! * Few rows (decoding): codes are unpacked in registers; panels are split over the threads.
//! * Many rows: blocks of rows are split over the threads. A thread quantizes its block, then takes two panels of weights
//!   at a time, unpacked, past all rows of it.

use std::ops::Range;

use crate::codes::{CodeLine, RUN, RUN_QUADS, unpack};
use crate::cpu::Cpu;
use crate::isa::{LANES, Op, Simd};
use crate::linear::{Finish, Rows, Store};
use crate::scratch::{Line, PANEL_CODES, ROW_BYTES, ROW_FACTORS, TILES, Zero, with_buffer};
use crate::tile::{QUAD, TILE_ROWS, with_shape};
use crate::weights::{CodePanel, Codes};

/// 32 whole numbers of a row.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub(crate) struct RowRun(pub(crate) [i8; RUN]);

impl Zero for RowRun {
    const ZERO: Self = Self([0; RUN]);
}

#[cfg(test)]
impl RowRun {
    pub(crate) const POISON: Self = Self([-128; RUN]);
}

#[cfg(test)]
impl Factor {
    pub(crate) const POISON: Self = Self {
        scale: f32::NAN,
        sum: f32::NAN,
    };
}

/// What the numbers of a row within a group share.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Factor {
    /// `t`.
    pub(crate) scale: f32,
    /// The sum of the whole numbers.
    pub(crate) sum: f32,
}

impl Zero for Factor {
    const ZERO: Self = Self { scale: 0.0, sum: 0.0 };
}

impl Factor {
    /// Of numbers `by` times as large.
    #[inline(always)]
    pub(crate) fn scaled(self, by: f32) -> Self {
        Self {
            scale: self.scale * by,
            ..self
        }
    }

    /// The sum of the numbers.
    #[inline(always)]
    pub(crate) fn total(self) -> f32 {
        self.scale * self.sum
    }
}

/// Numbers of a block of rows that stay in the second cache, quantized.
const BLOCK_BYTES: usize = 384 << 10;

/// The product for [`linear_each`](crate::linear_each): layer `i` has `codes[i]` and `finishes[i]`. At least one; all are
/// grouped alike.
pub(crate) fn product<const N: usize>(cpu: &Cpu, x: Rows<'_>, codes: &[&Codes; N], finishes: &[&Finish<'_>; N]) {
    let (groups, group_runs) = (codes[0].groups, codes[0].group_runs);
    let (tile_rows, tile_panels) = finishes[0].shape();
    let tiles = x.rows().div_ceil(tile_rows);
    let runs = groups * group_runs;
    let quantized = |tiles: Range<usize>, then: &dyn Fn(&mut [RowRun], &[Factor])| {
        let n = tiles.len() * tile_rows;
        with_buffer(&ROW_BYTES, n * runs, |bytes| {
            with_buffer(&ROW_FACTORS, n * groups, |factors| {
                cpu.isa().run(Quantize {
                    x,
                    first_row: tiles.start * tile_rows,
                    tile_rows,
                    group_runs,
                    bytes,
                    factors,
                });
                then(bytes, factors);
            });
        });
    };
    if tiles == 1 {
        quantized(0..1, &|bytes, factors| {
            // A few tasks a thread even out its neighbours' noise; each should be worth its claim.
            let panels: usize = finishes.iter().map(|finish| finish.panels()).sum();
            let tasks = (4 * cpu.threads()).min((panels * runs).div_ceil(256)).max(1);
            cpu.pool().run(tasks, |i| {
                for (codes, finish) in codes.iter().zip(finishes) {
                    let sets = finish.panels().div_ceil(tile_panels);
                    let of_task = |i| sets * i / tasks * tile_panels;
                    cpu.isa().run(FewRows {
                        bytes,
                        factors,
                        panels: of_task(i)..of_task(i + 1).min(finish.panels()),
                        codes,
                        finish,
                    });
                }
            });
        });
        return;
    }
    let blocks = (tiles * tile_rows * runs * RUN).div_ceil(BLOCK_BYTES);
    let blocks = blocks.max(4 * cpu.threads()).min(tiles);
    cpu.pool().run(blocks, |i| {
        let tiles = tiles * i / blocks..tiles * (i + 1) / blocks;
        quantized(tiles.clone(), &|bytes, factors| {
            cpu.isa().run(Arrange { bytes });
            with_buffer(&PANEL_CODES, tile_panels * runs * RUN_QUADS, |unpacked| {
                with_buffer(&TILES, tile_panels * tile_rows, |tile| {
                    for (codes, finish) in codes.iter().zip(finishes) {
                        cpu.isa().run(Block {
                            bytes,
                            factors,
                            first_row: tiles.start * tile_rows,
                            codes,
                            unpacked,
                            tile,
                            finish,
                        });
                    }
                });
            });
        });
    });
}

/// Rows to whole numbers, tile by tile: bytes `[tile][run][row]`, factors `[tile][group][row]`. Rows past the last and
/// numbers past the end of a row are 0.
struct Quantize<'a> {
    x: Rows<'a>,
    first_row: usize,
    tile_rows: usize,
    group_runs: usize,
    bytes: &'a mut [RowRun],
    factors: &'a mut [Factor],
}

impl Op for Quantize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self {
            x,
            first_row,
            tile_rows,
            group_runs,
            bytes,
            factors,
        } = self;
        let groups = x.columns().div_ceil(group_runs * RUN);
        let tiles = bytes.chunks_exact_mut(groups * group_runs * tile_rows);
        for (tile, (bytes, factors)) in tiles.zip(factors.chunks_exact_mut(groups * tile_rows)).enumerate() {
            for r in 0..tile_rows {
                let row = first_row + tile * tile_rows + r;
                let row = if row < x.rows() { x.row(row) } else { &[] };
                for group in 0..groups {
                    let from = group * group_runs * RUN;
                    let numbers = row.get(from..).unwrap_or(&[]);
                    let numbers = &numbers[..numbers.len().min(group_runs * RUN)];
                    let runs = bytes[group * group_runs * tile_rows + r..]
                        .iter_mut()
                        .step_by(tile_rows);
                    factors[group * tile_rows + r] = quantize_group(s, numbers, runs.take(group_runs));
                }
            }
        }
    }
}

/// The greatest number becomes 127 or -127.
#[inline(always)]
pub(crate) fn quantize_group<'a, S: Simd>(s: S, x: &[f32], runs: impl Iterator<Item = &'a mut RowRun>) -> Factor {
    let (lines, rest) = x.as_chunks::<LANES>();
    let mut last = [0.0; LANES];
    last[..rest.len()].copy_from_slice(rest);
    let zero = s.splat(0.0);
    let mut greatest = s.load(&last);
    greatest = s.max(greatest, s.sub(zero, greatest));
    for line in lines {
        let x = s.load(line);
        greatest = s.max(s.max(x, s.sub(zero, x)), greatest);
    }
    let greatest = s.greatest(greatest);
    // Below this nothing comes out of a sum of floats, and 127 over it is still finite.
    let steps = if greatest > 1e-30 { 127.0 / greatest } else { 0.0 };
    let (steps, magic) = (s.splat(steps), s.splat(12_582_912.0));
    let mut sum = zero;
    let mut lines = lines.iter();
    let mut last = Some(&last);
    for run in runs {
        for to in run.0.as_chunks_mut::<LANES>().0 {
            let from = lines.next().or_else(|| last.take()).unwrap_or(&[0.0; LANES]);
            // At the size of `magic` floats are whole numbers: adding it rounds, half to even.
            let whole = s.sub(s.fma(s.load(from), steps, magic), magic);
            sum = s.add(sum, whole);
            s.store_bytes(whole, to);
        }
    }
    Factor {
        scale: greatest * (1.0 / 127.0),
        sum: s.sum(sum),
    }
}

/// Panels times one tile of rows, unpacked in registers.
struct FewRows<'a> {
    bytes: &'a [RowRun],
    factors: &'a [Factor],
    panels: Range<usize>,
    codes: &'a Codes,
    finish: &'a Finish<'a>,
}

impl Op for FewRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        with_shape!(S, self.finish.shape().0, few_rows::<S>(s, self));
    }
}

#[inline(always)]
fn few_rows<S: Simd, const R: usize, const P: usize>(s: S, job: FewRows<'_>) {
    let bytes = job.bytes.as_chunks::<R>().0;
    let factors = job.factors.as_chunks::<R>().0;
    for panel in job.panels {
        let CodePanel {
            bits,
            group_runs,
            lines,
            scales,
            biases,
        } = job.codes.panel(panel);
        let mut tile = [s.splat(0.0); R];
        for (group, factors) in factors.iter().enumerate() {
            let mut sums = [s.chain(0.0); R];
            for r in 0..R {
                sums[r] = s.chain(factors[r].sum);
            }
            for run in group * group_runs..(group + 1) * group_runs {
                let codes = unpack(s, &lines[run * bits..][..bits]);
                for r in 0..R {
                    for quad in 0..RUN_QUADS {
                        sums[r] = s.dot(sums[r], codes[quad], &bytes[run][r].0.as_chunks::<QUAD>().0[quad]);
                    }
                }
            }
            let (scale, bias) = (s.load(&scales[group].0), s.load(&biases[group].0));
            for r in 0..R {
                tile[r] = add_group(s, tile[r], sums[r], scale, bias, &factors[r]);
            }
        }
        let mut lines = [Line::ZERO; R];
        for r in 0..R {
            s.store(tile[r], &mut lines[r].0);
        }
        s.vectorize(Store::new(job.finish, &lines, 0, panel, 1));
    }
}

/// Rows in the order that [`Simd::multiply`] reads.
struct Arrange<'a> {
    bytes: &'a mut [RowRun],
}

impl Op for Arrange<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for rows in self.bytes.as_chunks_mut::<TILE_ROWS>().0 {
            s.arrange_rows(rows);
        }
    }
}

/// A block of rows times all panels.
struct Block<'a> {
    bytes: &'a [RowRun],
    factors: &'a [Factor],
    first_row: usize,
    codes: &'a Codes,
    /// Room for the unpacked codes of a tile's panels.
    unpacked: &'a mut [CodeLine],
    /// Room for a tile.
    tile: &'a mut [Line],
    finish: &'a Finish<'a>,
}

impl Op for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // More than one tile of rows: the greatest tile.
        if S::REGISTERS >= 32 {
            block::<S, TILE_ROWS, 4>(s, self)
        } else {
            block::<S, TILE_ROWS, 1>(s, self)
        }
    }
}

#[inline(always)]
fn block<S: Simd, const R: usize, const P: usize>(s: S, job: Block<'_>) {
    let Block {
        codes,
        unpacked,
        tile,
        finish,
        ..
    } = job;
    let runs = codes.groups * codes.group_runs;
    let bytes = job.bytes.as_chunks::<R>().0;
    let factors = job.factors.as_chunks::<R>().0;
    let n_panels = finish.panels();
    for first_panel in (0..n_panels).step_by(P) {
        // Past the last panel the last one is computed again, and dropped.
        let panels: [CodePanel<'_>; P] = std::array::from_fn(|p| codes.panel((first_panel + p).min(n_panels - 1)));
        let in_place = codes.bits == 8 && !S::ARRANGES;
        if !in_place {
            for (panel, to) in panels.iter().zip(unpacked.chunks_exact_mut(runs * RUN_QUADS)) {
                for (packed, to) in panel
                    .lines
                    .chunks_exact(codes.bits)
                    .zip(to.as_chunks_mut::<RUN_QUADS>().0)
                {
                    let codes = s.arrange_codes(unpack(s, packed));
                    for quad in 0..RUN_QUADS {
                        s.store_codes(codes[quad], &mut to[quad].0);
                    }
                }
            }
        }
        let lines: [&[[CodeLine; RUN_QUADS]]; P] = std::array::from_fn(|p| {
            let lines = if in_place {
                panels[p].lines
            } else {
                &unpacked[p * runs * RUN_QUADS..][..runs * RUN_QUADS]
            };
            lines.as_chunks().0
        });
        let tiles = bytes.chunks_exact(runs).zip(factors.chunks_exact(codes.groups));
        for (i, (bytes, factors)) in tiles.enumerate() {
            s.multiply::<R, P>(bytes, factors, lines, &panels, tile);
            let valid = P.min(n_panels - first_panel);
            let first_row = job.first_row + i * R;
            s.vectorize(Store::new(finish, tile, first_row, first_panel, valid));
        }
    }
}

/// `tile[p][r] = x[r] . panels[p]`, of whose codes `lines` are the unpacked. The whole sums of a group are in registers; the
/// tile waits in memory meanwhile, for which it must not be a variable that the compiler may keep elsewhere.
#[inline(always)]
pub(crate) fn multiply<S: Simd, const R: usize, const P: usize>(
    s: S,
    bytes: &[[RowRun; R]],
    factors: &[[Factor; R]],
    lines: [&[[CodeLine; RUN_QUADS]]; P],
    panels: &[CodePanel<'_>; P],
    tile: &mut [Line],
) {
    let tile: &mut [[Line; R]] = tile.as_chunks_mut().0;
    let tile: &mut [[Line; R]; P] = &mut tile.as_chunks_mut().0[0];
    for p in 0..P {
        for r in 0..R {
            s.store(s.splat(0.0), &mut tile[p][r].0);
        }
    }
    let group_runs = panels[0].group_runs;
    for (group, factors) in factors.iter().enumerate() {
        let mut sums = [[s.chain(0.0); R]; P];
        for p in 0..P {
            for r in 0..R {
                sums[p][r] = s.chain(factors[r].sum);
            }
        }
        let runs = group * group_runs..(group + 1) * group_runs;
        let mut of_group = [&lines[0][runs.clone()]; P];
        for p in 1..P {
            of_group[p] = &lines[p][runs.clone()];
        }
        for (run, rows) in bytes[runs].iter().enumerate() {
            for quad in 0..RUN_QUADS {
                let mut codes = [s.load_codes(&of_group[0][run][quad].0); P];
                for p in 1..P {
                    codes[p] = s.load_codes(&of_group[p][run][quad].0);
                }
                for r in 0..R {
                    for p in 0..P {
                        sums[p][r] = s.dot(sums[p][r], codes[p], &rows[r].0.as_chunks::<QUAD>().0[quad]);
                    }
                }
            }
        }
        // Loaded before they are used: a loop that may panic is not unrolled, and the sums would go through memory.
        let mut scales = [s.load(&panels[0].scales[group].0); P];
        let mut biases = [s.load(&panels[0].biases[group].0); P];
        for p in 1..P {
            scales[p] = s.load(&panels[p].scales[group].0);
            biases[p] = s.load(&panels[p].biases[group].0);
        }
        for p in 0..P {
            for r in 0..R {
                let sum = s.load(&tile[p][r].0);
                let sum = add_group(s, sum, sums[p][r], scales[p], biases[p], &factors[r]);
                s.store(sum, &mut tile[p][r].0);
            }
        }
    }
}

/// `acc + t (s (q . x) + b sum x)`.
#[inline(always)]
fn add_group<S: Simd>(s: S, acc: S::F, sums: S::I, scale: S::F, bias: S::F, factor: &Factor) -> S::F {
    let below = s.mul(bias, s.broadcast(&factor.sum));
    let group = s.fma(s.to_floats(sums), scale, below);
    s.fma(group, s.broadcast(&factor.scale), acc)
}

#[cfg(test)]
mod tests;
