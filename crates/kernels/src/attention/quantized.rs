//! Attention over quantized keys and values: two integer products, a float softmax between them.
//!
//! The exponentials of a row are quantized for each group of positions, by the greatest of the group: what the softmax
//! divides by is the sum of what was kept, so weights add up to 1.

use super::{Queries, mask};
use crate::codes::{CodeLine, RUN, RUN_QUADS};
use crate::cpu::SharedMut;
use crate::exp::exp;
use crate::integer::{Factor, RowRun, multiply, quantize_group};
use crate::isa::{LANES, Op, Simd};
use crate::key_value::{GROUP, MOST_HEAD_DIM, Quantized};
use crate::scratch::{Line, ROW_BYTES, ROW_FACTORS, TILES, with_buffer};
use crate::tile::with_shape;
use crate::weights::CodePanel;

/// One head of one tile of queries; `out` for attention, or `scores` alone.
pub(super) struct Attend<'a> {
    pub(super) queries: Queries<'a>,
    pub(super) kv: &'a Quantized,
    pub(super) head: usize,
    pub(super) tile: usize,
    pub(super) to: To<'a>,
}

/// Lines of a group of positions.
const GROUP_LINES: usize = GROUP / LANES;

/// What is wanted.
pub(super) enum To<'a> {
    /// Mixed values, `[m, heads * head_dim]`.
    Out(&'a SharedMut<'a, f32>),
    /// Scores of the tile's rows, `[rows, len]`.
    Scores(&'a mut [f32]),
}

impl Op for Attend<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        with_shape!(S, self.queries.tile_rows, attend::<S>(s, self));
    }
}

#[inline(always)]
fn attend<S: Simd, const R: usize, const P: usize>(s: S, job: Attend<'_>) {
    let panels = job.kv.groups() * GROUP / LANES;
    let scratch = panels.next_multiple_of(P).max(P) * R;
    // No closure holds vectors: the buffers are lent for the whole.
    with_buffer(&TILES, scratch, |tiles| {
        with_buffer(&ROW_BYTES, job.kv.groups() * GROUP / RUN * R, |bytes| {
            with_buffer(&ROW_FACTORS, job.kv.groups() * R, |factors| {
                s.vectorize(Work::<R, P> {
                    job,
                    tiles,
                    bytes: bytes.as_chunks_mut().0,
                    factors: factors.as_chunks_mut().0,
                });
            });
        });
    });
}

struct Work<'a, const R: usize, const P: usize> {
    job: Attend<'a>,
    /// Scores `[position / 16][row]`, then tiles of the result.
    tiles: &'a mut [Line],
    /// A tile of queries, then of weights.
    bytes: &'a mut [[RowRun; R]],
    factors: &'a mut [[Factor; R]],
}

impl<const R: usize, const P: usize> Op for Work<'_, R, P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self {
            job,
            tiles,
            bytes,
            factors,
        } = self;
        let Attend {
            queries,
            kv,
            head,
            tile,
            to,
        } = job;
        let head_dim = queries.kv.head_dim();
        let width = queries.kv.width();
        let rows = queries.tile_range(tile);

        let q_runs = head_dim / RUN;
        let queries_to = (&mut bytes[..q_runs], &mut factors[0]);
        match head_dim / LANES {
            4 => quantize_queries::<S, R, 4>(s, &queries, head, tile, queries_to),
            _ => quantize_queries::<S, R, { MOST_HEAD_DIM / LANES }>(s, &queries, head, tile, queries_to),
        }

        let n_panels = queries.visible(rows.end - 1).div_ceil(LANES);
        for first in (0..n_panels).step_by(P) {
            let (panels, lines) = set_of(n_panels, first, |panel| kv.key_panel(head, panel));
            multiply::<S, R, P>(
                s,
                &bytes[..q_runs],
                &factors[..1],
                lines,
                &panels,
                &mut tiles[first * R..][..P * R],
            );
        }
        let groups = n_panels.div_ceil(GROUP_LINES);
        let scores = &mut tiles.as_chunks_mut::<R>().0[..groups * GROUP_LINES];
        let out = match to {
            To::Out(out) => out,
            To::Scores(out) => {
                for (r, row) in out.chunks_exact_mut(queries.kv.len()).enumerate() {
                    for (to, line) in row.chunks_mut(LANES).zip(&*scores) {
                        to.copy_from_slice(&line[r].0[..to.len()]);
                    }
                }
                return;
            }
        };

        for (r, row) in rows.clone().enumerate() {
            mask(scores, r, queries.visible(row));
        }
        let scales = weigh(s, scores, bytes, factors);

        let n_panels = head_dim / LANES;
        for first in (0..n_panels).step_by(P) {
            let (panels, lines) = set_of(n_panels, first, |panel| kv.value_panel(head, panel));
            let sums = &mut tiles[..P * R];
            multiply::<S, R, P>(
                s,
                &bytes[..groups * GROUP / RUN],
                &factors[..groups],
                lines,
                &panels,
                sums,
            );
            for p in 0..P.min(n_panels - first) {
                for (r, row) in rows.clone().enumerate() {
                    let column = head * head_dim + (first + p) * LANES;
                    // SAFETY: each task owns its rows of its head.
                    let out = unsafe { out.slice(row * width + column, LANES) };
                    if let Ok(out) = out.try_into() {
                        s.store(s.mul(s.load(&sums[p * R + r].0), s.splat(scales[r])), out);
                    }
                }
            }
        }
    }
}

