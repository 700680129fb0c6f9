//! AVX2 with FMA and F16C, with or without AVX-VNNI: a vector is a pair of registers, and there are 16.

mod tile;

use std::arch::x86_64::*;

use super::{LANES, Op, Simd};
use crate::codes::{CodeLine, RUN_QUADS};
use crate::integer::{self, Factor, RowRun};
use crate::scratch::Line;
use crate::weights::CodePanel;

/// Proof of AVX2, FMA and F16C: every CPU since Haswell and Zen. With `VNNI`, of AVX-VNNI as well: Alder Lake, Zen 5.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Avx2<const VNNI: bool>(());

impl<const VNNI: bool> Avx2<VNNI> {
    pub(super) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
            && (!VNNI || is_x86_feature_detected!("avxvnni")))
        .then_some(Self(()))
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn enter<O: Op, const VNNI: bool>(isa: Avx2<VNNI>, op: O) -> O::Output {
    op.run(isa)
}

#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
fn enter_vnni<O: Op, const VNNI: bool>(isa: Avx2<VNNI>, op: O) -> O::Output {
    op.run(isa)
}

/// The tree of [`Simd::sum`].
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn sum([low, high]: [__m256; 2]) -> f32 {
    let eight = _mm256_add_ps(low, high);
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

/// The tree of [`Simd::greatest`].
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn greatest([low, high]: [__m256; 2]) -> f32 {
    let eight = _mm256_max_ps(low, high);
    let four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
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

impl<const VNNI: bool> Simd for Avx2<VNNI> {
    const NAME: &'static str = if VNNI { "avxvnni" } else { "avx2" };
    const REGISTERS: usize = 8;

    type F = [__m256; 2];
    type Codes = [__m256i; 2];
    type I = [__m256i; 2];

    #[inline(always)]
    fn vectorize<O: Op>(self, op: O) -> O::Output {
        if VNNI {
            // SAFETY: an `Avx2<true>` exists only where `detect` saw all features of `enter_vnni`.
            unsafe { enter_vnni(self, op) }
        } else {
            // SAFETY: an `Avx2` exists only where `detect` saw all features of `enter`.
            unsafe { enter(self, op) }
        }
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
    fn bits(self, codes: Self::Codes, right: i32, mask: u8) -> Self::Codes {
        let places = [registers!(_mm256_set1_epi32(right.abs())); 2];
        let moved = if right < 0 {
            halves!(_mm256_sllv_epi32, codes, places)
        } else {
            halves!(_mm256_srlv_epi32, codes, places)
        };
        let mask = [registers!(_mm256_set1_epi8(mask.cast_signed())); 2];
        halves!(_mm256_and_si256, moved, mask)
    }

    #[inline(always)]
    fn or(self, a: Self::Codes, b: Self::Codes) -> Self::Codes {
        halves!(_mm256_or_si256, a, b)
    }

    #[inline(always)]
    fn store_codes(self, codes: Self::Codes, to: &mut [u8; 4 * LANES]) {
        let (halves, _) = to.as_chunks_mut::<32>();
        // SAFETY: writes the 32 bytes of a half, aligned or not; the CPU has AVX, proved by `self`.
        unsafe { _mm256_storeu_si256(halves[0].as_mut_ptr().cast(), codes[0]) };
        // SAFETY: as above.
        unsafe { _mm256_storeu_si256(halves[1].as_mut_ptr().cast(), codes[1]) };
    }

    #[inline(always)]
    fn chain(self, sum: f32) -> Self::I {
        // Without VNNI codes are taken as signed, 128 less than they are.
        let first = if VNNI { 0 } else { 128 * sum as i32 };
        [registers!(_mm256_set1_epi32(first)); 2]
    }

    #[inline(always)]
    fn dot(self, acc: Self::I, codes: Self::Codes, x: &[i8; 4]) -> Self::I {
        let x = [registers!(_mm256_set1_epi32(super::quad(x))); 2];
        if VNNI {
            return halves!(_mm256_dpbusd_avx_epi32, acc, codes, x);
        }
        // `maddubs` adds two products of unsigned and signed bytes in 16 bits: 2 * 255 * 127 is too much, 2 * 128 * 127
        // is not. So the sign of the code goes to x.
        let flip = [registers!(_mm256_set1_epi8(i8::MIN)); 2];
        let signed = halves!(_mm256_xor_si256, codes, flip);
        let size = halves!(_mm256_abs_epi8, signed);
        let x = halves!(_mm256_sign_epi8, x, signed);
        let pairs = halves!(_mm256_maddubs_epi16, size, x);
        let ones = [registers!(_mm256_set1_epi16(1)); 2];
        let quads = halves!(_mm256_madd_epi16, pairs, ones);
        halves!(_mm256_add_epi32, acc, quads)
    }

    #[inline(always)]
    fn to_floats(self, sums: Self::I) -> Self::F {
        halves!(_mm256_cvtepi32_ps, sums)
    }

    #[inline(always)]
    fn store_bytes(self, v: Self::F, to: &mut [i8; LANES]) {
        let whole = halves!(_mm256_cvtps_epi32, v);
        let (low, high) = (whole[0], whole[1]);
        // Packs within each half of a register: 0-3 8-11 4-7 12-15.
        let words = registers!(_mm256_packs_epi32(low, high));
        let words = registers!(_mm256_permute4x64_epi64::<0b11_01_10_00>(words));
        let (low, high) = (
            registers!(_mm256_castsi256_si128(words)),
            registers!(_mm256_extracti128_si256::<1>(words)),
        );
        let bytes = registers!(_mm_packs_epi16(low, high));
        // SAFETY: writes the 16 bytes of `to`, aligned or not; SSE2 is part of x86-64.
        unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), bytes) }
    }

    #[inline(always)]
    fn multiply<const R: usize, const P: usize>(
        self,
        bytes: &[[RowRun; R]],
        factors: &[[Factor; R]],
        codes: [&[[CodeLine; RUN_QUADS]]; P],
        panels: &[CodePanel<'_>; P],
        tile: &mut [Line],
    ) {
        if VNNI {
            return integer::multiply(self, bytes, factors, codes, panels, tile);
        }
        for (p, tile) in tile.as_chunks_mut().0.iter_mut().enumerate().take(P) {
            // SAFETY: an `Avx2` exists only where `detect` saw the features of `tile::multiply`.
            unsafe { tile::multiply(bytes, factors, codes[p], &panels[p], tile) };
        }
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
    fn abs(self, a: Self::F) -> Self::F {
        let sign = [registers!(_mm256_set1_ps(-0.0)); 2];
        halves!(_mm256_andnot_ps, sign, a)
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

    #[inline(always)]
    fn sum(self, v: Self::F) -> f32 {
        registers!(sum(v))
    }

    #[inline(always)]
    fn greatest(self, v: Self::F) -> f32 {
        registers!(greatest(v))
    }
}

#[inline(always)]
fn load_u16<const VNNI: bool>(_proof: Avx2<VNNI>, from: &[u16; LANES]) -> [__m128i; 2] {
    let (halves, _) = from.as_chunks::<8>();
    // SAFETY: reads the 16 bytes of a half, aligned or not; SSE2 is part of x86-64.
    let low = unsafe { _mm_loadu_si128(halves[0].as_ptr().cast()) };
    // SAFETY: as above.
    let high = unsafe { _mm_loadu_si128(halves[1].as_ptr().cast()) };
    [low, high]
}
