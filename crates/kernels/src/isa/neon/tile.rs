//! The register tile of the integer product, in the shapes of `sdot` and `usmmla`.
//!
//! Everything that touches a vector takes a turn of the four pipes that multiply; only loads have pipes of their own. So
//! what is done once for a group of inputs counts: a group of 64 is 16 `sdot` or 8 `usmmla` an accumulator.
//!
//! * `sdot` takes four inputs of a row out of a register of sixteen: nothing is broadcast. Codes come with their sign bit
//!   flipped.
//! * `usmmla` multiplies two rows by two outputs over eight inputs. Codes come as such pairs of outputs, rows as pairs of
//!   rows, and sums stay squares `[row 0, row 1]` of two outputs until the last group is added.
//! * An accumulator begins with the bits of a great float instead of 0, and is a float when the group ends: to take the
//!   great float away again is one turn, a conversion is two.
//! * That beginning is loaded each time: a copy from register to register would take a turn.

use std::arch::aarch64::*;
use std::arch::asm;

use crate::codes::{CodeLine, RUN_QUADS};
use crate::integer::{Factor, RowRun};
use crate::isa::LANES;
use crate::scratch::Line;
use crate::weights::CodePanel;

/// `1.5 * 2^23`. The bits of this plus a whole number are its bits plus that number, up to `2^22`; a group of 128 comes
/// to `128 * 255 * 127` at most, which is less.
const GREAT: f32 = 12_582_912.0;

#[repr(C, align(16))]
struct Quarter([f32; 4]);

static GREATS: Quarter = Quarter([GREAT; 4]);

/// Rows of the tile.
pub(super) const ROWS: usize = 6;

/// Half a panel is taken at a time, so that the sums of a group and what they are made of fit the registers.
const HALF: usize = LANES / 2;

/// What a row has for half a panel; in [`squares`], half of what two rows have.
type Sums = [int32x4_t; 2];
type Floats = [float32x4_t; 2];

/// Writes the runs of a group one after the other: a group is one block without branches.
macro_rules! unrolled {
    ($runs:ident, |$i:ident| $run:block) => {
        let $i = 0;
        $run
        if $runs > 1 {
            let $i = 1;
            $run
        }
        if $runs > 2 {
            let $i = 2;
            $run
            let $i = 3;
            $run
        }
    };
}

/// Codes for [`dots`]: less 128, signed.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn arrange_dots(codes: [[uint8x16_t; 4]; RUN_QUADS]) -> [[uint8x16_t; 4]; RUN_QUADS] {
    let mut codes = codes;
    for code in codes.as_flattened_mut() {
        *code = veorq_u8(*code, vdupq_n_u8(0x80));
    }
    codes
}

/// Codes for [`squares`]: two quads of inputs beside each other, outputs in pairs.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn arrange_squares(codes: [[uint8x16_t; 4]; RUN_QUADS]) -> [[uint8x16_t; 4]; RUN_QUADS] {
    let mut codes = codes;
    for pair in codes.as_chunks_mut::<2>().0 {
        let mut out = [vdupq_n_u8(0); 8];
        for i in 0..4 {
            let (first, second) = (vreinterpretq_u32_u8(pair[0][i]), vreinterpretq_u32_u8(pair[1][i]));
            out[2 * i] = vreinterpretq_u8_u32(vzip1q_u32(first, second));
            out[2 * i + 1] = vreinterpretq_u8_u32(vzip2q_u32(first, second));
        }
        pair.as_flattened_mut().copy_from_slice(&out);
    }
    codes
}

/// Rows for [`squares`]: of two rows, eight inputs of the one beside the same of the other.
#[inline(always)]
pub(super) fn arrange_rows<const R: usize>(rows: &mut [RowRun; R]) {
    for [first, second] in rows.as_chunks_mut::<2>().0 {
        let (a, b) = (*first, *second);
        let eights = a.0.as_chunks::<8>().0.iter().zip(b.0.as_chunks::<8>().0);
        let squares = first
            .0
            .as_chunks_mut::<16>()
            .0
            .iter_mut()
            .chain(second.0.as_chunks_mut::<16>().0);
        for (square, (a, b)) in squares.zip(eights) {
            square[..8].copy_from_slice(a);
            square[8..].copy_from_slice(b);
        }
    }
}

