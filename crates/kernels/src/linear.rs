//! The linear layer, `y = x wT + bias`, and with overlapping rows the convolution.
//!
//! Two ways to the same bits (see [`tile`](crate::tile)):
//!
//! * Few rows, one tile high (decoding): the stored weights are read once and decoded in registers; panels are split
//!   over the threads. The memory is the limit.
//! * Many rows (the encoder): work is split into (group of panels) x (block of rows). A thread converts the panels of a
//!   group to f32 once and keeps them; within a block, a [`STRETCH`] of inputs of a set of panels stay in the first cache while
//!   all rows of the block pass by, their sums waiting in scratch for the next inputs.

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::codes::RUN_QUADS;
use crate::cpu::{Compute, Cpu, SharedMut};
use crate::gelu::gelu_lanes;
use crate::integer;
use crate::isa::{LANES, Op, Simd};
use crate::scratch::{Line, PACKED_ROWS, PANELS, TILES, with_buffer};
use crate::tile::{self, Bf16Panel, F16Panel, Panel, QUAD, TILE_ROWS, with_shape};
use crate::weights::{Form, Weights};

/// A matrix of f32 by rows. Rows may lie apart or overlap.
///
/// A convolution over frames `[n, channels]` with a kernel of 3 is [`linear`] over rows of `3 * channels` numbers that
/// begin `channels` apart (`2 * channels` for stride 2), with weights `[out, 3 * channels]`.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    stride: usize,
}

impl<'a> Rows<'a> {
    /// `[rows, columns]` without gaps.
    ///
    /// # Panics
    /// If `data` has another length.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(
            Some(data.len()),
            rows.checked_mul(columns),
            "numbers of a matrix [{rows}, {columns}]"
        );
        Self {
            data,
            rows,
            columns,
            stride: columns,
        }
    }

    /// Row `i` begins at `i * stride`.
    ///
    /// # Panics
    /// If the last row ends outside `data`.
    pub fn strided(data: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        let end = rows
            .checked_sub(1)
            .map_or(Some(0), |last| last.checked_mul(stride)?.checked_add(columns));
        assert!(
            end.is_some_and(|end| end <= data.len()),
            "{rows} rows of {columns}, {stride} apart, in {} numbers",
            data.len()
        );
        Self {
            data,
            rows,
            columns,
            stride,
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn row(&self, i: usize) -> &'a [f32] {
        &self.data[i * self.stride..][..self.columns]
    }
}

/// What happens to a result on its way to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// `y = r`.
    Store,
    /// `y = gelu(r)`, see [`gelu`](crate::gelu()).
    Gelu,
    /// `y += r`: the residual.
    Add,
}

/// `y = x wT (+ bias)`, then [`Then`]: `x` `[rows, inputs]`, `w` `[outputs, inputs]`, `bias` `[outputs]`, `y`
/// `[rows, outputs]`.
///
/// Every sum is one chain of fused multiply-adds over ascending inputs, from zero; the bias comes last. So results are
/// the same bits on every instruction set but `scalar` (which rounds products), for one row or many, on any number of
/// threads. Error bound: `inputs * 2^-24 * sum |x w|`, as for any sum in order.
///
/// # Panics
/// If the shapes do not fit.
pub fn linear(cpu: &Cpu, x: Rows<'_>, w: &Weights, bias: Option<&[f32]>, then: Then, y: &mut [f32]) {
    linear_each(cpu, x, [Layer { w, bias, then, y }]);
}

/// What [`linear`] takes but the rows.
pub struct Layer<'a> {
    /// `[outputs, inputs]`.
    pub w: &'a Weights,
    /// `[outputs]`.
    pub bias: Option<&'a [f32]>,
    /// What happens to the results.
    pub then: Then,
    /// `[rows, outputs]`.
    pub y: &'a mut [f32],
}

