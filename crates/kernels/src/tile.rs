//! The register tile: the one inner loop of every product.
//!
//! A tile is `R` rows times `P` panels of 16 outputs, all of it in registers. Step `k` loads (or decodes) one vector of
//! each panel and, for each row, multiplies it by the number `x[k]` in all lanes. So every output is one chain
//! `acc = fma(x[k], w[k], acc)` over ascending `k`: the same bits whatever the tile's size, the number of rows, or the
//! thread that computes it.
//!
//! Rows come packed, `[k / 16][R][16]`: a tile reads one contiguous stream, whatever the stride of the matrix (4 KiB
//! apart, twelve rows would fight for eight ways of the first cache). The result is laid out as `[P][R][16]`, which is a
//! packed operand again: attention multiplies its scores by the values without touching them.

use crate::codes::{RUN_QUADS, unpack};
use crate::isa::{LANES, Simd};
use crate::scratch::Line;
use crate::weights::{CodePanel, HalfLine};

/// Panels are filled up with zeros to a multiple of this many inputs: the inner loop has no remainder.
pub(crate) const QUAD: usize = 4;

/// Rows of the greatest tile.
pub(crate) const TILE_ROWS: usize = 6;

/// One panel, read as vectors of 16 outputs.
pub(crate) trait Panel: Copy {
    /// What the weights of a run of eight quads share.
    type Shared<S: Simd>: Copy;

    /// Quads of inputs it holds.
    fn quads(self) -> usize;

    fn shared<S: Simd>(self, s: S, quad: usize) -> Self::Shared<S>;

    /// The weights of input `4 * quad + J`.
    fn weights<S: Simd, const J: usize>(self, s: S, shared: &Self::Shared<S>, quad: usize) -> S::F;
}

/// f32, `[k][16]`.
impl Panel for &[[Line; QUAD]] {
    type Shared<S: Simd> = ();

    #[inline(always)]
    fn quads(self) -> usize {
        self.len()
    }

    #[inline(always)]
    fn shared<S: Simd>(self, _: S, _: usize) {}

    #[inline(always)]
    fn weights<S: Simd, const J: usize>(self, s: S, (): &(), quad: usize) -> S::F {
        s.load(&self[quad][J].0)
    }
}

/// IEEE half precision, `[k][16]`.
#[derive(Clone, Copy)]
pub(crate) struct F16Panel<'a>(pub(crate) &'a [[HalfLine; QUAD]]);

impl Panel for F16Panel<'_> {
    type Shared<S: Simd> = ();

    #[inline(always)]
    fn quads(self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn shared<S: Simd>(self, _: S, _: usize) {}

    #[inline(always)]
    fn weights<S: Simd, const J: usize>(self, s: S, (): &(), quad: usize) -> S::F {
        s.load_f16(&self.0[quad][J].0)
    }
}

/// bfloat16, `[k][16]`.
#[derive(Clone, Copy)]
pub(crate) struct Bf16Panel<'a>(pub(crate) &'a [[HalfLine; QUAD]]);

impl Panel for Bf16Panel<'_> {
    type Shared<S: Simd> = ();

    #[inline(always)]
    fn quads(self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn shared<S: Simd>(self, _: S, _: usize) {}

    #[inline(always)]
    fn weights<S: Simd, const J: usize>(self, s: S, (): &(), quad: usize) -> S::F {
        s.load_bf16(&self.0[quad][J].0)
    }
}

/// Codes, with a scale and a bias for each group.
impl Panel for CodePanel<'_> {
    /// The codes of a run, scale and bias.
    type Shared<S: Simd> = ([S::Codes; RUN_QUADS], S::F, S::F);

    #[inline(always)]
    fn quads(self) -> usize {
        self.lines.len() / self.bits * RUN_QUADS
    }

    #[inline(always)]
    fn shared<S: Simd>(self, s: S, quad: usize) -> Self::Shared<S> {
        let run = quad / RUN_QUADS;
        let group = run / self.group_runs;
        let codes = unpack(s, &self.lines[run * self.bits..][..self.bits]);
        (codes, s.load(&self.scales[group].0), s.load(&self.biases[group].0))
    }

    #[inline(always)]
    fn weights<S: Simd, const J: usize>(self, s: S, (codes, scale, bias): &Self::Shared<S>, quad: usize) -> S::F {
        s.fma(s.code::<J>(codes[quad % RUN_QUADS]), *scale, *bias)
    }
}

