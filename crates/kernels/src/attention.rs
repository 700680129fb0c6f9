//! Scaled dot-product attention.
//!
//! A task is a head and one register tile of queries. Its scores, `[positions / 16][row][16]`, stay in the second cache
//! and are, as the product leaves them, the packed rows of the second product, with the values.

mod quantized;

use quantized::To;

use crate::cpu::{Cpu, SharedMut};
use crate::exp::exp;
use crate::isa::{LANES, Op, Simd};
use crate::key_value::KeyValue;
use crate::scratch::{Line, TILES, with_buffer};
use crate::tile::{self, QUAD, with_shape};

/// Softmax-weighted sums of the values, for every head: `q` and `out` are `[m, heads * head_dim]`.
///
/// Queries are scaled by `head_dim^-0.5`. If `causal`, the queries belong to the last `m` positions: query `i` sees the
/// first `len - m + i + 1`. One query at a time or all at once give the same bits.
///
/// # Panics
/// If the lengths do not fit, no position is taken, or `causal` and there are more queries than positions.
pub fn attention(cpu: &Cpu, q: &[f32], kv: &KeyValue, causal: bool, out: &mut [f32]) {
    assert_eq!(q.len(), out.len(), "numbers of q and out");
    let Some(queries) = Queries::new(cpu, q, kv, causal) else {
        return;
    };
    let out = SharedMut::new(out);
    cpu.pool().run(kv.heads() * queries.tiles(), |i| {
        let (head, tile) = (i / queries.tiles(), i % queries.tiles());
        if let Some(kv) = kv.quantized() {
            return cpu.isa().run(quantized::Attend {
                queries,
                kv,
                head,
                tile,
                to: To::Out(&out),
            });
        }
        with_buffer(&TILES, queries.scratch_lines(), |scratch| {
            cpu.isa().run(Attend {
                queries,
                head,
                tile,
                scratch,
                out: &out,
            });
        });
    });
}

/// The scaled scores of one head before softmax, `[m, len]`; nothing is masked.
///
/// # Panics
/// If the lengths do not fit, no position is taken, or there is no such head.
pub fn attention_scores(cpu: &Cpu, q: &[f32], kv: &KeyValue, head: usize, out: &mut [f32]) {
    assert!(head < kv.heads(), "head {head} of {}", kv.heads());
    let Some(queries) = Queries::new(cpu, q, kv, false) else {
        return;
    };
    assert_eq!(
        out.len(),
        queries.rows * kv.len(),
        "numbers of scores [{}, {}]",
        queries.rows,
        kv.len()
    );
    cpu.for_each_chunk(out, queries.tile_rows * kv.len(), |tile, out| {
        if let Some(kv) = kv.quantized() {
            return cpu.isa().run(quantized::Attend {
                queries,
                kv,
                head,
                tile,
                to: To::Scores(out),
            });
        }
        with_buffer(&TILES, queries.scratch_lines(), |scratch| {
            cpu.isa().run(Score {
                queries,
                head,
                tile,
                scratch,
                out,
            });
        });
    });
}

#[derive(Clone, Copy)]
struct Queries<'a> {
    q: &'a [f32],
    kv: &'a KeyValue,
    causal: bool,
    rows: usize,
    tile_rows: usize,
    tile_panels: usize,
}

impl<'a> Queries<'a> {
    fn new(cpu: &Cpu, q: &'a [f32], kv: &'a KeyValue, causal: bool) -> Option<Self> {
        if q.is_empty() {
            return None;
        }
        let width = kv.width();
        assert!(
            width > 0 && q.len().is_multiple_of(width),
            "{} numbers in queries of {width}",
            q.len()
        );
        let rows = q.len() / width;
        assert!(!kv.is_empty(), "attention over no position");
        assert!(
            !causal || rows <= kv.len(),
            "{rows} causal queries for {} positions",
            kv.len()
        );
        let (tile_rows, tile_panels) = tile::shape(cpu.isa().registers(), rows);
        Some(Self {
            q,
            kv,
            causal,
            rows,
            tile_rows,
            tile_panels,
        })
    }

    fn tiles(&self) -> usize {
        self.rows.div_ceil(self.tile_rows)
    }

    /// Lines for a tile of queries and its scores.
    fn scratch_lines(&self) -> usize {
        let panels = self.kv.len().div_ceil(LANES).next_multiple_of(self.tile_panels);
        (self.kv.head_dim() / LANES + panels) * self.tile_rows
    }

    /// Positions that query `row` sees.
    #[inline(always)]
    fn visible(&self, row: usize) -> usize {
        if self.causal {
            self.kv.len() - self.rows + row + 1
        } else {
            self.kv.len()
        }
    }

    /// Rows of a tile that exist.
    #[inline(always)]
    fn tile_range(&self, tile: usize) -> std::ops::Range<usize> {
        tile * self.tile_rows..((tile + 1) * self.tile_rows).min(self.rows)
    }

