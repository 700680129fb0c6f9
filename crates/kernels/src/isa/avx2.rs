//! AVX2 with FMA and F16C: a vector is a pair of registers, and there are 16.

use std::arch::x86_64::*;

use super::{LANES, Op, Simd};

/// Proof of AVX2, FMA and F16C: every CPU since Haswell and Zen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Avx2(());

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c"))
            .then_some(Self(()))
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn enter<O: Op>(isa: Avx2, op: O) -> O::Output {
    op.run(isa)
}

/// An intrinsic that touches registers only.
macro_rules! registers {
    ($intrinsic:expr) => {{
        // SAFETY: `self` is an `Avx2`, which exists only where `detect` saw the features of all intrinsics used here.
        unsafe { $intrinsic }
    }};
}

/// The same register intrinsic on both halves.
macro_rules! halves {
    ($intrinsic:ident, $($operand:ident),+) => {
        [registers!($intrinsic($($operand[0]),+)), registers!($intrinsic($($operand[1]),+))]
    };
}

impl Simd for Avx2 {
    const NAME: &'static str = "avx2";
    const REGISTERS: usize = 8;

    type F = [__m256; 2];
    type Codes = [__m256i; 2];

    #[inline(always)]
    fn vectorize<O: Op>(self, op: O) -> O::Output {
        // SAFETY: an `Avx2` exists only where `detect` saw all features of `enter`.
        unsafe { enter(self, op) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::F {
        [registers!(_mm256_set1_ps(value)); 2]
    }

    #[inline(always)]
    fn broadcast(self, from: &f32) -> Self::F {
        [registers!(_mm256_broadcast_ss(from)); 2]
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::F {
        let (halves, _) = from.as_chunks::<8>();
        // SAFETY: reads the 32 bytes of a half, aligned or not; the CPU has AVX, proved by `self`.
        let low = unsafe { _mm256_loadu_ps(halves[0].as_ptr()) };
        // SAFETY: as above.
        let high = unsafe { _mm256_loadu_ps(halves[1].as_ptr()) };
        [low, high]
    }

    #[inline(always)]
    fn store(self, v: Self::F, to: &mut [f32; LANES]) {
        let (halves, _) = to.as_chunks_mut::<8>();
        // SAFETY: writes the 32 bytes of a half, aligned or not; the CPU has AVX, proved by `self`.
        unsafe { _mm256_storeu_ps(halves[0].as_mut_ptr(), v[0]) };
        // SAFETY: as above.
        unsafe { _mm256_storeu_ps(halves[1].as_mut_ptr(), v[1]) };
    }

    #[inline(always)]
    fn load_f16(self, from: &[u16; LANES]) -> Self::F {
        let bits = load_u16(self, from);
        halves!(_mm256_cvtph_ps, bits)
    }

    #[inline(always)]
    fn load_bf16(self, from: &[u16; LANES]) -> Self::F {
        let bits = load_u16(self, from);
        let wide = halves!(_mm256_cvtepu16_epi32, bits);
        let low = registers!(_mm256_slli_epi32::<16>(wide[0]));
        let high = registers!(_mm256_slli_epi32::<16>(wide[1]));
        let shifted = [low, high];
        halves!(_mm256_castsi256_ps, shifted)
    }

    #[inline(always)]
    fn load_codes(self, from: &[u8; 4 * LANES]) -> Self::Codes {
        let (halves, _) = from.as_chunks::<32>();
        // SAFETY: reads the 32 bytes of a half, aligned or not; the CPU has AVX, proved by `self`.
        let low = unsafe { _mm256_loadu_si256(halves[0].as_ptr().cast()) };
        // SAFETY: as above.
        let high = unsafe { _mm256_loadu_si256(halves[1].as_ptr().cast()) };
        [low, high]
    }

    #[inline(always)]
    fn code<const J: usize>(self, codes: Self::Codes) -> Self::F {
        let low = registers!(_mm256_set1_epi32(0xff));
        let mut floats = self.splat(0.0);
        for i in 0..2 {
            let byte = match J {
                0 => registers!(_mm256_and_si256(codes[i], low)),
                1 => {
                    let shifted = registers!(_mm256_srli_epi32::<8>(codes[i]));
                    registers!(_mm256_and_si256(shifted, low))
                }
                2 => {
                    let shifted = registers!(_mm256_srli_epi32::<16>(codes[i]));
                    registers!(_mm256_and_si256(shifted, low))
                }
                _ => registers!(_mm256_srli_epi32::<24>(codes[i])),
            };
            floats[i] = registers!(_mm256_cvtepi32_ps(byte));
        }
        floats
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        halves!(_mm256_add_ps, a, b)
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        halves!(_mm256_sub_ps, a, b)
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        halves!(_mm256_mul_ps, a, b)
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        halves!(_mm256_div_ps, a, b)
    }

    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        halves!(_mm256_fmadd_ps, a, b, c)
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        halves!(_mm256_max_ps, a, b)
    }

    #[inline(always)]
    fn if_less(self, a: Self::F, b: Self::F, then: Self::F, otherwise: Self::F) -> Self::F {
        let low = registers!(_mm256_cmp_ps::<_CMP_LT_OQ>(a[0], b[0]));
        let high = registers!(_mm256_cmp_ps::<_CMP_LT_OQ>(a[1], b[1]));
        let less = [low, high];
        halves!(_mm256_blendv_ps, otherwise, then, less)
    }

    #[inline(always)]
    fn shift_to_exponent(self, a: Self::F) -> Self::F {
        let bits = halves!(_mm256_castps_si256, a);
        let low = registers!(_mm256_slli_epi32::<23>(bits[0]));
        let high = registers!(_mm256_slli_epi32::<23>(bits[1]));
        let shifted = [low, high];
        halves!(_mm256_castsi256_ps, shifted)
    }
}

#[inline(always)]
fn load_u16(_proof: Avx2, from: &[u16; LANES]) -> [__m128i; 2] {
    let (halves, _) = from.as_chunks::<8>();
    // SAFETY: reads the 16 bytes of a half, aligned or not; SSE2 is part of x86-64.
    let low = unsafe { _mm_loadu_si128(halves[0].as_ptr().cast()) };
    // SAFETY: as above.
    let high = unsafe { _mm_loadu_si128(halves[1].as_ptr().cast()) };
    [low, high]
}
