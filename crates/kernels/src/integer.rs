//! The linear layer in whole numbers: rows are quantized as they come, and multiplied by the codes of the weights.
//!
//! A weight is `s q + b` with unsigned codes `q`; a number of a row is taken as `t x` with whole `x` from -127 to 127. The
//! scales `s`, `b` and `t` hold for a group of inputs, so with the exact whole numbers `q . x` and `sum x`
//!
//! ```text
//! y = sum over groups of t (s (q . x) + b sum x)
//! ```
//!
//! With [`Compute::Int16`] it is taken as `t (255 h + l)`, two whole numbers from -127 to 127: a row in two planes, whose
//! products are added in the end.
//!
//! Groups are added in ascending order, each by one multiply-add: as in [`tile`](crate::tile), results do not depend on
//! the instruction set (`scalar`, which rounds products, apart), on the rows beside, or on the threads.
//!
//! * Few rows (decoding): codes are unpacked in registers; panels are split over the threads.
//! * Many rows: blocks of rows are split over the threads. A thread quantizes its block, then takes two panels of weights
//!   at a time, unpacked, past all rows of it.

use std::ops::Range;

use crate::codes::{CodeLine, RUN, RUN_QUADS, unpack};
use crate::cpu::{Compute, Cpu};
use crate::isa::{LANES, Op, Simd};
use crate::linear::{Finish, Rows, Store};
use crate::scratch::{Line, PANEL_CODES, ROW_BYTES, ROW_FACTORS, TILES, Zero, with_buffer};
use crate::tile::{QUAD, TILE_ROWS, with_shape};
use crate::weights::{CodePanel, Codes};

