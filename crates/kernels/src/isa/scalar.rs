//! Plain Rust: the readable reference for the others, and what runs where nothing else does.
//!
//! A product and a sum are rounded separately: `f32::mul_add` would call libm for every lane.

use half::f16;

use super::{LANES, Op, Simd};

/// Always available.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Scalar;

impl Simd for Scalar {
    const NAME: &'static str = "scalar";
    const REGISTERS: usize = 8;

    type F = [f32; LANES];
    type Codes = [[u8; 4]; LANES];
    type I = [i32; LANES];

    #[inline(always)]
    fn vectorize<O: Op>(self, op: O) -> O::Output {
        op.run(self)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::F {
        [value; LANES]
    }

    #[inline(always)]
    fn broadcast(self, from: &f32) -> Self::F {
        [*from; LANES]
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::F {
        *from
    }

    #[inline(always)]
    fn store(self, v: Self::F, to: &mut [f32; LANES]) {
        *to = v;
    }

    #[inline(always)]
    fn load_f16(self, from: &[u16; LANES]) -> Self::F {
        from.map(|bits| f16::from_bits(bits).to_f32_const())
    }

    #[inline(always)]
    fn load_bf16(self, from: &[u16; LANES]) -> Self::F {
        from.map(|bits| f32::from_bits(u32::from(bits) << 16))
    }

    #[inline(always)]
    fn load_codes(self, from: &[u8; 4 * LANES]) -> Self::Codes {
        let mut codes = [[0; 4]; LANES];
        codes.copy_from_slice(from.as_chunks::<4>().0);
        codes
    }

    #[inline(always)]
    fn code<const J: usize>(self, codes: Self::Codes) -> Self::F {
        codes.map(|bytes| f32::from(bytes[J]))
    }

    #[inline(always)]
    fn bits(self, codes: Self::Codes, right: i32, mask: u8) -> Self::Codes {
        codes.map(|bytes| bytes.map(|byte| if right < 0 { byte << -right } else { byte >> right } & mask))
    }

    #[inline(always)]
    fn or(self, a: Self::Codes, b: Self::Codes) -> Self::Codes {
        std::array::from_fn(|lane| std::array::from_fn(|j| a[lane][j] | b[lane][j]))
    }

    #[inline(always)]
    fn store_codes(self, codes: Self::Codes, to: &mut [u8; 4 * LANES]) {
        to.as_chunks_mut::<4>().0.copy_from_slice(&codes);
    }

    #[inline(always)]
    fn chain(self, _: f32) -> Self::I {
        [0; LANES]
    }

    #[inline(always)]
    fn dot(self, acc: Self::I, codes: Self::Codes, x: &[i8; 4]) -> Self::I {
        let mut sums = acc;
        for (sum, codes) in sums.iter_mut().zip(codes) {
            for (code, x) in codes.iter().zip(x) {
                *sum += i32::from(*code) * i32::from(*x);
            }
        }
        sums
    }

    #[inline(always)]
    fn to_floats(self, sums: Self::I) -> Self::F {
        sums.map(|sum| sum as f32)
    }

    #[inline(always)]
    fn store_bytes(self, v: Self::F, to: &mut [i8; LANES]) {
        *to = v.map(|v| v as i8);
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        zip(zip(a, b, |a, b| a * b), c, |ab, c| ab + c)
    }

    #[inline(always)]
    fn abs(self, a: Self::F) -> Self::F {
        a.map(f32::abs)
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn if_less(self, a: Self::F, b: Self::F, then: Self::F, otherwise: Self::F) -> Self::F {
        let mut chosen = otherwise;
        for i in 0..LANES {
            if a[i] < b[i] {
                chosen[i] = then[i];
            }
        }
        chosen
    }

    #[inline(always)]
    fn shift_to_exponent(self, a: Self::F) -> Self::F {
        a.map(|a| f32::from_bits(a.to_bits() << 23))
    }
}

#[inline(always)]
fn zip(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    let mut out = a;
    for i in 0..LANES {
        out[i] = f(a[i], b[i]);
    }
    out
}