/// [`linear`] of the same rows through several layers: the same bits, but where products are whole numbers rows are quantized
/// once for all, and threads meet once.
///
/// # Panics
/// If the shapes do not fit.
pub fn linear_each<const N: usize>(cpu: &Cpu, x: Rows<'_>, layers: [Layer<'_>; N]) {
    let shape = tile::shape(cpu.isa().registers(), x.rows);
    let layers = layers.map(|Layer { w, bias, then, y }| {
        let outputs = w.outputs();
        assert_eq!(
            x.columns,
            w.inputs(),
            "columns of x must match the inputs of the weights"
        );
        assert_eq!(
            Some(y.len()),
            x.rows.checked_mul(outputs),
            "numbers of y [{}, {outputs}]",
            x.rows
        );
        if let Some(bias) = bias {
            assert_eq!(bias.len(), outputs, "one bias an output");
        }
        let finish = Finish {
            y: SharedMut::new(y),
            rows: x.rows,
            shape,
            outputs,
            bias,
            then,
        };
        (w, finish)
    });
    if x.rows == 0 {
        return;
    }
    let codes = layers.each_ref().map(|(w, _)| match &w.form {
        Form::Codes(codes) if cpu.compute() != Compute::F32 => Some(codes),
        _ => None,
    });
    if let Some(&Some(first)) = codes.first()
        && codes.iter().flatten().filter(|codes| codes.grouped_like(first)).count() == N
    {
        let finishes = layers.each_ref().map(|(_, finish)| finish);
        return integer::product(cpu, x, &codes.map(|codes| codes.unwrap_or(first)), &finishes);
    }
    for ((w, finish), codes) in layers.iter().zip(codes).filter(|((w, _), _)| w.outputs() > 0) {
        let quads = x.columns.div_ceil(QUAD);
        match (&w.form, codes) {
            (_, Some(codes)) => integer::product(cpu, x, &[codes], &[finish]),
            (Form::F32(lines), _) => {
                let lines = lines.as_chunks().0;
                product(cpu, x, finish, Some(lines), |i| &lines[i * quads..][..quads]);
            }
            (Form::F16(lines), _) => {
                let lines = lines.as_chunks().0;
                product(cpu, x, finish, None, |i| F16Panel(&lines[i * quads..][..quads]));
            }
            (Form::Bf16(lines), _) => {
                let lines = lines.as_chunks().0;
                product(cpu, x, finish, None, |i| Bf16Panel(&lines[i * quads..][..quads]));
            }
            (Form::Codes(codes), None) => product(cpu, x, finish, None, |i| codes.panel(i)),
        }
    }
}

/// Quads of inputs, of all panels of a set together, that stay in the first cache (24 KiB of its 32 or 48).
const STRETCH: usize = 96;

/// Quads of the panels that a thread keeps converted (512 KiB).
const GROUP_QUADS: usize = 2048;

/// Register tiles in a block of rows, unless threads ask for smaller ones.
const BLOCK_TILES: usize = 10;

/// A number for each product, so that a thread knows whose panels it has converted.
static PRODUCTS: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// The product and the group whose panels [`PANELS`] of this thread holds.
    static CONVERTED: Cell<(u64, usize)> = const { Cell::new((0, 0)) };
}

