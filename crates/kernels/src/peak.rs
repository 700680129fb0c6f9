//! What the processor could do at most: the measure of the kernels.

use std::hint::black_box;
use std::time::Instant;

use crate::cpu::Cpu;
use crate::isa::{LANES, Op, Simd};
use crate::tile::QUAD;

/// Floating-point operations a second of fused multiply-adds in registers, all threads together; takes about 10 ms.
///
/// A product and a sum count as two. The figure moves with the clock and with the neighbours: compare within minutes.
pub fn peak_flops(cpu: &Cpu) -> f64 {
    2.0 * LANES as f64 * peak(cpu, |rounds| cpu.isa().run(Chains { rounds, x: 0.5 }))
}

/// Operations a second of the integer dot products that [`Compute::Int8`](crate::Compute) is made of, on codes of 8 bits in
/// registers. (Where no one instruction does it, codes of fewer bits may take less.)
pub fn peak_int8_ops(cpu: &Cpu) -> f64 {
    2.0 * QUAD as f64
        * LANES as f64
        * peak(cpu, |rounds| {
            cpu.isa().run(Dots {
                rounds,
                rows: [[1, -2, 3, -4]; STEPS],
            })
        })
}

/// Steps a second; `chains(rounds)` does `rounds * STEPS` of them.
fn peak(cpu: &Cpu, chains: impl Fn(usize) -> f32 + Sync) -> f64 {
    const ROUNDS: usize = 1 << 14;
    // The first region wakes the threads and brings the clock to its speed.
    let seconds = [(); 3].map(|()| {
        let since = Instant::now();
        cpu.pool().run(cpu.threads(), |_| {
            black_box(chains(black_box(ROUNDS)));
        });
        since.elapsed().as_secs_f64()
    });
    (cpu.threads() * ROUNDS * STEPS) as f64 / seconds[1].min(seconds[2])
}

/// Steps in a round, whatever the number of chains they are dealt to.
const STEPS: usize = 48;

struct Chains {
    rounds: usize,
    x: f32,
}

impl Op for Chains {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        if S::REGISTERS >= 32 {
            chains::<S, 24>(s, self)
        } else {
            chains::<S, 6>(s, self)
        }
    }
}

#[inline(always)]
fn chains<S: Simd, const N: usize>(s: S, job: Chains) -> f32 {
    let x = s.splat(black_box(job.x));
    let mut acc = [x; N];
    for _ in 0..job.rounds {
        for _ in 0..STEPS / N {
            for a in &mut acc {
                *a = s.fma(*a, x, x);
            }
        }
    }
    let mut sum = s.splat(0.0);
    for a in acc {
        sum = s.add(sum, a);
    }
    s.sum(sum)
}

struct Dots {
    rounds: usize,
    /// An own row for each step: products of the same codes and numbers would be taken out of the loop.
    rows: [[i8; QUAD]; STEPS],
}

impl Op for Dots {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        if S::REGISTERS >= 32 {
            dots::<S, 24>(s, self)
        } else {
            dots::<S, 4>(s, self)
        }
    }
}

#[inline(always)]
fn dots<S: Simd, const N: usize>(s: S, job: Dots) -> f32 {
    let codes = s.load_codes(&black_box([7; QUAD * LANES]));
    let mut acc = [s.chain(0.0); N];
    for _ in 0..job.rounds {
        let rows: &[[i8; QUAD]; STEPS] = black_box(&job.rows);
        for step in 0..STEPS / N {
            for n in 0..N {
                acc[n] = s.dot(acc[n], codes, &rows[step * N + n]);
            }
        }
    }
    let mut sum = s.splat(0.0);
    for a in acc {
        sum = s.add(sum, s.to_floats(a));
    }
    s.sum(sum)
}
