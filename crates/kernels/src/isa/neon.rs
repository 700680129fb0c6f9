//! NEON, which every 64-bit Arm has, with or without the dot products of whole numbers: a vector is four registers, and
//! there are 32.

mod tile;

use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};

use super::{LANES, Op, Simd};
use crate::codes::{CodeLine, RUN_QUADS};
use crate::integer::{self, Factor, RowRun};
use crate::scratch::Line;
use crate::weights::CodePanel;

/// No dot products.
pub(super) const PLAIN: u8 = 0;
/// `sdot`: Cortex-A76, Apple A13 and M1.
pub(super) const DOTPROD: u8 = 1;
/// `usdot` and `usmmla` as well: Neoverse V1, Apple A15 and M2.
pub(super) const I8MM: u8 = 2;

/// Proof of the dot products up to `DOT`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Neon<const DOT: u8>(());

impl<const DOT: u8> Neon<DOT> {
    pub(super) fn detect() -> Option<Self> {
        ((DOT < DOTPROD || is_aarch64_feature_detected!("dotprod"))
            && (DOT < I8MM || is_aarch64_feature_detected!("i8mm")))
        .then_some(Self(()))
    }
}

#[target_feature(enable = "neon,dotprod")]
fn enter_dotprod<O: Op, const DOT: u8>(isa: Neon<DOT>, op: O) -> O::Output {
    op.run(isa)
}

#[target_feature(enable = "neon,dotprod,i8mm")]
fn enter_i8mm<O: Op, const DOT: u8>(isa: Neon<DOT>, op: O) -> O::Output {
    op.run(isa)
}

/// An intrinsic that touches registers only.
macro_rules! registers {
    ($intrinsic:expr) => {{
        // SAFETY: NEON is part of every aarch64 target that has the standard library.
        unsafe { $intrinsic }
    }};
}

/// The same register intrinsic on all four registers.
macro_rules! quarters {
    ($intrinsic:path, $($operand:ident),+) => {
        [
            registers!($intrinsic($($operand[0]),+)),
            registers!($intrinsic($($operand[1]),+)),
            registers!($intrinsic($($operand[2]),+)),
            registers!($intrinsic($($operand[3]),+)),
        ]
    };
}