/// The product with panels in any form; `f32_panels` where they are already f32.
fn product<B: Panel, F: Fn(usize) -> B + Sync>(
    cpu: &Cpu,
    x: Rows<'_>,
    finish: &Finish<'_>,
    f32_panels: Option<&[[Line; QUAD]]>,
    panel: F,
) {
    let quads = x.columns.div_ceil(QUAD);
    let n_panels = finish.outputs.div_ceil(LANES);
    let (tile_rows, tile_panels) = finish.shape;
    let tiles = x.rows.div_ceil(tile_rows);
    let tile_lines = x.columns.div_ceil(LANES) * tile_rows;
    with_buffer(&PACKED_ROWS, tiles * tile_lines, |packed| {
        if tile_lines > 0 {
            let pack = |i: usize, lines: &mut [Line]| pack(x, i * tile_rows, tile_rows, lines);
            if tiles == 1 {
                pack(0, packed)
            } else {
                cpu.for_each_chunk(packed, tile_lines, pack)
            }
        }
        let x = &*packed;
        if tiles == 1 {
            // A few tasks a thread even out its neighbours' noise; each should be worth its claim.
            let sets = n_panels.div_ceil(tile_panels);
            let tasks = sets.min(4 * cpu.threads()).min((n_panels * quads).div_ceil(512));
            cpu.pool().run(tasks.max(1), |i| {
                let of_task = |i| sets * i / tasks.max(1) * tile_panels;
                let panels = of_task(i)..of_task(i + 1).min(n_panels);
                cpu.isa().run(FewRows {
                    x,
                    tile_rows,
                    quads,
                    panels,
                    panel: &panel,
                    finish,
                });
            });
            return;
        }
        let group = (GROUP_QUADS / quads.max(1)).clamp(tile_panels, n_panels.next_multiple_of(tile_panels));
        let groups = n_panels.div_ceil(group);
        let group = n_panels.div_ceil(groups).next_multiple_of(tile_panels);
        let groups = n_panels.div_ceil(group);
        let blocks = tiles
            .div_ceil(BLOCK_TILES)
            .max((4 * cpu.threads()).div_ceil(groups))
            .min(tiles);
        let number = PRODUCTS.fetch_add(1, Ordering::Relaxed);
        cpu.pool().run(groups * blocks, |i| {
            let (i_group, i_block) = (i / blocks, i % blocks);
            let panels = i_group * group..((i_group + 1) * group).min(n_panels);
            let tiles = tiles * i_block / blocks..tiles * (i_block + 1) / blocks;
            let sums = panels.len().next_multiple_of(tile_panels) * tiles.len() * tile_rows;
            let multiply = |b: &[[Line; QUAD]], sums: &mut [Line]| {
                cpu.isa().run(Block {
                    x,
                    tile_lines,
                    quads,
                    tiles: tiles.clone(),
                    panels: panels.clone(),
                    b,
                    sums,
                    finish,
                });
            };
            with_buffer(&TILES, sums, |sums| match f32_panels {
                Some(lines) => multiply(&lines[panels.start * quads..panels.end * quads], sums),
                None => with_buffer(&PANELS, panels.len() * quads * QUAD, |converted| {
                    let converted = converted.as_chunks_mut().0;
                    if CONVERTED.replace((number, i_group)) != (number, i_group) {
                        cpu.isa().run(Convert {
                            panels: panels.clone(),
                            panel: &panel,
                            to: converted,
                            quads,
                        });
                    }
                    multiply(converted, sums);
                }),
            });
        });
    });
}

/// Packs `tile_rows` rows as `[k / 16][row][16]`; rows past the last and columns past `k` are zeros.
fn pack(x: Rows<'_>, first_row: usize, tile_rows: usize, lines: &mut [Line]) {
    for r in 0..tile_rows {
        let row = if first_row + r < x.rows {
            x.row(first_row + r)
        } else {
            &[]
        };
        let (whole, rest) = row.as_chunks::<LANES>();
        let mut column = lines.iter_mut().skip(r).step_by(tile_rows);
        for (from, to) in whole.iter().zip(&mut column) {
            to.0 = *from;
        }
        let mut last = Line::ZERO;
        last.0[..rest.len()].copy_from_slice(rest);
        for to in column {
            *to = last;
            last = Line::ZERO;
        }
    }
}

/// Panels times one tile of rows, decoded in registers.
struct FewRows<'a, F> {
    x: &'a [Line],
    tile_rows: usize,
    quads: usize,
    panels: Range<usize>,
    panel: &'a F,
    finish: &'a Finish<'a>,
}

