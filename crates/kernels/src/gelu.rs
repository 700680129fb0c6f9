//! The activation of the feed-forward layers, in its exact form.

use crate::cpu::Cpu;
use crate::exp::exp;
use crate::isa::{LANES, Op, Simd};

/// `x = x / 2 (1 + erf(x / sqrt 2))`, in place.
///
/// Within 5e-7 of the exact value; exactly 0 or x where that is nearest. An infinite x becomes NaN.
pub fn gelu(cpu: &Cpu, x: &mut [f32]) {
    cpu.for_each_chunk(x, 1 << 14, |_, x| cpu.isa().run(Gelu(x)));
}

struct Gelu<'a>(&'a mut [f32]);

impl Op for Gelu<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (lines, rest) = self.0.as_chunks_mut::<LANES>();
        for line in lines {
            s.store(gelu_lanes(s, s.load(line)), line);
        }
        let mut last = [0.0; LANES];
        last[..rest.len()].copy_from_slice(rest);
        s.store(gelu_lanes(s, s.load(&last)), &mut last);
        rest.copy_from_slice(&last[..rest.len()]);
    }
}

/// `max(x, 0) - |x| / 2 erfc(|x| / sqrt 2)`: written with the complement, nothing cancels where x is negative.
#[inline(always)]
pub(crate) fn gelu_lanes<S: Simd>(s: S, x: S::F) -> S::F {
    let zero = s.splat(0.0);
    let size = s.max(x, s.sub(zero, x));
    let complement = erfc(s, s.mul(size, s.splat(std::f32::consts::FRAC_1_SQRT_2)));
    s.sub(s.max(x, zero), s.mul(s.mul(size, s.splat(0.5)), complement))
}

/// `1 - erf(x)` for `x >= 0`, within 4e-7.
///
/// Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26 (exact to 1.5e-7; the rest is rounding).
#[inline(always)]
fn erfc<S: Simd>(s: S, x: S::F) -> S::F {
    let one = s.splat(1.0);
    let t = s.div(one, s.fma(x, s.splat(0.327_591_1), one));
    let mut p = s.splat(1.061_405_4);
    for c in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        p = s.fma(p, t, s.splat(c));
    }
    let square = s.mul(x, x);
    s.mul(s.mul(p, t), exp(s, s.sub(s.splat(0.0), square)))
}

#[cfg(test)]
mod tests;
