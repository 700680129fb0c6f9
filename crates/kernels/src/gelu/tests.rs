use super::*;
use crate::testing::{assert_within, on_every_isa};

/// erf by its series, or by the continued fraction of its complement where that converges better.
fn exact_erf(x: f64) -> f64 {
    let a = x.abs();
    let erf = if a < 3.0 {
        let mut term = a;
        let mut sum = a;
        for n in 1..200 {
            term *= -a * a / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    } else {
        let fraction = (1..100).rev().fold(a, |tail, n| a + f64::from(n) / 2.0 / tail);
        1.0 - (-a * a).exp() / fraction / std::f64::consts::PI.sqrt()
    };
    erf.copysign(x)
}

on_every_isa!(within_its_bound, the_ends_are_exact);

fn within_its_bound(cpu: &Cpu) {
    let inputs: Vec<f32> = (-120_003..=120_003).map(|i| i as f32 * 1e-4).collect();
    let expected: Vec<f64> = inputs
        .iter()
        .map(|&x| f64::from(x) * 0.5 * (1.0 + exact_erf(f64::from(x) / 2f64.sqrt())))
        .collect();
    let mut found = inputs.clone();
    gelu(cpu, &mut found);
    assert_within(&found, &expected, |i| 1e-7_f64.max(1.2e-7 * expected[i].abs()));
}

fn the_ends_are_exact(cpu: &Cpu) {
    let mut x = [0.0, -0.0, 1e4, -1e4, f32::MAX, f32::MIN, 1e-40, f32::NAN];
    gelu(cpu, &mut x);
    assert_eq!(x[..6], [0.0, 0.0, 1e4, 0.0, f32::MAX, 0.0]);
    assert!((x[6] - 0.5e-40).abs() < 1e-44);
    assert!(x[7].is_nan());
}