/// A panel times a tile of rows by `sdot`.
#[target_feature(enable = "neon,dotprod")]
pub(super) fn dots(
    rows: &[[RowRun; ROWS]],
    factors: &[[Factor; ROWS]],
    codes: &[[CodeLine; RUN_QUADS]],
    panel: &CodePanel<'_>,
    tile: &mut [Line; ROWS],
) {
    match panel.group_runs {
        1 => dots_of::<1>(rows, factors, codes, panel, tile),
        2 => dots_of::<2>(rows, factors, codes, panel, tile),
        _ => dots_of::<4>(rows, factors, codes, panel, tile),
    }
}

/// In groups of `RUNS` runs.
#[target_feature(enable = "neon,dotprod")]
fn dots_of<const RUNS: usize>(
    rows: &[[RowRun; ROWS]],
    factors: &[[Factor; ROWS]],
    codes: &[[CodeLine; RUN_QUADS]],
    panel: &CodePanel<'_>,
    tile: &mut [Line; ROWS],
) {
    *tile = [Line::ZERO; ROWS];
    for half in 0..2 {
        let scales = panel.scales.iter().zip(panel.biases);
        let groups = rows.as_chunks::<RUNS>().0.iter().zip(codes.as_chunks::<RUNS>().0);
        for ((factors, (rows, codes)), (scale, bias)) in factors.iter().zip(groups).zip(scales) {
            let (mut sums, tile) = (begin(), memory(tile));
            unrolled!(RUNS, |i| {
                sixteen::<0>(&rows[i], &codes[i], half, &mut sums);
                sixteen::<1>(&rows[i], &codes[i], half, &mut sums);
            });
            let (scale, bias) = (load(scale, half), load(bias, half));
            for pair in 0..ROWS / 2 {
                let both = load_factors(&factors[2 * pair..][..2]);
                // The codes were 128 less than they are.
                let great = vfmsq_f32(great(), both, vdupq_n_f32(128.0));
                let [even, odd] = [2 * pair, 2 * pair + 1];
                let (mut out, first) = (load(&tile[even], half), vdupq_laneq_f32::<1>(great));
                for i in 0..2 {
                    let (t, sum) = (vdupq_laneq_f32::<0>(both), vdupq_laneq_f32::<1>(both));
                    out[i] = add_group(out[i], sums[even][i], first, scale[i], bias[i], t, sum);
                }
                store(out, &mut tile[even], half);
                let (mut out, first) = (load(&tile[odd], half), vdupq_laneq_f32::<3>(great));
                for i in 0..2 {
                    let (t, sum) = (vdupq_laneq_f32::<2>(both), vdupq_laneq_f32::<3>(both));
                    out[i] = add_group(out[i], sums[odd][i], first, scale[i], bias[i], t, sum);
                }
                store(out, &mut tile[odd], half);
            }
        }
    }
}

/// The inputs of a run from `16 * AT` on.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn sixteen<const AT: usize>(
    rows: &[RowRun; ROWS],
    codes: &[CodeLine; RUN_QUADS],
    half: usize,
    sums: &mut [Sums; ROWS],
) {
    let mut x = [vdupq_n_s8(0); ROWS];
    for r in 0..ROWS {
        // SAFETY: reads 16 of the 32 bytes of a run.
        unsafe {
            asm!("ldr {0:q}, [{1}, {2}]", lateout(vreg) x[r], in(reg) &rows[r], const 16 * AT,
                options(readonly, nostack, preserves_flags));
        }
    }
    quad::<0>(&x, &codes[4 * AT], half, sums);
    quad::<1>(&x, &codes[4 * AT + 1], half, sums);
    quad::<2>(&x, &codes[4 * AT + 2], half, sums);
    quad::<3>(&x, &codes[4 * AT + 3], half, sums);
}

