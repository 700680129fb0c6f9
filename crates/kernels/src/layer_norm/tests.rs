use super::*;
use crate::testing::{Random, assert_same_bits, assert_within, fused, on_every_isa};

on_every_isa!(layer_norm_is_right, a_row_alone_is_the_same);

fn naive(x: &[f32], gamma: &[f32], beta: &[f32]) -> Vec<f64> {
    let d = gamma.len() as f64;
    let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / d;
    let variance = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / d;
    let scale = 1.0 / (variance + 1e-5).sqrt();
    (0..x.len())
        .map(|i| (f64::from(x[i]) - mean) * scale * f64::from(gamma[i]) + f64::from(beta[i]))
        .collect()
}

fn layer_norm_is_right(cpu: &Cpu) {
    let mut random = Random(5);
    for d in [1, 7, 16, 23, 64, 384, 513] {
        let rows = 33;
        let x: Vec<f32> = random.numbers(rows * d).iter().map(|x| x * 3.0 + 10.0).collect();
        let (gamma, beta) = (random.numbers(d), random.numbers(d));
        let expected: Vec<f64> = x.chunks_exact(d).flat_map(|row| naive(row, &gamma, &beta)).collect();
        let mut found = vec![f32::NAN; x.len()];
        layer_norm(cpu, &x, &gamma, &beta, &mut found);
        // A number near 13 is 1e-6 off; the row of one number has a scale of 316.
        assert_within(&found, &expected, |_| if d == 1 { 1e-3 } else { 1e-5 });
    }
}

fn a_row_alone_is_the_same(cpu: &Cpu) {
    let mut random = Random(6);
    let (rows, d) = (40, 387);
    let (x, gamma, beta) = (random.numbers(rows * d), random.numbers(d), random.numbers(d));
    let mut all = vec![f32::NAN; x.len()];
    layer_norm(cpu, &x, &gamma, &beta, &mut all);
    for (x, all) in x.chunks_exact(d).zip(all.chunks_exact(d)) {
        let mut one = vec![f32::NAN; d];
        layer_norm(cpu, x, &gamma, &beta, &mut one);
        assert_same_bits(&one, all);
    }
}

#[test]
fn fused_instruction_sets_agree() {
    let mut random = Random(7);
    let (x, gamma, beta) = (random.numbers(10 * 391), random.numbers(391), random.numbers(391));
    let results = fused().into_iter().map(|isa| {
        let mut out = vec![f32::NAN; x.len()];
        layer_norm(&Cpu::with(isa, 1), &x, &gamma, &beta, &mut out);
        out
    });
    for pair in results.collect::<Vec<_>>().windows(2) {
        assert_same_bits(&pair[0], &pair[1]);
    }
}