impl<B: Panel, F: Fn(usize) -> B> Op for FewRows<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        with_shape!(S, self.tile_rows, few_rows::<S, B, F>(s, self));
    }
}

#[inline(always)]
fn few_rows<S: Simd, B: Panel, F: Fn(usize) -> B, const R: usize, const P: usize>(s: S, job: FewRows<'_, F>) {
    let FewRows {
        x,
        quads,
        panels,
        panel,
        finish,
        ..
    } = job;
    let mut tile = [[Line::ZERO; R]; P];
    for first_panel in panels.clone().step_by(P) {
        // Past the last panel the last one is computed again, and dropped.
        let set = std::array::from_fn(|p| panel((first_panel + p).min(panels.end - 1)));
        tile::multiply::<S, B, R, P>(s, x.as_chunks().0, quads, set, &mut tile, true);
        let valid = P.min(panels.end - first_panel);
        s.vectorize(Store::new(finish, tile.as_flattened(), 0, first_panel, valid));
    }
}

/// Widens panels to f32.
struct Convert<'a, F> {
    panels: Range<usize>,
    panel: &'a F,
    to: &'a mut [[Line; QUAD]],
    quads: usize,
}

impl<B: Panel, F: Fn(usize) -> B> Op for Convert<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (i, panel) in self.panels.map(self.panel).enumerate() {
            let runs = self.to[i * self.quads..][..self.quads].chunks_mut(RUN_QUADS);
            for (run, to) in runs.enumerate() {
                let shared = panel.shared(s, run * RUN_QUADS);
                for (quad, lines) in to.iter_mut().enumerate() {
                    s.store(
                        panel.weights::<S, 0>(s, &shared, quad + run * RUN_QUADS),
                        &mut lines[0].0,
                    );
                    s.store(
                        panel.weights::<S, 1>(s, &shared, quad + run * RUN_QUADS),
                        &mut lines[1].0,
                    );
                    s.store(
                        panel.weights::<S, 2>(s, &shared, quad + run * RUN_QUADS),
                        &mut lines[2].0,
                    );
                    s.store(
                        panel.weights::<S, 3>(s, &shared, quad + run * RUN_QUADS),
                        &mut lines[3].0,
                    );
                }
            }
        }
    }
}

/// A block of rows times a group of f32 panels.
struct Block<'a> {
    x: &'a [Line],
    tile_lines: usize,
    quads: usize,
    tiles: Range<usize>,
    panels: Range<usize>,
    b: &'a [[Line; QUAD]],
    /// A register tile for each (set of panels, tile of rows), between two stretches of inputs.
    sums: &'a mut [Line],
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
        x,
        tile_lines,
        quads,
        tiles,
        panels,
        b,
        sums,
        finish,
    } = job;
    let sums = sums.as_chunks_mut::<R>().0.as_chunks_mut::<P>().0;
    let mut start = 0;
    loop {
        let end = (start + STRETCH / P).min(quads);
        for first in (0..panels.len()).step_by(P) {
            // Past the last panel the last one is computed again, and dropped.
            let set = std::array::from_fn(|p| {
                let panel = (first + p).min(panels.len() - 1);
                &b[panel * quads + start..panel * quads + end]
            });
            for (i, tile) in tiles.clone().enumerate() {
                let x = x[tile * tile_lines..][..tile_lines].as_chunks().0;
                let sum = &mut sums[first / P * tiles.len() + i];
                let fresh = start == 0;
                tile::multiply::<S, _, R, P>(s, &x[start * QUAD / LANES..], end - start, set, sum, fresh);
                if end == quads {
                    let (first_panel, panels) = (panels.start + first, P.min(panels.len() - first));
                    s.vectorize(Store::new(finish, sum.as_flattened(), tile * R, first_panel, panels));
                }
            }
        }
        start = end;
        if start == quads {
            break;
        }
    }
}