/// Four inputs, those from `4 * LANE` on in `x`.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn quad<const LANE: i32>(x: &[int8x16_t; ROWS], codes: &CodeLine, half: usize, sums: &mut [Sums; ROWS]) {
    let codes = codes.0[4 * HALF * half..][..4 * HALF].as_ptr();
    let [[a0, a1], [b0, b1], [c0, c1], [d0, d1], [e0, e1], [f0, f1]] = sums;
    // SAFETY: the function has dotprod; reads the 32 bytes at `codes`.
    unsafe {
        asm!(
            "ldp {w0:q}, {w1:q}, [{codes}]",
            "sdot {a0:v}.4s, {w0:v}.16b, {a:v}.4b[{lane}]",
            "sdot {b0:v}.4s, {w0:v}.16b, {b:v}.4b[{lane}]",
            "sdot {c0:v}.4s, {w0:v}.16b, {c:v}.4b[{lane}]",
            "sdot {d0:v}.4s, {w0:v}.16b, {d:v}.4b[{lane}]",
            "sdot {e0:v}.4s, {w0:v}.16b, {e:v}.4b[{lane}]",
            "sdot {f0:v}.4s, {w0:v}.16b, {f:v}.4b[{lane}]",
            "sdot {a1:v}.4s, {w1:v}.16b, {a:v}.4b[{lane}]",
            "sdot {b1:v}.4s, {w1:v}.16b, {b:v}.4b[{lane}]",
            "sdot {c1:v}.4s, {w1:v}.16b, {c:v}.4b[{lane}]",
            "sdot {d1:v}.4s, {w1:v}.16b, {d:v}.4b[{lane}]",
            "sdot {e1:v}.4s, {w1:v}.16b, {e:v}.4b[{lane}]",
            "sdot {f1:v}.4s, {w1:v}.16b, {f:v}.4b[{lane}]",
            codes = in(reg) codes, lane = const LANE, w0 = out(vreg) _, w1 = out(vreg) _,
            a = in(vreg) x[0], b = in(vreg) x[1], c = in(vreg) x[2], d = in(vreg) x[3], e = in(vreg) x[4], f = in(vreg) x[5],
            a0 = inout(vreg) *a0, b0 = inout(vreg) *b0, c0 = inout(vreg) *c0,
            d0 = inout(vreg) *d0, e0 = inout(vreg) *e0, f0 = inout(vreg) *f0,
            a1 = inout(vreg) *a1, b1 = inout(vreg) *b1, c1 = inout(vreg) *c1,
            d1 = inout(vreg) *d1, e1 = inout(vreg) *e1, f1 = inout(vreg) *f1,
            options(readonly, nostack, preserves_flags),
        );
    }
}

/// A panel times a tile of rows by `usmmla`.
#[target_feature(enable = "neon,i8mm")]
pub(super) fn squares(
    rows: &[[RowRun; ROWS]],
    factors: &[[Factor; ROWS]],
    codes: &[[CodeLine; RUN_QUADS]],
    panel: &CodePanel<'_>,
    tile: &mut [Line; ROWS],
) {
    match panel.group_runs {
        1 => squares_of::<1>(rows, factors, codes, panel, tile),
        2 => squares_of::<2>(rows, factors, codes, panel, tile),
        _ => squares_of::<4>(rows, factors, codes, panel, tile),
    }
}

