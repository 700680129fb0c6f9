//! Aligned storage in lines of 16 floats, and the buffers each thread keeps between operations.

use std::cell::Cell;
use std::thread::LocalKey;

use crate::isa::LANES;

/// 16 floats on a cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [f32; LANES]);

impl Line {
    pub(crate) const ZERO: Self = Self([0.0; LANES]);
}

/// A buffer that grows to what was asked of it and stays.
pub(crate) type Buffer = Cell<Vec<Line>>;

thread_local! {
    /// The rows of an operation, packed by the thread that called it.
    pub(crate) static PACKED_ROWS: Buffer = const { Cell::new(Vec::new()) };
    /// Panels converted to f32.
    pub(crate) static PANELS: Buffer = const { Cell::new(Vec::new()) };
    /// Register tiles and attention scores.
    pub(crate) static TILES: Buffer = const { Cell::new(Vec::new()) };
}

/// Lines of the smallest buffer (64 KiB): enough to decode tokens, so that a growing sequence allocates once.
const LEAST: usize = 1024;

/// Lends `len` lines of this thread's buffer, whatever they hold. Allocates only where it never was as long.
pub(crate) fn with_lines<R>(buffer: &'static LocalKey<Buffer>, len: usize, f: impl FnOnce(&mut [Line]) -> R) -> R {
    let mut lines = buffer.take();
    if lines.len() < len {
        lines.resize(len.next_power_of_two().max(LEAST), Line::ZERO);
    }
    let result = f(&mut lines[..len]);
    buffer.set(lines);
    result
}
