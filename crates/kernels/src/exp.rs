//! The exponentials of vectors.

use crate::isa::Simd;

/// `e^x` for `x <= 0`, within 2 units in the last place; 0 below -87.33 (where floats end to be normal), NaN for NaN.
///
/// `x = n ln 2 + r` with whole `n` and `|r| <= ln 2 / 2`; `e^r` is a polynomial, `2^n` is put into the exponent.
/// Source of the polynomial and of the two parts of ln 2: Cephes, `expf.c` (Moshier).
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    // At this size floats are whole numbers, so adding it rounds, and the last bits of the sum are n + 127: the biased
    // exponent of 2^n.
    let magic = s.splat(12_582_912.0 + 127.0);
    let shifted = s.fma(x, s.splat(std::f32::consts::LOG2_E), magic);
    let n = s.sub(shifted, magic);
    // ln 2 = 355/512 - 2.12194440e-4; the first part times n is exact.
    let r = s.fma(n, s.splat(-355.0 / 512.0), x);
    let r = s.fma(n, s.splat(2.121_944_4e-4), r);
    let mut p = s.splat(1.987_569_1e-4); // ~ 1/7!
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
        p = s.fma(p, r, s.splat(c)); // ~ 1/6! .. 1/2!
    }
    let e = s.add(s.fma(s.mul(r, r), p, r), s.splat(1.0));
    s.if_less(x, s.splat(-87.33), s.splat(0.0), s.mul(e, s.shift_to_exponent(shifted)))
}

/// `2^x` for `x <= 0`, within 2 units in the last place; 0 below -126 (where floats end to be normal), NaN for NaN.
///
/// As [`exp`], but nothing is lost where `n` is taken away. The polynomial is the minimax one for the relative error (2e-9).
#[inline(always)]
pub(crate) fn exp2<S: Simd>(s: S, x: S::F) -> S::F {
    let magic = s.splat(12_582_912.0 + 127.0);
    let shifted = s.add(x, magic);
    let r = s.sub(x, s.sub(shifted, magic));
    let mut e = s.splat(1.534_581_2e-4); // ~ (ln 2)^6 / 6!
    for c in [
        1.339_993_1e-3,
        9.618_489e-3,
        5.550_328_6e-2,
        0.240_226_46,
        std::f32::consts::LN_2,
        1.0,
    ] {
        e = s.fma(e, r, s.splat(c)); // ~ (ln 2)^5 / 5! .. ln 2, 1
    }
    s.if_less(x, s.splat(-126.0), s.splat(0.0), s.mul(e, s.shift_to_exponent(shifted)))
}

#[cfg(test)]
mod tests;