/// In groups of `RUNS` runs.
#[target_feature(enable = "neon,i8mm")]
fn squares_of<const RUNS: usize>(
    rows: &[[RowRun; ROWS]],
    factors: &[[Factor; ROWS]],
    codes: &[[CodeLine; RUN_QUADS]],
    panel: &CodePanel<'_>,
    tile: &mut [Line; ROWS],
) {
    *tile = [Line::ZERO; ROWS];
    for half in 0..2 {
        let scales = panel.scales.iter().zip(panel.biases);
        let groups = rows.as_chunks::<RUNS>().0.iter().zip(codes.as_chunks::<RUNS>().0);
        for ((factors, (rows, codes)), (scale, bias)) in factors.iter().zip(groups).zip(scales) {
            let (mut sums, tile) = (begin(), memory(tile));
            unrolled!(RUNS, |i| {
                eight::<0>(&rows[i], &codes[i], half, &mut sums);
                eight::<1>(&rows[i], &codes[i], half, &mut sums);
                eight::<2>(&rows[i], &codes[i], half, &mut sums);
                eight::<3>(&rows[i], &codes[i], half, &mut sums);
            });
            let (scale, bias) = (load(scale, half), load(bias, half));
            let great = vdupq_n_f32(GREAT);
            for pair in 0..ROWS / 2 {
                let both = load_factors(&factors[2 * pair..][..2]);
                let (t, sum) = (vuzp1q_f32(both, both), vuzp2q_f32(both, both));
                for i in 0..2 {
                    let (tile, sums) = (&mut tile[2 * pair + i], &sums[2 * pair + i]);
                    let mut out = load(tile, half);
                    let (s, b) = (vzip1q_f32(scale[i], scale[i]), vzip1q_f32(bias[i], bias[i]));
                    out[0] = add_group(out[0], sums[0], great, s, b, t, sum);
                    let (s, b) = (vzip2q_f32(scale[i], scale[i]), vzip2q_f32(bias[i], bias[i]));
                    out[1] = add_group(out[1], sums[1], great, s, b, t, sum);
                    store(out, tile, half);
                }
            }
        }
        for pair in 0..ROWS / 2 {
            let ([a, b], [c, d]) = (load(&tile[2 * pair], half), load(&tile[2 * pair + 1], half));
            store([vuzp1q_f32(a, b), vuzp1q_f32(c, d)], &mut tile[2 * pair], half);
            store([vuzp2q_f32(a, b), vuzp2q_f32(c, d)], &mut tile[2 * pair + 1], half);
        }
    }
}

/// The inputs of a run from `8 * AT` on.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn eight<const AT: usize>(rows: &[RowRun; ROWS], codes: &[CodeLine; RUN_QUADS], half: usize, sums: &mut [Sums; ROWS]) {
    let codes = codes[2 * AT + half].0.as_ptr();
    let [[a0, a1], [a2, a3], [b0, b1], [b2, b3], [c0, c1], [c2, c3]] = sums;
    // SAFETY: the function has i8mm; reads the 64 bytes at `codes`, and of each run 16 of its 32 bytes.
    unsafe {
        asm!(
            "ldr {a:q}, [{rows}, {at}]",
            "ldr {b:q}, [{rows}, {at} + 64]",
            "ldr {c:q}, [{rows}, {at} + 128]",
            "ldp {w0:q}, {w1:q}, [{codes}]",
            "usmmla {a0:v}.4s, {w0:v}.16b, {a:v}.16b",
            "usmmla {b0:v}.4s, {w0:v}.16b, {b:v}.16b",
            "usmmla {c0:v}.4s, {w0:v}.16b, {c:v}.16b",
            "usmmla {a1:v}.4s, {w1:v}.16b, {a:v}.16b",
            "usmmla {b1:v}.4s, {w1:v}.16b, {b:v}.16b",
            "usmmla {c1:v}.4s, {w1:v}.16b, {c:v}.16b",
            "ldp {w0:q}, {w1:q}, [{codes}, 32]",
            "usmmla {a2:v}.4s, {w0:v}.16b, {a:v}.16b",
            "usmmla {b2:v}.4s, {w0:v}.16b, {b:v}.16b",
            "usmmla {c2:v}.4s, {w0:v}.16b, {c:v}.16b",
            "usmmla {a3:v}.4s, {w1:v}.16b, {a:v}.16b",
            "usmmla {b3:v}.4s, {w1:v}.16b, {b:v}.16b",
            "usmmla {c3:v}.4s, {w1:v}.16b, {c:v}.16b",
            rows = in(reg) rows, at = const AT / 2 * 32 + AT % 2 * 16, codes = in(reg) codes,
            w0 = out(vreg) _, w1 = out(vreg) _, a = out(vreg) _, b = out(vreg) _, c = out(vreg) _,
            a0 = inout(vreg) *a0, b0 = inout(vreg) *b0, c0 = inout(vreg) *c0,
            a1 = inout(vreg) *a1, b1 = inout(vreg) *b1, c1 = inout(vreg) *c1,
            a2 = inout(vreg) *a2, b2 = inout(vreg) *b2, c2 = inout(vreg) *c2,
            a3 = inout(vreg) *a3, b3 = inout(vreg) *b3, c3 = inout(vreg) *c3,
            options(readonly, nostack, preserves_flags),
        );
    }
}

