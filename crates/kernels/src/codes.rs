//! Codes of affine quantization, packed for vectors: a run of 32 inputs of 16 outputs takes one line of 64 bytes a bit.
//!
//! A run is eight quads: 64 codes each, in the order of the integer dot instructions, `[16 outputs][4 inputs]`. Codes of 2,
//! 4 and 8 bits share the bytes of their lines: byte `i` of a line holds code `i` of four quads, of two, of one. Codes of
//! 3, 5 and 6 bits are codes of 2 or 4 and, in lines of their own, the bits above. So every width is unpacked by a shift
//! and a mask, twice at most, on every instruction set.

use crate::isa::{LANES, Simd};
use crate::tile::QUAD;

/// Inputs of a run: what every group is a multiple of.
pub(crate) const RUN: usize = 32;

/// Quads of a run.
pub(crate) const RUN_QUADS: usize = RUN / QUAD;

/// A line: the codes of a quad, unpacked, or packed codes.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct CodeLine(pub(crate) [u8; QUAD * LANES]);

impl CodeLine {
    pub(crate) const ZERO: Self = Self([0; QUAD * LANES]);
}

/// Bits of a code in the lower lines; the others are in the lines above.
const fn low_bits(bits: usize) -> usize {
    match bits {
        8 => 8,
        4.. => 4,
        _ => 2,
    }
}

const fn mask(bits: usize) -> u8 {
    (0xff >> (8 - bits)) as u8
}

/// The codes of a run, quad by quad. As many lines as bits.
#[inline(always)]
pub(crate) fn unpack<S: Simd>(s: S, run: &[CodeLine]) -> [S::Codes; RUN_QUADS] {
    match run.len() {
        2 => unpack_bits::<S, 2>(s, run),
        3 => unpack_bits::<S, 3>(s, run),
        4 => unpack_bits::<S, 4>(s, run),
        5 => unpack_bits::<S, 5>(s, run),
        6 => unpack_bits::<S, 6>(s, run),
        _ => unpack_bits::<S, 8>(s, run),
    }
}

#[inline(always)]
fn unpack_bits<S: Simd, const BITS: usize>(s: S, run: &[CodeLine]) -> [S::Codes; RUN_QUADS] {
    let run = &run[..BITS];
    let low = low_bits(BITS);
    let high = BITS - low;
    let mut codes = [s.load_codes(&run[0].0); RUN_QUADS];
    for quad in 0..RUN_QUADS {
        let line = s.load_codes(&run[quad * low / 8].0);
        codes[quad] = match low {
            8 => line,
            _ => s.bits(line, (quad * low % 8) as i32, mask(low)),
        };
        if high > 0 {
            let line = s.load_codes(&run[low + quad * high / 8].0);
            let above = s.bits(line, (quad * high % 8) as i32 - low as i32, mask(high) << low);
            codes[quad] = s.or(codes[quad], above);
        }
    }
    codes
}

/// One code of a run.
pub(crate) fn code(run: &[CodeLine], lane: usize, input: usize) -> u8 {
    let (quad, byte) = (input / QUAD, lane * QUAD + input % QUAD);
    let low = low_bits(run.len());
    let high = run.len() - low;
    let bits = |first: usize, width: usize| run[first + quad * width / 8].0[byte] >> (quad * width % 8) & mask(width);
    match high {
        0 => bits(0, low),
        _ => bits(0, low) | bits(low, high) << low,
    }
}

/// Puts the codes of 32 inputs of one output into the zeroed lines of a run.
#[inline(always)]
pub(crate) fn pack<const BITS: usize>(codes: &[u8; RUN], lane: usize, run: &mut [CodeLine]) {
    let low = low_bits(BITS);
    let high = BITS - low;
    let mut put = |first: usize, width: usize, above: usize| {
        let keep = u32::from(mask(width)) * 0x0101_0101;
        for (quad, codes) in codes.as_chunks::<QUAD>().0.iter().enumerate() {
            let line = &mut run[first + quad * width / 8].0.as_chunks_mut::<QUAD>().0[lane];
            let bits = (u32::from_le_bytes(*codes) >> above & keep) << (quad * width % 8);
            *line = (u32::from_le_bytes(*line) | bits).to_le_bytes();
        }
    };
    put(0, low, 0);
    if high > 0 {
        put(low, high, low);
    }
}

/// Packs rows of MLX's codes, each one little-endian stream of `BITS` bits a code, into a panel.
pub(crate) fn pack_panel<const BITS: usize>(rows: &[u8], row_bytes: usize, panel: &mut [CodeLine]) {
    for (lane, row) in rows.chunks_exact(row_bytes).enumerate() {
        let runs = row.chunks_exact(RUN / 8 * BITS);
        for (stream, run) in runs.zip(panel.as_chunks_mut::<BITS>().0) {
            let mut codes = [0; RUN];
            // Eight codes are a whole number of bytes, whatever the width.
            for (stream, codes) in stream.as_chunks::<BITS>().0.iter().zip(codes.as_chunks_mut::<8>().0) {
                let mut bits = [0; 8];
                bits[..BITS].copy_from_slice(stream);
                *codes = spread::<BITS>(u64::from_le_bytes(bits)).to_le_bytes();
            }
            pack::<BITS>(&codes, lane, run);
        }
    }
}

/// Eight fields of `BITS` bits to eight bytes.
#[inline(always)]
fn spread<const BITS: usize>(stream: u64) -> u64 {
    if BITS == 8 {
        return stream;
    }
    let field = |bits: usize| (1u64 << bits) - 1;
    // Halves, quarters, eighths.
    let x = (stream & field(4 * BITS)) | (stream >> (4 * BITS) & field(4 * BITS)) << 32;
    let pairs = field(2 * BITS) * 0x0000_0001_0000_0001;
    let x = (x & pairs) | (x >> (2 * BITS) & pairs) << 16;
    let ones = field(BITS) * 0x0001_0001_0001_0001;
    (x & ones) | (x >> BITS & ones) << 8
}

#[cfg(test)]
mod tests;
