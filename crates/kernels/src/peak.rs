//! What the processor could do at most: the measure of the kernels.

use std::hint::black_box;
use std::time::Instant;

use crate::cpu::Cpu;
use crate::isa::{Op, Simd};

/// Floating-point operations a second of fused multiply-adds in registers, all threads together; takes about 10 ms.
///
/// A product and a sum count as two. The figure moves with the clock and with the neighbours: compare within minutes.
pub fn peak_flops(cpu: &Cpu) -> f64 {
    const ROUNDS: usize = 1 << 14;
    // The first region wakes the threads and brings the clock to its speed.
    let seconds = [(); 3].map(|()| {
        let since = Instant::now();
        cpu.pool().run(cpu.threads(), |_| {
            black_box(cpu.isa().run(Chains {
                rounds: ROUNDS,
                x: black_box(0.5),
            }));
        });
        since.elapsed().as_secs_f64()
    });
    (cpu.threads() * ROUNDS * STEPS * 2 * 16) as f64 / seconds[1].min(seconds[2])
}

/// Multiply-adds of 16 lanes in a round, whatever the number of chains they are dealt to.
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
    let x = s.splat(job.x);
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