    /// The scores of a tile of queries with the positions its last row sees, `[positions / 16][R][16]`.
    #[inline(always)]
    fn scores<'s, S: Simd, const R: usize, const P: usize>(
        &self,
        s: S,
        head: usize,
        tile: usize,
        scratch: &'s mut [Line],
    ) -> &'s mut [[Line; R]] {
        let head_dim = self.kv.head_dim();
        let (q, scores) = scratch.as_chunks_mut::<R>().0.split_at_mut(head_dim / LANES);
        let rows = self.tile_range(tile);
        let scale = s.splat(1.0 / (head_dim as f32).sqrt());
        for r in 0..R {
            let row = rows.start + r;
            let of_head = row * self.kv.width() + head * head_dim;
            let from = if row < rows.end {
                &self.q[of_head..of_head + head_dim]
            } else {
                &[]
            };
            for (i, line) in q.iter_mut().enumerate() {
                let lanes = from.as_chunks::<LANES>().0.get(i).unwrap_or(&[0.0; LANES]);
                s.store(s.mul(s.load(lanes), scale), &mut line[r].0);
            }
        }
        let panels = self.visible(rows.end - 1).div_ceil(LANES);
        for (i, tile) in scores
            .as_chunks_mut::<P>()
            .0
            .iter_mut()
            .take(panels.div_ceil(P))
            .enumerate()
        {
            // Past the last panel the last one is computed again, and not looked at.
            let keys = std::array::from_fn(|p| self.kv.key_panel(head, (i * P + p).min(panels - 1)));
            tile::multiply::<S, _, R, P>(s, q, head_dim / QUAD, keys, tile, true);
        }
        &mut scores[..panels]
    }
}

struct Attend<'a> {
    queries: Queries<'a>,
    head: usize,
    tile: usize,
    scratch: &'a mut [Line],
    out: &'a SharedMut<'a, f32>,
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
    let Attend {
        queries,
        head,
        tile,
        scratch,
        out,
    } = job;
    let kv = queries.kv;
    let rows = queries.tile_range(tile);
    let scores = queries.scores::<S, R, P>(s, head, tile, scratch);

    let mut scales = [0.0; R];
    for (r, row) in rows.clone().enumerate() {
        mask(scores, r, queries.visible(row));
        scales[r] = 1.0 / exponentials(s, scores, r);
    }

    let quads = queries.visible(rows.end - 1).div_ceil(QUAD);
    let panels = kv.head_dim() / LANES;
    let mut sums = [[Line::ZERO; R]; P];
    for first in (0..panels).step_by(P) {
        let values = std::array::from_fn(|p| kv.value_panel(head, (first + p).min(panels - 1), quads));
        tile::multiply::<S, _, R, P>(s, scores, quads, values, &mut sums, true);
        for p in 0..P.min(panels - first) {
            for (r, row) in rows.clone().enumerate() {
                let column = head * kv.head_dim() + (first + p) * LANES;
                // SAFETY: each task owns its rows of its head.
                let out = unsafe { out.slice(row * kv.width() + column, LANES) };
                let sum = s.mul(s.load(&sums[p][r].0), s.splat(scales[r]));
                if let Ok(out) = out.try_into() {
                    // Masked positions may have turned -0 into 0; adding 0 leaves no -0.
                    s.store(s.add(sum, s.splat(0.0)), out);
                }
            }
        }
    }
}

/// A score past the `visible` ones becomes a weight of exactly 0.
#[inline(always)]
fn mask<const R: usize>(scores: &mut [[Line; R]], r: usize, visible: usize) {
    for hidden in visible..scores.len() * LANES {
        scores[hidden / LANES][r].0[hidden % LANES] = f32::NEG_INFINITY;
    }
}

/// Replaces the scores of row `r` by `e^(score - greatest)` and returns their sum.
#[inline(always)]
fn exponentials<S: Simd, const R: usize>(s: S, scores: &mut [[Line; R]], r: usize) -> f32 {
    let mut greatest = s.splat(f32::NEG_INFINITY);
    for line in &*scores {
        greatest = s.max(s.load(&line[r].0), greatest);
    }
    let greatest = s.splat(s.greatest(greatest));
    let mut sum = s.splat(0.0);
    for line in scores {
        let e = exp(s, s.sub(s.load(&line[r].0), greatest));
        sum = s.add(sum, e);
        s.store(e, &mut line[r].0);
    }
    s.sum(sum)
}

struct Score<'a> {
    queries: Queries<'a>,
    head: usize,
    tile: usize,
    scratch: &'a mut [Line],
    out: &'a mut [f32],
}

impl Op for Score<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        with_shape!(S, self.queries.tile_rows, score::<S>(s, self));
    }
}

#[inline(always)]
fn score<S: Simd, const R: usize, const P: usize>(s: S, job: Score<'_>) {
    let scores = job.queries.scores::<S, R, P>(s, job.head, job.tile, job.scratch);
    for (r, row) in job.out.chunks_exact_mut(job.queries.kv.len()).enumerate() {
        for (to, line) in row.chunks_mut(LANES).zip(&*scores) {
            to.copy_from_slice(&line[r].0[..to.len()]);
        }
    }
}

#[cfg(test)]
mod tests;
