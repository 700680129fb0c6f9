//! The activation of the feed-forward layers, in its exact form.

use crate::cpu::Cpu;
use crate::exp::exp2;
use crate::isa::{LANES, Op, Simd};

/// `x = x / 2 (1 + erf(x / sqrt 2))`, in place.
///
/// Within 1e-7 of the exact value, or a unit in its last place; exactly 0 or x where that is nearest. An infinite x becomes NaN.
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

/// `max(x, 0) - |x| Q(|x|)`, where `Q` is the tail of the normal distribution: nothing cancels where x is negative.
#[inline(always)]
pub(crate) fn gelu_lanes<S: Simd>(s: S, x: S::F) -> S::F {
    let zero = s.splat(0.0);
    let size = s.abs(x);
    s.sub(s.max(x, zero), s.mul(size, normal_tail(s, size)))
}

/// `Q(x) = (1 - erf(x / sqrt 2)) / 2` for `x >= 0`, so that `x Q(x)` is within 5e-8.
///
/// `log2 Q` is a smooth curve, close to a parabola. The polynomial is the minimax one for the error of `x Q(x)` from 0 to 5.6
/// (7e-9; the rest is rounding); beyond it falls, as `Q` does, and there is no division.
#[inline(always)]
fn normal_tail<S: Simd>(s: S, x: S::F) -> S::F {
    let mut log = s.splat(-1.690_401_3e-6);
    for c in [
        2.508_330_4e-5,
        -1.144_626_7e-4,
        -3.233_421_3e-4,
        7.333_384e-3,
        -5.271_42e-2,
        -0.459_115_45,
        -1.151_123_3,
        -0.999_998_87,
    ] {
        log = s.fma(log, x, s.splat(c));
    }
    exp2(s, log)
}

#[cfg(test)]
mod tests;