/// The way of results to memory.
pub(crate) struct Finish<'a> {
    y: SharedMut<'a, f32>,
    rows: usize,
    /// Rows and panels of the register tile.
    shape: (usize, usize),
    outputs: usize,
    bias: Option<&'a [f32]>,
    then: Then,
}

impl Finish<'_> {
    /// Rows and panels of the register tile.
    pub(crate) fn shape(&self) -> (usize, usize) {
        self.shape
    }

    /// Panels of the weights.
    pub(crate) fn panels(&self) -> usize {
        self.outputs.div_ceil(LANES)
    }
}

/// Stores a tile `[panels][tile_rows][16]`, less what lies outside of y.
pub(crate) struct Store<'a> {
    finish: &'a Finish<'a>,
    tile: &'a [Line],
    first_row: usize,
    first_panel: usize,
    panels: usize,
}

impl<'a> Store<'a> {
    /// The first of `panels` panels is `first_panel`, the first row of the tile `first_row`.
    #[inline(always)]
    pub(crate) fn new(
        finish: &'a Finish<'a>,
        tile: &'a [Line],
        first_row: usize,
        first_panel: usize,
        panels: usize,
    ) -> Self {
        Self {
            finish,
            tile,
            first_row,
            first_panel,
            panels,
        }
    }
}

impl Op for Store<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.finish.then {
            Then::Store => self.panels::<S, Stored>(s),
            Then::Gelu => self.panels::<S, ThroughGelu>(s),
            Then::Add => self.panels::<S, Added>(s),
        }
    }
}

impl Store<'_> {
    #[inline(always)]
    fn panels<S: Simd, E: Ending>(&self, s: S) {
        let Finish {
            y,
            rows,
            shape: (tile_rows, _),
            outputs,
            bias: biases,
            ..
        } = self.finish;
        let rows = (*tile_rows).min(rows - self.first_row);
        for (panel, lines) in self.tile.chunks_exact(*tile_rows).take(self.panels).enumerate() {
            let column = (self.first_panel + panel) * LANES;
            let width = LANES.min(outputs - column);
            // Where there is none: what changes no number, not even -0.
            let mut bias = [-0.0; LANES];
            if let Some(biases) = biases {
                match biases[column..].first_chunk() {
                    Some(whole) => bias = *whole,
                    None => bias[..width].copy_from_slice(&biases[column..]),
                }
            }
            let bias = s.load(&bias);
            for (r, line) in lines[..rows].iter().enumerate() {
                let result = s.add(s.load(&line.0), bias);
                // SAFETY: one task computes this tile, and tiles do not overlap in y.
                let y = unsafe { y.slice((self.first_row + r) * outputs + column, width) };
                if let Ok(y) = <&mut [f32; LANES]>::try_from(&mut *y) {
                    E::end(s, result, y);
                } else {
                    let mut whole = [0.0; LANES];
                    whole[..width].copy_from_slice(y);
                    E::end(s, result, &mut whole);
                    y.copy_from_slice(&whole[..width]);
                }
            }
        }
    }
}

/// A [`Then`].
trait Ending {
    fn end<S: Simd>(s: S, result: S::F, y: &mut [f32; LANES]);
}

struct Stored;

impl Ending for Stored {
    #[inline(always)]
    fn end<S: Simd>(s: S, result: S::F, y: &mut [f32; LANES]) {
        s.store(result, y);
    }
}

struct ThroughGelu;

impl Ending for ThroughGelu {
    #[inline(always)]
    fn end<S: Simd>(s: S, result: S::F, y: &mut [f32; LANES]) {
        s.store(gelu_lanes(s, result), y);
    }
}

struct Added;

impl Ending for Added {
    #[inline(always)]
    fn end<S: Simd>(s: S, result: S::F, y: &mut [f32; LANES]) {
        s.store(s.add(s.load(y), result), y);
    }
}

#[cfg(test)]
mod tests;