/// Accumulators at [`GREAT`].
#[inline]
#[target_feature(enable = "neon")]
fn begin() -> [Sums; ROWS] {
    let mut sums = [[vdupq_n_s32(0); 2]; ROWS];
    for sum in sums.as_flattened_mut() {
        *sum = vreinterpretq_s32_f32(great());
    }
    sums
}

/// [`GREAT`] from memory, each time anew.
#[inline]
#[target_feature(enable = "neon")]
fn great() -> float32x4_t {
    let great;
    // SAFETY: reads the 16 bytes of `GREATS`.
    unsafe {
        asm!("ldr {0:q}, [{1}]", lateout(vreg) great, in(reg) &raw const GREATS, options(readonly, nostack, preserves_flags));
    }
    great
}

/// The same tile, but the compiler does not know: it would keep sums of all groups in registers, and then has too few.
#[inline(always)]
fn memory(tile: &mut [Line; ROWS]) -> &mut [Line; ROWS] {
    let mut tile: *mut _ = tile;
    // SAFETY: does nothing.
    unsafe { asm!("/* {0} */", inlateout(reg) tile, options(nostack, preserves_flags)) };
    // SAFETY: what came in.
    unsafe { &mut *tile }
}

/// `acc + t (s (q . x) + b sum x)`, in the steps of every instruction set.
#[inline]
#[target_feature(enable = "neon")]
fn add_group(
    acc: float32x4_t,
    sums: int32x4_t,
    great: float32x4_t,
    scale: float32x4_t,
    bias: float32x4_t,
    t: float32x4_t,
    sum: float32x4_t,
) -> float32x4_t {
    let whole = vsubq_f32(vreinterpretq_f32_s32(sums), great);
    let group = vfmaq_f32(vmulq_f32(bias, sum), whole, scale);
    vfmaq_f32(acc, group, t)
}

/// Scale and sum of two rows.
#[inline]
#[target_feature(enable = "neon")]
fn load_factors(of_two: &[Factor]) -> float32x4_t {
    assert_eq!(of_two.len(), 2);
    // SAFETY: reads the 16 bytes of two factors, each two floats.
    unsafe { vld1q_f32(of_two.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn load(from: &Line, half: usize) -> Floats {
    let from = from.0[HALF * half..][..HALF].as_ptr();
    // SAFETY: reads the first 16 bytes of half a line.
    let low = unsafe { vld1q_f32(from) };
    // SAFETY: reads the last 16 bytes of half a line.
    let high = unsafe { vld1q_f32(from.add(4)) };
    [low, high]
}

#[inline]
#[target_feature(enable = "neon")]
fn store(v: Floats, to: &mut Line, half: usize) {
    let to = to.0[HALF * half..][..HALF].as_mut_ptr();
    // SAFETY: writes the first 16 bytes of half a line.
    unsafe { vst1q_f32(to, v[0]) };
    // SAFETY: writes the last 16 bytes of half a line.
    unsafe { vst1q_f32(to.add(4), v[1]) };
}