/// `tile[p][r] (+)= x[r] . panels[p]` over `quads` quads of inputs; adds to what `tile` holds unless `fresh`.
///
/// # Panics
/// If a panel has fewer quads, or `x` has.
#[inline(always)]
pub(crate) fn multiply<S: Simd, B: Panel, const R: usize, const P: usize>(
    s: S,
    x: &[[Line; R]],
    quads: usize,
    panels: [B; P],
    tile: &mut [[Line; R]; P],
    fresh: bool,
) {
    assert!(x.len() >= quads.div_ceil(LANES / QUAD));
    let mut acc = [[s.splat(0.0); R]; P];
    for p in 0..P {
        assert!(panels[p].quads() >= quads);
        if !fresh {
            for r in 0..R {
                acc[p][r] = s.load(&tile[p][r].0);
            }
        }
    }
    for run in (0..quads).step_by(RUN_QUADS) {
        let mut shared = [panels[0].shared(s, run); P];
        for p in 1..P {
            shared[p] = panels[p].shared(s, run);
        }
        for quad in run..(run + RUN_QUADS).min(quads) {
            let rows = &x[quad / (LANES / QUAD)];
            let column = quad % (LANES / QUAD) * QUAD;
            step::<S, B, R, P, 0>(s, rows, column, quad, &panels, &shared, &mut acc);
            step::<S, B, R, P, 1>(s, rows, column, quad, &panels, &shared, &mut acc);
            step::<S, B, R, P, 2>(s, rows, column, quad, &panels, &shared, &mut acc);
            step::<S, B, R, P, 3>(s, rows, column, quad, &panels, &shared, &mut acc);
        }
    }
    for p in 0..P {
        for r in 0..R {
            s.store(acc[p][r], &mut tile[p][r].0);
        }
    }
}

/// One input of all rows and panels.
#[inline(always)]
fn step<S: Simd, B: Panel, const R: usize, const P: usize, const J: usize>(
    s: S,
    rows: &[Line; R],
    column: usize,
    quad: usize,
    panels: &[B; P],
    shared: &[B::Shared<S>; P],
    acc: &mut [[S::F; R]; P],
) {
    let mut w = [s.splat(0.0); P];
    for p in 0..P {
        w[p] = panels[p].weights::<S, J>(s, &shared[p], quad);
    }
    for r in 0..R {
        let x = s.broadcast(&rows[r].0[column + J]);
        for p in 0..P {
            acc[p][r] = s.fma(x, w[p], acc[p][r]);
        }
    }
}

/// Rows and panels of the register tile for `rows` rows, on an instruction set of `registers` vectors.
///
/// Few rows take more panels at once: a chain of multiply-adds waits for itself, so several must run side by side. Of the
/// tiles that fill 32 registers this one loads least: 6 numbers and 4 vectors for 24 multiply-adds (12 rows by 2 panels need
/// 14 loads, and reach 71 % of the peak of integer dots on an Ice Lake where this one reaches 93).
pub(crate) fn shape(registers: usize, rows: usize) -> (usize, usize) {
    match (registers >= 32, rows) {
        (_, 0..=1) => (1, 4),
        (true, 2..=4) => (4, 4),
        (true, _) => (TILE_ROWS, 4),
        (false, 2..=3) => (3, 1),
        (false, _) => (TILE_ROWS, 1),
    }
}

/// Calls `$f::<.., R, P>($args)` with the constants of [`shape`] whose `R` is `$rows`.
macro_rules! with_shape {
    ($simd:ident, $rows:expr, $f:ident::<$($generic:ty),*>($($arg:expr),*)) => {
        if $simd::REGISTERS >= 32 {
            match $rows {
                1 => $f::<$($generic,)* 1, 4>($($arg),*),
                4 => $f::<$($generic,)* 4, 4>($($arg),*),
                _ => $f::<$($generic,)* { crate::tile::TILE_ROWS }, 4>($($arg),*),
            }
        } else {
            match $rows {
                1 => $f::<$($generic,)* 1, 4>($($arg),*),
                3 => $f::<$($generic,)* 3, 1>($($arg),*),
                _ => $f::<$($generic,)* { crate::tile::TILE_ROWS }, 1>($($arg),*),
            }
        }
    };
}
pub(crate) use with_shape;