/// Vectors of a run.
const RUN_LINES: usize = RUN / LANES;

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
    let planes = match cpu.compute() {
        Compute::Int16 => 2,
        _ => 1,
    };
    let quantized = |tiles: Range<usize>, then: &dyn Fn(&mut [RowRun], &[Factor])| {
        let n = tiles.len() * planes * tile_rows;
        with_buffer(&ROW_BYTES, n * runs, |bytes| {
            with_buffer(&ROW_FACTORS, n * groups, |factors| {
                cpu.isa().run(Quantize {
                    x,
                    first_row: tiles.start * tile_rows,
                    tile_rows,
                    planes,
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
                        planes,
                        panels: of_task(i)..of_task(i + 1).min(finish.panels()),
                        codes,
                        finish,
                    });
                }
            });
        });
        return;
    }
    let blocks = (tiles * planes * tile_rows * runs * RUN).div_ceil(BLOCK_BYTES);
    let blocks = blocks.max(4 * cpu.threads()).min(tiles);
    cpu.pool().run(blocks, |i| {
        let tiles = tiles * i / blocks..tiles * (i + 1) / blocks;
        quantized(tiles.clone(), &|bytes, factors| {
            cpu.isa().run(Arrange { bytes });
            with_buffer(&PANEL_CODES, tile_panels * runs * RUN_QUADS, |unpacked| {
                with_buffer(&TILES, planes * tile_panels * tile_rows, |tile| {
                    for (codes, finish) in codes.iter().zip(finishes) {
                        cpu.isa().run(Block {
                            bytes,
                            factors,
                            planes,
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

/// Rows to whole numbers, tile by tile: bytes `[tile][plane][run][row]`, factors `[tile][plane][group][row]`. Rows past the
/// last and numbers past the end of a row are 0.
struct Quantize<'a> {
    x: Rows<'a>,
    first_row: usize,
    tile_rows: usize,
    planes: usize,
    group_runs: usize,
    bytes: &'a mut [RowRun],
    factors: &'a mut [Factor],
}

impl Op for Quantize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        with_shape!(S, self.tile_rows, quantize::<S>(s, self));
    }
}

#[inline(always)]
fn quantize<S: Simd, const R: usize, const P: usize>(s: S, job: Quantize<'_>) {
    match job.group_runs {
        1 => quantize_tiles::<S, R, 2>(s, job),
        2 => quantize_tiles::<S, R, 4>(s, job),
        _ => quantize_tiles::<S, R, 8>(s, job),
    }
}

/// A group has `L` lines.
#[inline(always)]
fn quantize_tiles<S: Simd, const R: usize, const L: usize>(s: S, job: Quantize<'_>) {
    let groups = job.x.columns().div_ceil(L * LANES);
    let group_runs = L / RUN_LINES;
    let bytes = job.bytes.as_chunks_mut::<R>().0;
    let factors = job.factors.as_chunks_mut::<R>().0;
    let tiles = bytes.chunks_exact_mut(job.planes * groups * group_runs);
    let tiles = tiles.zip(factors.chunks_exact_mut(job.planes * groups));
    // The last group of a row that ends within it, with zeros; of no row, zeros.
    let mut ends = [[[0.0; LANES]; L]; R];
    for (tile, (bytes, factors)) in tiles.enumerate() {
        let mut rows: [&[[f32; LANES]]; R] = [&[]; R];
        for r in 0..R {
            let row = job.first_row + tile * R + r;
            if row < job.x.rows() {
                let row = job.x.row(row);
                rows[r] = row.as_chunks().0;
                let end = &row[row.len() / (L * LANES) * (L * LANES)..];
                ends[r].as_flattened_mut()[..end.len()].copy_from_slice(end);
            } else {
                ends[r] = [[0.0; LANES]; L];
            }
        }
        for group in 0..groups {
            let mut lines = [[&[0.0; LANES]; L]; R];
            for r in 0..R {
                lines[r] = match rows[r].as_chunks().0.get(group) {
                    Some(whole) => whole.each_ref(),
                    None => ends[r].each_ref(),
                };
            }
            let runs = group * group_runs..(group + 1) * group_runs;
            if job.planes == 1 {
                quantize_group(s, &lines, &mut bytes[runs], &mut factors[group]);
            } else {
                let (bytes, low_bytes) = bytes.split_at_mut(groups * group_runs);
                let (factors, low_factors) = factors.split_at_mut(groups);
                for r in 0..R {
                    let runs = bytes[runs.clone()].iter_mut().zip(&mut low_bytes[runs.clone()]);
                    let runs = runs.map(|(high, low)| (&mut high[r], &mut low[r]));
                    [factors[group][r], low_factors[group][r]] = quantize_group_finely(s, &lines[r], runs);
                }
            }
        }
    }
}

/// The greatest size of numbers in each lane.
#[inline(always)]
fn greatest_size<S: Simd>(s: S, lines: &[&[f32; LANES]]) -> S::F {
    let mut greatest = s.splat(0.0);
    for line in lines {
        greatest = s.max(s.abs(s.load(line)), greatest);
    }
    greatest
}

/// What makes `most` of the greatest. Below 1e-30 nothing comes out of a sum of floats, and `most` over it is still finite.
#[inline(always)]
pub(crate) fn steps<S: Simd>(s: S, most: f32, greatest: S::F) -> S::F {
    let steps = s.div(s.splat(most), greatest);
    s.if_less(s.splat(1e-30), greatest, steps, s.splat(0.0))
}

/// At this size floats are whole numbers: adding it rounds, half to even.
const MAGIC: f32 = 12_582_912.0;

/// A group of each row: its greatest number becomes 127 or -127. Rows are taken together, as each waits for its own sums.
#[inline(always)]
pub(crate) fn quantize_group<S: Simd, const R: usize, const L: usize>(
    s: S,
    lines: &[[&[f32; LANES]; L]; R],
    bytes: &mut [[RowRun; R]],
    factors: &mut [Factor; R],
) {
    let mut greatest = [s.splat(0.0); R];
    for r in 0..R {
        greatest[r] = greatest_size(s, &lines[r]);
    }
    let greatest = s.greatest_of_each(greatest);
    let mut steps_of = Line::ZERO;
    s.store(steps(s, 127.0, greatest), &mut steps_of.0);
    let magic = s.splat(MAGIC);
    let mut sums = [s.splat(0.0); R];
    for (run, rows) in bytes.iter_mut().enumerate() {
        for r in 0..R {
            let steps = s.broadcast(&steps_of.0[r]);
            for (i, to) in rows[r].0.as_chunks_mut().0.iter_mut().enumerate() {
                let x = s.load(lines[r][run * RUN_LINES + i]);
                let whole = s.sub(s.fma(x, steps, magic), magic);
                sums[r] = s.add(sums[r], whole);
                s.store_bytes(whole, to);
            }
        }
    }
    let (mut scales_of, mut sums_of) = (Line::ZERO, Line::ZERO);
    s.store(s.mul(greatest, s.splat(1.0 / 127.0)), &mut scales_of.0);
    s.store(s.sum_of_each(sums), &mut sums_of.0);
    for r in 0..R {
        factors[r] = Factor {
            scale: scales_of.0[r],
            sum: sums_of.0[r],
        };
    }
}

/// What a number in the upper plane is worth in the lower one. 256 would leave remainders of 128, which is no signed byte.
const PLANE: f32 = 255.0;

/// The greatest number becomes 32512 or -32512; all in two planes, the upper one first.
#[inline(always)]
fn quantize_group_finely<'a, S: Simd>(
    s: S,
    lines: &[&[f32; LANES]],
    runs: impl Iterator<Item = (&'a mut RowRun, &'a mut RowRun)>,
) -> [Factor; 2] {
    const MOST: f32 = 127.0 * PLANE + 127.0;
    let greatest = s.greatest(greatest_size(s, lines));
    let (steps, magic) = (steps(s, MOST, s.splat(greatest)), s.splat(MAGIC));
    let (mut high_sum, mut low_sum) = (s.splat(0.0), s.splat(0.0));
    for (lines, (high_run, low_run)) in lines.as_chunks::<RUN_LINES>().0.iter().zip(runs) {
        let high_run = high_run.0.as_chunks_mut().0;
        let low_run = low_run.0.as_chunks_mut().0;
        for (line, (to_high, to_low)) in lines.iter().zip(high_run.iter_mut().zip(low_run)) {
            let x = s.load(line);
            let whole = s.sub(s.fma(x, steps, magic), magic);
            let high = s.sub(s.fma(whole, s.splat(1.0 / PLANE), magic), magic);
            let low = s.fma(high, s.splat(-PLANE), whole);
            high_sum = s.add(high_sum, high);
            low_sum = s.add(low_sum, low);
            s.store_bytes(high, to_high);
            s.store_bytes(low, to_low);
        }
    }
    let scale = greatest * (1.0 / MOST);
    let high = Factor {
        scale: scale * PLANE,
        sum: s.sum(high_sum),
    };
    let low = Factor {
        scale,
        sum: s.sum(low_sum),
    };
    [high, low]
}

/// Panels times one tile of rows, unpacked in registers.
struct FewRows<'a> {
    bytes: &'a [RowRun],
    factors: &'a [Factor],
    planes: usize,
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
    match job.planes {
        1 => few_rows_in_planes::<S, R, 1>(s, job),
        _ => few_rows_in_planes::<S, R, 2>(s, job),
    }
}

#[inline(always)]
fn few_rows_in_planes<S: Simd, const R: usize, const PLANES: usize>(s: S, job: FewRows<'_>) {
    let groups = job.codes.groups;
    let runs = groups * job.codes.group_runs;
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
        let mut tiles = [[s.splat(0.0); R]; PLANES];
        for group in 0..groups {
            let mut sums = [[s.chain(0.0); R]; PLANES];
            for plane in 0..PLANES {
                for r in 0..R {
                    sums[plane][r] = s.chain(factors[plane * groups + group][r].sum);
                }
            }
            for run in group * group_runs..(group + 1) * group_runs {
                let codes = unpack(s, &lines[run * bits..][..bits]);
                for plane in 0..PLANES {
                    let rows = &bytes[plane * runs + run];
                    for r in 0..R {
                        for quad in 0..RUN_QUADS {
                            let x = &rows[r].0.as_chunks::<QUAD>().0[quad];
                            sums[plane][r] = s.dot(sums[plane][r], codes[quad], x);
                        }
                    }
                }
            }
            let (scale, bias) = (s.load(&scales[group].0), s.load(&biases[group].0));
            for plane in 0..PLANES {
                for r in 0..R {
                    let factor = &factors[plane * groups + group][r];
                    tiles[plane][r] = add_group(s, tiles[plane][r], sums[plane][r], scale, bias, factor);
                }
            }
        }
        let mut lines = [Line::ZERO; R];
        for r in 0..R {
            let mut sum = tiles[0][r];
            for plane in 1..PLANES {
                sum = s.add(sum, tiles[plane][r]);
            }
            s.store(sum, &mut lines[r].0);
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
    planes: usize,
    first_row: usize,
    codes: &'a Codes,
    /// Room for the unpacked codes of a tile's panels.
    unpacked: &'a mut [CodeLine],
    /// Room for a tile of each plane.
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
        let planes = bytes.chunks_exact(runs).zip(factors.chunks_exact(codes.groups));
        for (i, (bytes, factors)) in planes.enumerate() {
            let (i, plane) = (i / job.planes, i % job.planes);
            let (tile, rest) = tile.split_at_mut(P * R);
            if plane + 1 < job.planes {
                s.multiply::<R, P>(bytes, factors, lines, &panels, rest);
                continue;
            }
            s.multiply::<R, P>(bytes, factors, lines, &panels, tile);
            if job.planes > 1 {
                for (to, other) in tile.iter_mut().zip(rest) {
                    s.store(s.add(s.load(&to.0), s.load(&other.0)), &mut to.0);
                }
            }
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
    if factors.is_empty() {
        tile.as_flattened_mut().fill(Line::ZERO);
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
                let sum = if group == 0 {
                    s.splat(0.0)
                } else {
                    s.load(&tile[p][r].0)
                };
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
