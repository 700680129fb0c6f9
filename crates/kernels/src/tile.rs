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

use crate::isa::{LANES, Simd};
use crate::scratch::Line;
use crate::weights::{CodeLine, HalfLine};

/// One panel, read as vectors of 16 outputs.
pub(crate) trait Panel: Copy {
    /// Inputs it holds.
    fn steps(self) -> usize;

    /// The weights of input `4 * quad + J`.
    fn weights<S: Simd, const J: usize>(self, s: S, quad: usize) -> S::F;
}

/// f32, `[k][16]`.
impl Panel for &[Line] {
    #[inline(always)]
    fn steps(self) -> usize {
        self.len()
    }

    #[inline(always)]
    fn weights<S: Simd, const J: usize>(self, s: S, quad: usize) -> S::F {
        s.load(&self[4 * quad + J].0)
    }
}

/// IEEE half precision, `[k][16]`.
#[derive(Clone, Copy)]
pub(crate) struct F16Panel<'a>(pub(crate) &'a [HalfLine]);

impl Panel for F16Panel<'_> {
    #[inline(always)]
    fn steps(self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn weights<S: Simd, const J: usize>(self, s: S, quad: usize) -> S::F {
        s.load_f16(&self.0[4 * quad + J].0)
    }
}

/// bfloat16, `[k][16]`.
#[derive(Clone, Copy)]
pub(crate) struct Bf16Panel<'a>(pub(crate) &'a [HalfLine]);

impl Panel for Bf16Panel<'_> {
    #[inline(always)]
    fn steps(self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn weights<S: Simd, const J: usize>(self, s: S, quad: usize) -> S::F {
        s.load_bf16(&self.0[4 * quad + J].0)
    }
}

/// Codes `[k / 4][16][4]`, scales and biases `[k / group][16]`.
#[derive(Clone, Copy)]
pub(crate) struct CodePanel<'a> {
    pub(crate) codes: &'a [CodeLine],
    pub(crate) scales: &'a [Line],
    pub(crate) biases: &'a [Line],
    pub(crate) group_shift: u32,
}

impl Panel for CodePanel<'_> {
    #[inline(always)]
    fn steps(self) -> usize {
        4 * self.codes.len()
    }

    #[inline(always)]
    fn weights<S: Simd, const J: usize>(self, s: S, quad: usize) -> S::F {
        let group = quad >> self.group_shift;
        let codes = s.load_codes(&self.codes[quad].0);
        s.fma(
            s.code::<J>(codes),
            s.load(&self.scales[group].0),
            s.load(&self.biases[group].0),
        )
    }
}

/// `tile[p][r] (+)= x[r] . panels[p]`; adds to what `tile` holds unless `fresh`.
///
/// # Panics
/// If a panel has another number of steps than `steps`, or `x` has fewer.
#[inline(always)]
pub(crate) fn multiply<S: Simd, B: Panel, const R: usize, const P: usize>(
    s: S,
    x: &[[Line; R]],
    steps: usize,
    panels: [B; P],
    tile: &mut [[Line; R]; P],
    fresh: bool,
) {
    assert!(x.len() >= steps.div_ceil(LANES));
    let mut acc = [[s.splat(0.0); R]; P];
    for p in 0..P {
        assert!(panels[p].steps() == steps);
        if !fresh {
            for r in 0..R {
                acc[p][r] = s.load(&tile[p][r].0);
            }
        }
    }
    let quads = steps / 4;
    for quad in 0..quads {
        let rows = &x[quad / 4];
        let column = quad % 4 * 4;
        step::<S, B, R, P, 0>(s, rows, column, quad, &panels, &mut acc);
        step::<S, B, R, P, 1>(s, rows, column, quad, &panels, &mut acc);
        step::<S, B, R, P, 2>(s, rows, column, quad, &panels, &mut acc);
        step::<S, B, R, P, 3>(s, rows, column, quad, &panels, &mut acc);
    }
    if steps % 4 > 0 {
        let rows = &x[quads / 4];
        let column = quads % 4 * 4;
        step::<S, B, R, P, 0>(s, rows, column, quads, &panels, &mut acc);
        if steps % 4 > 1 {
            step::<S, B, R, P, 1>(s, rows, column, quads, &panels, &mut acc);
        }
        if steps % 4 > 2 {
            step::<S, B, R, P, 2>(s, rows, column, quads, &panels, &mut acc);
        }
    }
    for p in 0..P {
        for r in 0..R {
            s.store(acc[p][r], &mut tile[p][r].0);
        }
    }
}

#[inline(always)]
fn step<S: Simd, B: Panel, const R: usize, const P: usize, const J: usize>(
    s: S,
    rows: &[Line; R],
    column: usize,
    quad: usize,
    panels: &[B; P],
    acc: &mut [[S::F; R]; P],
) {
    let mut w = [s.splat(0.0); P];
    for p in 0..P {
        w[p] = panels[p].weights::<S, J>(s, quad);
    }
    for r in 0..R {
        let x = s.splat(rows[r].0[column + J]);
        for p in 0..P {
            acc[p][r] = s.fma(x, w[p], acc[p][r]);
        }
    }
}

/// Rows and panels of the register tile for `rows` rows, on an instruction set of `registers` vectors.
///
/// Few rows take more panels at once: a chain of multiply-adds waits for itself, so several must run side by side.
pub(crate) fn shape(registers: usize, rows: usize) -> (usize, usize) {
    match (registers >= 32, rows) {
        (true, 0..=1) => (1, 4),
        (true, 2) => (2, 4),
        (true, 3..=4) => (4, 4),
        (true, 5..=8) => (8, 2),
        (true, _) => (12, 2),
        (false, 0..=1) => (1, 4),
        (false, 2) => (2, 2),
        (false, 3..=4) => (4, 1),
        (false, _) => (6, 1),
    }
}

/// Calls `$f::<.., R, P>($args)` with the constants of [`shape`] whose `R` is `$rows`.
macro_rules! with_shape {
    ($simd:ident, $rows:expr, $f:ident::<$($generic:ty),*>($($arg:expr),*)) => {
        if $simd::REGISTERS >= 32 {
            match $rows {
                1 => $f::<$($generic,)* 1, 4>($($arg),*),
                2 => $f::<$($generic,)* 2, 4>($($arg),*),
                4 => $f::<$($generic,)* 4, 4>($($arg),*),
                8 => $f::<$($generic,)* 8, 2>($($arg),*),
                _ => $f::<$($generic,)* 12, 2>($($arg),*),
            }
        } else {
            match $rows {
                1 => $f::<$($generic,)* 1, 4>($($arg),*),
                2 => $f::<$($generic,)* 2, 2>($($arg),*),
                4 => $f::<$($generic,)* 4, 1>($($arg),*),
                _ => $f::<$($generic,)* 6, 1>($($arg),*),
            }
        }
    };
}
pub(crate) use with_shape;
