//! Layer normalisation.

use crate::cpu::Cpu;
use crate::isa::{LANES, Op, Simd};

/// Added to the variance.
pub const LAYER_NORM_EPSILON: f32 = 1e-5;

/// `out = (x - mean) / sqrt(variance + epsilon) * gamma + beta` for each row: `x` and `out` `[rows, d]`, `gamma` and
/// `beta` `[d]`; epsilon is [`LAYER_NORM_EPSILON`], the variance that of the population.
///
/// # Panics
/// If the lengths do not fit.
pub fn layer_norm(cpu: &Cpu, x: &[f32], gamma: &[f32], beta: &[f32], out: &mut [f32]) {
    let d = gamma.len();
    assert_eq!(beta.len(), d, "length of beta and gamma");
    assert_eq!(x.len(), out.len(), "numbers in x and out");
    if x.is_empty() {
        return;
    }
    assert!(d > 0 && x.len().is_multiple_of(d), "{} numbers in rows of {d}", x.len());
    let chunk = 8192usize.div_ceil(d) * d;
    cpu.for_each_chunk(out, chunk, |i, out| {
        let x = &x[i * chunk..][..out.len()];
        cpu.isa().run(LayerNorm { x, gamma, beta, out });
    });
}

struct LayerNorm<'a> {
    x: &'a [f32],
    gamma: &'a [f32],
    beta: &'a [f32],
    out: &'a mut [f32],
}

impl Op for LayerNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let d = self.gamma.len();
        let (gamma, gamma_rest) = self.gamma.as_chunks::<LANES>();
        let (beta, beta_rest) = self.beta.as_chunks::<LANES>();
        for (x, out) in self.x.chunks_exact(d).zip(self.out.chunks_exact_mut(d)) {
            let (x, x_rest) = x.as_chunks::<LANES>();
            let (out, out_rest) = out.as_chunks_mut::<LANES>();

            let mut sum = s.load(&padded(x_rest, 0.0));
            for line in x {
                sum = s.add(sum, s.load(line));
            }
            let mean = s.sum(sum) / d as f32;
            let shift = s.splat(mean);

            // Filled up with the mean: what is added has no deviation.
            let last = s.sub(s.load(&padded(x_rest, mean)), shift);
            let mut squares = s.mul(last, last);
            for line in x {
                let deviation = s.sub(s.load(line), shift);
                squares = s.fma(deviation, deviation, squares);
            }
            let variance = s.sum(squares) / d as f32;
            let scale = s.splat(1.0 / (variance + LAYER_NORM_EPSILON).sqrt());

            for i in 0..out.len() {
                let normal = s.mul(s.sub(s.load(&x[i]), shift), scale);
                s.store(s.fma(normal, s.load(&gamma[i]), s.load(&beta[i])), &mut out[i]);
            }
            let (gamma, beta) = (s.load(&padded(gamma_rest, 0.0)), s.load(&padded(beta_rest, 0.0)));
            let mut lanes = [0.0; LANES];
            s.store(s.fma(s.mul(last, scale), gamma, beta), &mut lanes);
            out_rest.copy_from_slice(&lanes[..out_rest.len()]);
        }
    }
}

#[inline(always)]
fn padded(rest: &[f32], with: f32) -> [f32; LANES] {
    let mut lanes = [with; LANES];
    lanes[..rest.len()].copy_from_slice(rest);
    lanes
}

#[cfg(test)]
mod tests;
