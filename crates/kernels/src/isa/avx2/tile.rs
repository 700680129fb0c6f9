//! The register tile of the integer product without VNNI.
//!
//! `maddubs` adds two products of unsigned and signed bytes in 16 bits, `madd` by ones two such sums in 32. The fewer bits
//! a code has, the more products 16 bits hold: then several quads are added there, and share a `madd`.
//!
//! Of codes of 8 bits not even two products fit. They are taken 128 less, as signed, and the sign goes to x.

use std::arch::x86_64::*;

use crate::codes::{CodeLine, RUN_QUADS};
use crate::integer::{Factor, RowRun};
use crate::isa::{LANES, quad};
use crate::scratch::Line;
use crate::tile::QUAD;
use crate::weights::CodePanel;

/// Half a panel, one register, is taken at a time: sums in 16 bits and in 32 of all rows stay in registers.
const HALF: usize = LANES / 2;

/// A panel times a tile of rows.
#[target_feature(enable = "avx2,fma")]
pub(super) fn multiply<const R: usize>(
    rows: &[[RowRun; R]],
    factors: &[[Factor; R]],
    codes: &[[CodeLine; RUN_QUADS]],
    panel: &CodePanel<'_>,
    tile: &mut [Line; R],
) {
    match panel.bits {
        // 8 quads of codes of 4 bits come to 8 * 2 * 15 * 127 = 30480, 4 of 5 bits to 31496, 2 of 6 bits to 32004.
        ..=4 => multiply_by::<8, R>(rows, factors, codes, panel, tile),
        5 => multiply_by::<4, R>(rows, factors, codes, panel, tile),
        6 => multiply_by::<2, R>(rows, factors, codes, panel, tile),
        _ => multiply_by::<SIGNED, R>(rows, factors, codes, panel, tile),
    }
}

/// One quad at a time, of signed codes.
const SIGNED: usize = 1;

/// `QUADS` quads are added in 16 bits.
#[target_feature(enable = "avx2,fma")]
fn multiply_by<const QUADS: usize, const R: usize>(
    rows: &[[RowRun; R]],
    factors: &[[Factor; R]],
    codes: &[[CodeLine; RUN_QUADS]],
    panel: &CodePanel<'_>,
    tile: &mut [Line; R],
) {
    for half in 0..2 {
        let groups = rows
            .chunks_exact(panel.group_runs)
            .zip(codes.chunks_exact(panel.group_runs));
        let scales = panel.scales.iter().zip(panel.biases);
        let mut out = [_mm256_setzero_ps(); R];
        for ((factors, (rows, codes)), (scale, bias)) in factors.iter().zip(groups).zip(scales) {
            let mut sums = [_mm256_setzero_si256(); R];
            for (rows, codes) in rows.iter().zip(codes) {
                let mut pairs = [_mm256_setzero_si256(); R];
                add_quad::<QUADS, 0, R>(rows, codes, half, &mut pairs, &mut sums);
                add_quad::<QUADS, 1, R>(rows, codes, half, &mut pairs, &mut sums);
                add_quad::<QUADS, 2, R>(rows, codes, half, &mut pairs, &mut sums);
                add_quad::<QUADS, 3, R>(rows, codes, half, &mut pairs, &mut sums);
                add_quad::<QUADS, 4, R>(rows, codes, half, &mut pairs, &mut sums);
                add_quad::<QUADS, 5, R>(rows, codes, half, &mut pairs, &mut sums);
                add_quad::<QUADS, 6, R>(rows, codes, half, &mut pairs, &mut sums);
                add_quad::<QUADS, 7, R>(rows, codes, half, &mut pairs, &mut sums);
            }
            let (scale, bias) = (load(scale, half), load(bias, half));
            for r in 0..R {
                let sum = _mm256_broadcast_ss(&factors[r].sum);
                let mut whole = _mm256_cvtepi32_ps(sums[r]);
                if QUADS == SIGNED {
                    // Exact: whole numbers below 2^24.
                    whole = _mm256_fmadd_ps(sum, _mm256_set1_ps(128.0), whole);
                }
                // `acc + t (s (q . x) + b sum x)`, in the steps of every instruction set.
                let group = _mm256_fmadd_ps(whole, scale, _mm256_mul_ps(bias, sum));
                out[r] = _mm256_fmadd_ps(group, _mm256_broadcast_ss(&factors[r].scale), out[r]);
            }
        }
        for r in 0..R {
            store(out[r], &mut tile[r], half);
        }
    }
}

/// Quad `I` of a run. Sums in 16 bits begin and end here if it is the first or the last of `QUADS`.
#[inline]
#[target_feature(enable = "avx2")]
fn add_quad<const QUADS: usize, const I: usize, const R: usize>(
    rows: &[RowRun; R],
    codes: &[CodeLine; RUN_QUADS],
    half: usize,
    pairs: &mut [__m256i; R],
    sums: &mut [__m256i; R],
) {
    let codes = load_codes(&codes[I], half);
    let signed = _mm256_xor_si256(codes, _mm256_set1_epi8(i8::MIN));
    let size = _mm256_abs_epi8(signed);
    for r in 0..R {
        let x = _mm256_set1_epi32(quad(&rows[r].0.as_chunks::<QUAD>().0[I]));
        let products = match QUADS {
            SIGNED => _mm256_maddubs_epi16(size, _mm256_sign_epi8(x, signed)),
            _ => _mm256_maddubs_epi16(codes, x),
        };
        pairs[r] = match I % QUADS {
            0 => products,
            _ => _mm256_add_epi16(pairs[r], products),
        };
        if I % QUADS == QUADS - 1 {
            let quads = _mm256_madd_epi16(pairs[r], _mm256_set1_epi16(1));
            sums[r] = _mm256_add_epi32(sums[r], quads);
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_codes(from: &CodeLine, half: usize) -> __m256i {
    let from = from.0[QUAD * HALF * half..][..QUAD * HALF].as_ptr();
    // SAFETY: reads the 32 bytes of half a line.
    unsafe { _mm256_loadu_si256(from.cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(from: &Line, half: usize) -> __m256 {
    let from = from.0[HALF * half..][..HALF].as_ptr();
    // SAFETY: reads the 32 bytes of half a line.
    unsafe { _mm256_loadu_ps(from) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(v: __m256, to: &mut Line, half: usize) {
    let to = to.0[HALF * half..][..HALF].as_mut_ptr();
    // SAFETY: writes the 32 bytes of half a line.
    unsafe { _mm256_storeu_ps(to, v) };
}
