//! Aligned storage in lines of 16 floats, and the buffers each thread keeps between operations.

use std::cell::Cell;
use std::thread::LocalKey;

use crate::codes::CodeLine;
use crate::integer::{Factor, RowRun};
use crate::isa::LANES;

/// 16 floats on a cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [f32; LANES]);

impl Line {
    pub(crate) const ZERO: Self = Self([0.0; LANES]);
}

/// What a buffer is made of.
pub(crate) trait Zero: Copy {
    const ZERO: Self;
}

impl Zero for Line {
    const ZERO: Self = Self::ZERO;
}

impl Zero for CodeLine {
    const ZERO: Self = Self::ZERO;
}

/// A buffer that grows to what was asked of it and stays.
pub(crate) type Buffer<T> = Cell<Vec<T>>;

thread_local! {
    /// The rows of an operation, packed by the thread that called it.
    pub(crate) static PACKED_ROWS: Buffer<Line> = const { Cell::new(Vec::new()) };
    /// Panels converted to f32.
    pub(crate) static PANELS: Buffer<Line> = const { Cell::new(Vec::new()) };
    /// Register tiles and attention scores.
    pub(crate) static TILES: Buffer<Line> = const { Cell::new(Vec::new()) };
    /// Rows quantized, and their scales and sums.
    pub(crate) static ROW_BYTES: Buffer<RowRun> = const { Cell::new(Vec::new()) };
    pub(crate) static ROW_FACTORS: Buffer<Factor> = const { Cell::new(Vec::new()) };
    /// Codes of weights, unpacked.
    pub(crate) static PANEL_CODES: Buffer<CodeLine> = const { Cell::new(Vec::new()) };
}

/// The smallest buffer (64 KiB of lines): enough to decode tokens, so that a growing sequence allocates once.
const LEAST: usize = 1024;

/// Lends `len` elements of this thread's buffer, whatever they hold. Allocates only where it never was as long.
pub(crate) fn with_buffer<T: Zero, R>(
    buffer: &'static LocalKey<Buffer<T>>,
    len: usize,
    f: impl FnOnce(&mut [T]) -> R,
) -> R {
    let mut elements = buffer.take();
    if elements.len() < len {
        elements.resize(len.next_power_of_two().max(LEAST), T::ZERO);
    }
    let result = f(&mut elements[..len]);
    buffer.set(elements);
    result
}
