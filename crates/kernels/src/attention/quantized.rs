//! Attention over quantized keys and values: two integer products, a float softmax between them.
//!
//! The exponentials of a row are quantized for each group of positions, by the greatest of the group: what the softmax
//! divides by is the sum of what was kept, so weights add up to 1.

use std::array;

use super::{Queries, exponentials, mask};
use crate::codes::RUN;
use crate::cpu::SharedMut;
use crate::integer::{Factor, RowRun, multiply, quantize_group};
use crate::isa::{LANES, Op, Simd};
use crate::key_value::{GROUP, Quantized};
use crate::scratch::{Line, ROW_BYTES, ROW_FACTORS, TILES, with_buffer};
use crate::tile::with_shape;

/// One head of one tile of queries; `out` for attention, or `scores` alone.
pub(super) struct Attend<'a> {
    pub(super) queries: Queries<'a>,
    pub(super) kv: &'a Quantized,
    pub(super) head: usize,
    pub(super) tile: usize,
    pub(super) to: To<'a>,
}

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
        let scale = 1.0 / (head_dim as f32).sqrt();
        for r in 0..R {
            let row = rows.start + r;
            let of_head = row * width + head * head_dim;
            let q = if row < rows.end {
                &queries.q[of_head..of_head + head_dim]
            } else {
                &[]
            };
            factors[0][r] = quantize_group(s, q, bytes.iter_mut().map(|run| &mut run[r]).take(q_runs)).scaled(scale);
        }

        let n_panels = queries.visible(rows.end - 1).div_ceil(LANES);
        for first in (0..n_panels).step_by(P) {
            // Past the last panel the last one is computed again, and not looked at.
            let panels: [_; P] = array::from_fn(|p| kv.key_panel(head, (first + p).min(n_panels - 1)));
            let lines = array::from_fn(|p| panels[p].lines.as_chunks().0);
            multiply::<S, R, P>(
                s,
                &bytes[..q_runs],
                &factors[..1],
                lines,
                &panels,
                &mut tiles[first * R..][..P * R],
            );
        }
        let scores = &mut tiles.as_chunks_mut::<R>().0[..n_panels];
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

        let groups = n_panels.div_ceil(GROUP / LANES);
        let mut scales = [0.0; R];
        for (r, row) in rows.clone().enumerate() {
            mask(scores, r, queries.visible(row));
            exponentials(s, scores, r);
            let mut sum = 0.0;
            for group in 0..groups {
                let mut weights = [0.0; GROUP];
                let lines = scores[group * GROUP / LANES..].iter().take(GROUP / LANES);
                for (to, line) in weights.as_chunks_mut::<LANES>().0.iter_mut().zip(lines) {
                    *to = line[r].0;
                }
                let runs = bytes[group * GROUP / RUN..].iter_mut().map(|run| &mut run[r]);
                let factor = quantize_group(s, &weights, runs.take(GROUP / RUN));
                sum += factor.total();
                factors[group][r] = factor;
            }
            scales[r] = 1.0 / sum;
        }

        let n_panels = head_dim / LANES;
        for first in (0..n_panels).step_by(P) {
            let panels: [_; P] = array::from_fn(|p| kv.value_panel(head, (first + p).min(n_panels - 1)));
            let lines = array::from_fn(|p| panels[p].lines.as_chunks().0);
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
