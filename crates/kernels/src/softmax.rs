//! Softmax, the logarithm of its denominator, and the greatest number.

use crate::cpu::Cpu;
use crate::exp::exp;
use crate::isa::{Isa, LANES, Op, Simd};

/// Softmax of each row of `columns` numbers, in place. -inf becomes exactly 0; a row of nothing else becomes NaN.
///
/// # Panics
/// If `x` is not whole rows.
pub fn softmax(cpu: &Cpu, x: &mut [f32], columns: usize) {
    if x.is_empty() {
        return;
    }
    assert!(
        columns > 0 && x.len().is_multiple_of(columns),
        "{} numbers in rows of {columns}",
        x.len()
    );
    let rows_a_task = 4096usize.div_ceil(columns);
    cpu.for_each_chunk(x, rows_a_task * columns, |_, rows| {
        cpu.isa().run(Softmax { rows, columns })
    });
}

struct Softmax<'a> {
    rows: &'a mut [f32],
    columns: usize,
}

impl Op for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for row in self.rows.chunks_exact_mut(self.columns) {
            let greatest = s.splat(greatest_of(s, row));
            let (lines, rest) = row.as_chunks_mut::<LANES>();
            let mut sum = s.splat(0.0);
            for line in &mut *lines {
                let e = exp(s, s.sub(s.load(line), greatest));
                sum = s.add(sum, e);
                s.store(e, line);
            }
            let mut last = padded(rest);
            let e = exp(s, s.sub(s.load(&last), greatest));
            let scale = s.splat(1.0 / s.sum(s.add(sum, e)));
            s.store(s.mul(e, scale), &mut last);
            rest.copy_from_slice(&last[..rest.len()]);
            for line in lines {
                s.store(s.mul(s.load(line), scale), line);
            }
        }
    }
}

/// `ln sum e^x`, within one part in 10^6 (absolute where the result is below 1). -inf counts for nothing; where there is
/// nothing else, or nothing at all, the result is -inf. NaN where there is NaN beside a number.
pub fn log_sum_exp(isa: Isa, x: &[f32]) -> f32 {
    isa.run(LogSumExp(x))
}

/// Lines whose sum is taken in f32 before it joins the f64 total.
const RUN: usize = 32;

struct LogSumExp<'a>(&'a [f32]);

impl Op for LogSumExp<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let greatest = greatest_of(s, self.0);
        if greatest.is_infinite() {
            return greatest;
        }
        let shift = s.splat(greatest);
        let (lines, rest) = self.0.as_chunks::<LANES>();
        let mut total = 0.0f64;
        for run in lines.chunks(RUN) {
            let mut sum = s.splat(0.0);
            for line in run {
                sum = s.add(sum, exp(s, s.sub(s.load(line), shift)));
            }
            total += f64::from(s.sum(sum));
        }
        total += f64::from(s.sum(exp(s, s.sub(s.load(&padded(rest)), shift))));
        (f64::from(greatest) + total.ln()) as f32
    }
}

/// The greatest number, -inf where there is none. NaN counts for nothing.
pub fn greatest(isa: Isa, x: &[f32]) -> f32 {
    isa.run(Greatest(x))
}

struct Greatest<'a>(&'a [f32]);

impl Op for Greatest<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        greatest_of(s, self.0)
    }
}

#[inline(always)]
fn greatest_of<S: Simd>(s: S, x: &[f32]) -> f32 {
    let (lines, rest) = x.as_chunks::<LANES>();
    let mut max = s.splat(f32::NEG_INFINITY);
    for line in lines {
        max = s.max(s.load(line), max);
    }
    s.greatest(s.max(s.load(&padded(rest)), max))
}

/// A vector filled up with -inf.
#[inline(always)]
fn padded(rest: &[f32]) -> [f32; LANES] {
    let mut last = [f32::NEG_INFINITY; LANES];
    last[..rest.len()].copy_from_slice(rest);
    last
}

#[cfg(test)]
mod tests;
