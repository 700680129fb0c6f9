//! AVX-512: a vector is one register, and there are 32.

use std::arch::x86_64::*;

use super::{LANES, Op, Simd, avx2};

/// Proof of AVX-512 F, BW, DQ, VL and VNNI: every CPU since Ice Lake and Zen 4.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Avx512(());

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c"))
        .then_some(Self(()))
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn enter<O: Op>(isa: Avx512, op: O) -> O::Output {
    op.run(isa)
}

/// An intrinsic that touches registers only.
macro_rules! registers {
    ($intrinsic:expr) => {{
        // SAFETY: `self` is an `Avx512`, which exists only where `detect` saw the features of all intrinsics used here.
        unsafe { $intrinsic }
    }};
}

impl Simd for Avx512 {
    const NAME: &'static str = "avx512";
    const REGISTERS: usize = 32;

    type F = __m512;
    type Codes = __m512i;
    type I = __m512i;

    #[inline(always)]
    fn vectorize<O: Op>(self, op: O) -> O::Output {
        // SAFETY: an `Avx512` exists only where `detect` saw all features of `enter`.
        unsafe { enter(self, op) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::F {
        registers!(_mm512_set1_ps(value))
    }

    #[inline(always)]
    fn broadcast(self, from: &f32) -> Self::F {
        // SAFETY: reads the 4 bytes of `from`; SSE is part of x86-64.
        let one = unsafe { _mm_load_ss(from) };
        registers!(_mm512_broadcastss_ps(one))
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::F {
        // SAFETY: reads the 64 bytes of `from`, aligned or not; the CPU has AVX-512 F, proved by `self`.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, v: Self::F, to: &mut [f32; LANES]) {
        // SAFETY: writes the 64 bytes of `to`, aligned or not; the CPU has AVX-512 F, proved by `self`.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), v) }
    }

    #[inline(always)]
    fn load_f16(self, from: &[u16; LANES]) -> Self::F {
        // SAFETY: reads the 32 bytes of `from`, aligned or not; the CPU has AVX, proved by `self`.
        let bits = unsafe { _mm256_loadu_si256(from.as_ptr().cast()) };
        registers!(_mm512_cvtph_ps(bits))
    }

    #[inline(always)]
    fn load_bf16(self, from: &[u16; LANES]) -> Self::F {
        // SAFETY: reads the 32 bytes of `from`, aligned or not; the CPU has AVX, proved by `self`.
        let bits = unsafe { _mm256_loadu_si256(from.as_ptr().cast()) };
        let wide = registers!(_mm512_cvtepu16_epi32(bits));
        let shifted = registers!(_mm512_slli_epi32::<16>(wide));
        registers!(_mm512_castsi512_ps(shifted))
    }

    #[inline(always)]
    fn load_codes(self, from: &[u8; 4 * LANES]) -> Self::Codes {
        // SAFETY: reads the 64 bytes of `from`, aligned or not; the CPU has AVX-512 F, proved by `self`.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn code<const J: usize>(self, codes: Self::Codes) -> Self::F {
        let low = registers!(_mm512_set1_epi32(0xff));
        let byte = match J {
            0 => registers!(_mm512_and_si512(codes, low)),
            1 => {
                let shifted = registers!(_mm512_srli_epi32::<8>(codes));
                registers!(_mm512_and_si512(shifted, low))
            }
            2 => {
                let shifted = registers!(_mm512_srli_epi32::<16>(codes));
                registers!(_mm512_and_si512(shifted, low))
            }
            _ => registers!(_mm512_srli_epi32::<24>(codes)),
        };
        registers!(_mm512_cvtepi32_ps(byte))
    }

    #[inline(always)]
    fn bits(self, codes: Self::Codes, right: i32, mask: u8) -> Self::Codes {
        let places = registers!(_mm512_set1_epi32(right.abs()));
        let moved = if right < 0 {
            registers!(_mm512_sllv_epi32(codes, places))
        } else {
            registers!(_mm512_srlv_epi32(codes, places))
        };
        let mask = registers!(_mm512_set1_epi8(mask.cast_signed()));
        registers!(_mm512_and_si512(moved, mask))
    }

    #[inline(always)]
    fn or(self, a: Self::Codes, b: Self::Codes) -> Self::Codes {
        registers!(_mm512_or_si512(a, b))
    }

    #[inline(always)]
    fn store_codes(self, codes: Self::Codes, to: &mut [u8; 4 * LANES]) {
        // SAFETY: writes the 64 bytes of `to`, aligned or not; the CPU has AVX-512 F, proved by `self`.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), codes) }
    }

    #[inline(always)]
    fn chain(self, _: f32) -> Self::I {
        registers!(_mm512_setzero_si512())
    }

    #[inline(always)]
    fn dot(self, acc: Self::I, codes: Self::Codes, x: &[i8; 4]) -> Self::I {
        let x = registers!(_mm512_set1_epi32(super::quad(x)));
        registers!(_mm512_dpbusd_epi32(acc, codes, x))
    }

    #[inline(always)]
    fn to_floats(self, sums: Self::I) -> Self::F {
        registers!(_mm512_cvtepi32_ps(sums))
    }

    #[inline(always)]
    fn store_bytes(self, v: Self::F, to: &mut [i8; LANES]) {
        let whole = registers!(_mm512_cvtps_epi32(v));
        let bytes = registers!(_mm512_cvtepi32_epi8(whole));
        // SAFETY: writes the 16 bytes of `to`, aligned or not; SSE2 is part of x86-64.
        unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), bytes) }
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        registers!(_mm512_add_ps(a, b))
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        registers!(_mm512_sub_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        registers!(_mm512_mul_ps(a, b))
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        registers!(_mm512_div_ps(a, b))
    }

    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        registers!(_mm512_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn abs(self, a: Self::F) -> Self::F {
        registers!(_mm512_abs_ps(a))
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        registers!(_mm512_max_ps(a, b))
    }

    #[inline(always)]
    fn if_less(self, a: Self::F, b: Self::F, then: Self::F, otherwise: Self::F) -> Self::F {
        let less = registers!(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b));
        registers!(_mm512_mask_blend_ps(less, otherwise, then))
    }

    #[inline(always)]
    fn shift_to_exponent(self, a: Self::F) -> Self::F {
        let bits = registers!(_mm512_castps_si512(a));
        let shifted = registers!(_mm512_slli_epi32::<23>(bits));
        registers!(_mm512_castsi512_ps(shifted))
    }

    #[inline(always)]
    fn sum(self, v: Self::F) -> f32 {
        registers!(avx2::sum(halves(v)))
    }

    #[inline(always)]
    fn greatest(self, v: Self::F) -> f32 {
        registers!(avx2::greatest(halves(v)))
    }

    #[inline(always)]
    fn sum_of_each<const R: usize>(self, vectors: [Self::F; R]) -> Self::F {
        registers!(sum_of_each(vectors))
    }

    #[inline(always)]
    fn greatest_of_each<const R: usize>(self, vectors: [Self::F; R]) -> Self::F {
        registers!(greatest_of_each(vectors))
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn halves(v: __m512) -> [__m256; 2] {
    [_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v)]
}

/// Folds each vector into one lane, all together: half the lanes at a time, of two vectors in one.
macro_rules! fold_each {
    ($name:ident, $op:ident) => {
        #[inline]
        #[target_feature(enable = "avx512f,avx512dq")]
        fn $name<const R: usize>(vectors: [__m512; R]) -> __m512 {
            const { assert!(R <= 8) };
            let mut all = [_mm512_setzero_ps(); 8];
            for r in 0..R {
                all[r] = vectors[r];
            }
            // Quarters of 0 and 1, then of 0 to 3, in one vector.
            let mut pairs = [all[0]; 4];
            for i in 0..4 {
                let [a, b] = [all[2 * i], all[2 * i + 1]];
                pairs[i] = $op(
                    _mm512_shuffle_f32x4::<0x44>(a, b),
                    _mm512_shuffle_f32x4::<0xee>(a, b),
                );
            }
            let mut fours = [pairs[0]; 2];
            for i in 0..2 {
                let [a, b] = [pairs[2 * i], pairs[2 * i + 1]];
                fours[i] = $op(
                    _mm512_shuffle_f32x4::<0x88>(a, b),
                    _mm512_shuffle_f32x4::<0xdd>(a, b),
                );
            }
            // A quarter has two lanes of vector i and two of i + 4, then all four the same.
            let [a, b] = fours;
            let twos = $op(_mm512_shuffle_ps::<0x44>(a, b), _mm512_shuffle_ps::<0xee>(a, b));
            let ones = $op(twos, _mm512_shuffle_ps::<0xb1>(twos, twos));
            let lanes = _mm512_setr_epi32(0, 4, 8, 12, 2, 6, 10, 14, 0, 0, 0, 0, 0, 0, 0, 0);
            _mm512_permutexvar_ps(lanes, ones)
        }
    };
}

fold_each!(sum_of_each, _mm512_add_ps);
fold_each!(greatest_of_each, _mm512_max_ps);