impl<const DOT: u8> Simd for Neon<DOT> {
    const NAME: &'static str = match DOT {
        PLAIN => "neon",
        DOTPROD => "neon-dotprod",
        _ => "neon-i8mm",
    };
    const REGISTERS: usize = 8;
    const ARRANGES: bool = DOT != PLAIN;

    type F = [float32x4_t; 4];
    type Codes = [uint8x16_t; 4];
    type I = [int32x4_t; 4];

    #[inline(always)]
    fn vectorize<O: Op>(self, op: O) -> O::Output {
        match DOT {
            PLAIN => op.run(self),
            // SAFETY: this `Neon` exists only where `detect` saw dotprod.
            DOTPROD => unsafe { enter_dotprod(self, op) },
            // SAFETY: this `Neon` exists only where `detect` saw dotprod and i8mm.
            _ => unsafe { enter_i8mm(self, op) },
        }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::F {
        [registers!(vdupq_n_f32(value)); 4]
    }

    #[inline(always)]
    fn broadcast(self, from: &f32) -> Self::F {
        [registers!(vdupq_n_f32(*from)); 4]
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::F {
        let mut v = self.splat(0.0);
        for (v, from) in v.iter_mut().zip(from.as_chunks::<4>().0) {
            // SAFETY: reads the 16 bytes of `from`.
            *v = unsafe { vld1q_f32(from.as_ptr()) };
        }
        v
    }

    #[inline(always)]
    fn store(self, v: Self::F, to: &mut [f32; LANES]) {
        for (v, to) in v.into_iter().zip(to.as_chunks_mut::<4>().0) {
            // SAFETY: writes the 16 bytes of `to`.
            unsafe { vst1q_f32(to.as_mut_ptr(), v) };
        }
    }

    #[inline(always)]
    fn load_f16(self, from: &[u16; LANES]) -> Self::F {
        let bits = load_u16(from);
        let halves = quarters!(vreinterpret_f16_u16, bits);
        quarters!(vcvt_f32_f16, halves)
    }

    #[inline(always)]
    fn load_bf16(self, from: &[u16; LANES]) -> Self::F {
        let bits = load_u16(from);
        let wide = quarters!(vmovl_u16, bits);
        let shifted = quarters!(vshlq_n_u32::<16>, wide);
        quarters!(vreinterpretq_f32_u32, shifted)
    }

    #[inline(always)]
    fn load_codes(self, from: &[u8; 4 * LANES]) -> Self::Codes {
        let mut v = [registers!(vdupq_n_u8(0)); 4];
        for (v, from) in v.iter_mut().zip(from.as_chunks::<16>().0) {
            // SAFETY: reads the 16 bytes of `from`.
            *v = unsafe { vld1q_u8(from.as_ptr()) };
        }
        v
    }

    #[inline(always)]
    fn code<const J: usize>(self, codes: Self::Codes) -> Self::F {
        let low = [registers!(vdupq_n_u32(0xff)); 4];
        let codes = quarters!(vreinterpretq_u32_u8, codes);
        let shifted = match J {
            0 => codes,
            1 => quarters!(vshrq_n_u32::<8>, codes),
            2 => quarters!(vshrq_n_u32::<16>, codes),
            _ => quarters!(vshrq_n_u32::<24>, codes),
        };
        let bytes = quarters!(vandq_u32, shifted, low);
        quarters!(vcvtq_f32_u32, bytes)
    }

    #[inline(always)]
    fn bits(self, codes: Self::Codes, right: i32, mask: u8) -> Self::Codes {
        let left = [registers!(vdupq_n_s8(-right as i8)); 4];
        let mask = [registers!(vdupq_n_u8(mask)); 4];
        let moved = quarters!(vshlq_u8, codes, left);
        quarters!(vandq_u8, moved, mask)
    }

    #[inline(always)]
    fn or(self, a: Self::Codes, b: Self::Codes) -> Self::Codes {
        quarters!(vorrq_u8, a, b)
    }

    #[inline(always)]
    fn store_codes(self, codes: Self::Codes, to: &mut [u8; 4 * LANES]) {
        for (v, to) in codes.into_iter().zip(to.as_chunks_mut::<16>().0) {
            // SAFETY: writes the 16 bytes of `to`.
            unsafe { vst1q_u8(to.as_mut_ptr(), v) };
        }
    }

    #[inline(always)]
    fn chain(self, sum: f32) -> Self::I {
        // Without `usdot` codes are taken as signed, 128 less than they are.
        let first = if DOT == I8MM { 0 } else { 128 * sum as i32 };
        [registers!(vdupq_n_s32(first)); 4]
    }

    #[inline(always)]
    fn dot(self, acc: Self::I, codes: Self::Codes, x: &[i8; 4]) -> Self::I {
        let x = registers!(vdupq_n_s32(super::quad(x)));
        let x = [registers!(vreinterpretq_s8_s32(x)); 4];
        match DOT {
            PLAIN => {
                // Two products of signed bytes add up to at most `2 * 128 * 127`, which 16 bits hold.
                let codes = signed(codes);
                let (low, x_low) = (quarters!(vget_low_s8, codes), quarters!(vget_low_s8, x));
                let (low, high) = (quarters!(vmull_s8, low, x_low), quarters!(vmull_high_s8, codes, x));
                let pairs = quarters!(vpaddq_s16, low, high);
                quarters!(vpadalq_s16, acc, pairs)
            }
            DOTPROD => {
                let (codes, mut acc) = (signed(codes), acc);
                for i in 0..4 {
                    // SAFETY: the CPU has dotprod, proved by `self`; touches registers only.
                    unsafe {
                        asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.16b", inlateout(vreg) acc[i], in(vreg) codes[i],
                            in(vreg) x[i], options(pure, nomem, nostack, preserves_flags));
                    }
                }
                acc
            }
            _ => {
                let mut acc = acc;
                for i in 0..4 {
                    // SAFETY: the CPU has i8mm, proved by `self`; touches registers only.
                    unsafe {
                        asm!("usdot {0:v}.4s, {1:v}.16b, {2:v}.16b", inlateout(vreg) acc[i], in(vreg) codes[i],
                            in(vreg) x[i], options(pure, nomem, nostack, preserves_flags));
                    }
                }
                acc
            }
        }
    }

    #[inline(always)]
    fn to_floats(self, sums: Self::I) -> Self::F {
        quarters!(vcvtq_f32_s32, sums)
    }

    #[inline(always)]
    fn store_bytes(self, v: Self::F, to: &mut [i8; LANES]) {
        let whole = quarters!(vcvtnq_s32_f32, v);
        let words = quarters!(vqmovn_s32, whole);
        let low = registers!(vcombine_s16(words[0], words[1]));
        let high = registers!(vcombine_s16(words[2], words[3]));
        let low = registers!(vqmovn_s16(low));
        let bytes = registers!(vqmovn_high_s16(low, high));
        // SAFETY: writes the 16 bytes of `to`.
        unsafe { vst1q_s8(to.as_mut_ptr(), bytes) };
    }

    #[inline(always)]
    fn arrange_codes(self, codes: [Self::Codes; RUN_QUADS]) -> [Self::Codes; RUN_QUADS] {
        match DOT {
            PLAIN => codes,
            DOTPROD => registers!(tile::arrange_dots(codes)),
            _ => registers!(tile::arrange_squares(codes)),
        }
    }

    #[inline(always)]
    fn arrange_rows<const R: usize>(self, rows: &mut [RowRun; R]) {
        if DOT == I8MM {
            tile::arrange_rows(rows);
        }
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
        if DOT == PLAIN {
            return integer::multiply(self, bytes, factors, codes, panels, tile);
        }
        assert_eq!(R, tile::ROWS);
        let bytes = bytes.as_flattened().as_chunks().0;
        let factors = factors.as_flattened().as_chunks().0;
        for (p, tile) in tile.as_chunks_mut().0.iter_mut().enumerate().take(P) {
            match DOT {
                // SAFETY: this `Neon` exists only where `detect` saw dotprod.
                DOTPROD => unsafe { tile::dots(bytes, factors, codes[p], &panels[p], tile) },
                // SAFETY: this `Neon` exists only where `detect` saw i8mm.
                _ => unsafe { tile::squares(bytes, factors, codes[p], &panels[p], tile) },
            }
        }
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        quarters!(vaddq_f32, a, b)
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        quarters!(vsubq_f32, a, b)
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        quarters!(vmulq_f32, a, b)
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        quarters!(vdivq_f32, a, b)
    }

    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        quarters!(vfmaq_f32, c, a, b)
    }

    #[inline(always)]
    fn abs(self, a: Self::F) -> Self::F {
        quarters!(vabsq_f32, a)
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        // Not `vmaxq_f32`, which is NaN where one of them is.
        let greater = quarters!(vcgtq_f32, a, b);
        quarters!(vbslq_f32, greater, a, b)
    }

    #[inline(always)]
    fn if_less(self, a: Self::F, b: Self::F, then: Self::F, otherwise: Self::F) -> Self::F {
        let less = quarters!(vcltq_f32, a, b);
        quarters!(vbslq_f32, less, then, otherwise)
    }

    #[inline(always)]
    fn shift_to_exponent(self, a: Self::F) -> Self::F {
        let bits = quarters!(vreinterpretq_u32_f32, a);
        let shifted = quarters!(vshlq_n_u32::<23>, bits);
        quarters!(vreinterpretq_f32_u32, shifted)
    }
}

#[inline(always)]
fn load_u16(from: &[u16; LANES]) -> [uint16x4_t; 4] {
    let mut v = [registers!(vdup_n_u16(0)); 4];
    for (v, from) in v.iter_mut().zip(from.as_chunks::<4>().0) {
        // SAFETY: reads the 8 bytes of `from`.
        *v = unsafe { vld1_u16(from.as_ptr()) };
    }
    v
}

/// Codes less 128, as signed bytes: the highest bit is flipped.
#[inline(always)]
fn signed(codes: [uint8x16_t; 4]) -> [int8x16_t; 4] {
    let highest = [registers!(vdupq_n_u8(0x80)); 4];
    let flipped = quarters!(veorq_u8, codes, highest);
    quarters!(vreinterpretq_s8_u8, flipped)
}