/// `P` panels from the `first` one on, and their codes. Past the last of `n` it is computed again, and not looked at.
///
/// A loop: `array::from_fn` is a call for each.
#[inline(always)]
fn set_of<'a, const P: usize>(
    n: usize,
    first: usize,
    panel: impl Fn(usize) -> CodePanel<'a>,
) -> ([CodePanel<'a>; P], [&'a [[CodeLine; RUN_QUADS]]; P]) {
    let mut panels = [panel(first); P];
    let mut lines = [panels[0].lines.as_chunks().0; P];
    for p in 1..P {
        panels[p] = panel((first + p).min(n - 1));
        lines[p] = panels[p].lines.as_chunks().0;
    }
    (panels, lines)
}

/// Queries of a head to whole numbers, at most `L` lines each.
#[inline(always)]
fn quantize_queries<S: Simd, const R: usize, const L: usize>(
    s: S,
    queries: &Queries<'_>,
    head: usize,
    tile: usize,
    (bytes, factors): (&mut [[RowRun; R]], &mut [Factor; R]),
) {
    let head_dim = queries.kv.head_dim();
    let rows = queries.tile_range(tile);
    let mut lines = [[&[0.0; LANES]; L]; R];
    for (row, lines) in rows.zip(&mut lines) {
        let of_head = &queries.q[row * queries.kv.width() + head * head_dim..][..head_dim];
        for (to, line) in lines.iter_mut().zip(of_head.as_chunks().0) {
            *to = line;
        }
    }
    quantize_group(s, &lines, bytes, factors);
    let scale = 1.0 / (head_dim as f32).sqrt();
    for factor in factors {
        *factor = factor.scaled(scale);
    }
}

/// Scores to weights: their exponentials, in whole numbers. What makes the weights of each row add up to 1.
#[inline(always)]
fn weigh<S: Simd, const R: usize>(
    s: S,
    scores: &mut [[Line; R]],
    bytes: &mut [[RowRun; R]],
    factors: &mut [[Factor; R]],
) -> [f32; R] {
    let mut greatest = [s.splat(f32::NEG_INFINITY); R];
    for line in &*scores {
        for r in 0..R {
            greatest[r] = s.max(s.load(&line[r].0), greatest[r]);
        }
    }
    let mut greatest_of = Line::ZERO;
    s.store(s.greatest_of_each(greatest), &mut greatest_of.0);

    let mut sums = [0.0; R];
    let groups = scores.as_chunks_mut::<GROUP_LINES>().0.iter_mut();
    let groups = groups.zip(bytes.as_chunks_mut::<{ GROUP / RUN }>().0).zip(factors);
    for ((scores, bytes), factors) in groups {
        for r in 0..R {
            let greatest = s.broadcast(&greatest_of.0[r]);
            for line in &mut *scores {
                let e = exp(s, s.sub(s.load(&line[r].0), greatest));
                s.store(e, &mut line[r].0);
            }
        }
        let mut lines = [[&scores[0][0].0; GROUP_LINES]; R];
        for r in 0..R {
            for i in 0..GROUP_LINES {
                lines[r][i] = &scores[i][r].0;
            }
        }
        quantize_group(s, &lines, bytes, factors);
        for r in 0..R {
            sums[r] += factors[r].total();
        }
    }
    let mut scales = [0.0; R];
    for r in 0..R {
        scales[r] = 1.0 / sums[r];
    }
    scales
}
