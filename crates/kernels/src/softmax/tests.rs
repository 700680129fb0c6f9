use super::*;
use crate::testing::{Random, assert_within, on_every_isa};

on_every_isa!(softmax_is_right, log_sum_exp_is_right, greatest_is_right, extremes);

fn naive(row: &[f32]) -> Vec<f64> {
    let greatest = row.iter().fold(f64::NEG_INFINITY, |m, &x| m.max(f64::from(x)));
    let e: Vec<f64> = row.iter().map(|&x| (f64::from(x) - greatest).exp()).collect();
    let sum: f64 = e.iter().sum();
    e.into_iter().map(|e| e / sum).collect()
}

fn softmax_is_right(cpu: &Cpu) {
    let mut random = Random(3);
    for columns in [1, 2, 15, 16, 17, 33, 1500] {
        let x: Vec<f32> = random.numbers(5 * columns).iter().map(|x| x * 30.0).collect();
        let expected: Vec<f64> = x.chunks_exact(columns).flat_map(naive).collect();
        let mut found = x;
        softmax(cpu, &mut found, columns);
        // The difference from the greatest, up to 60, is rounded: 4e-6 of its exponential.
        assert_within(&found, &expected, |i| 5e-6 * expected[i] + 1e-37);
    }
}

fn log_sum_exp_is_right(cpu: &Cpu) {
    let mut random = Random(4);
    for n in [1, 2, 16, 17, 511, 513, 51_865] {
        let mut x: Vec<f32> = random.numbers(n).iter().map(|x| x * 20.0 - 5.0).collect();
        if n > 2 {
            x[n / 2] = f32::NEG_INFINITY;
        }
        let exact = x.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
        assert_within(&[log_sum_exp(cpu.isa(), &x)], &[exact], |_| 1e-6 * exact.abs().max(1.0));
    }
}

fn greatest_is_right(cpu: &Cpu) {
    let isa = cpu.isa();
    let mut random = Random(5);
    for n in [1, 15, 16, 17, 40, 51_865] {
        let x = random.numbers(n);
        for at in [0, n / 2, n - 1] {
            let mut x = x.clone();
            x[at] = 1e6;
            assert_eq!(greatest(isa, &x), 1e6);
            // NaN counts for nothing, wherever it is.
            x[at] = f32::NAN;
            let others = x.iter().copied().filter(|x| !x.is_nan());
            assert_eq!(greatest(isa, &x), others.fold(f32::NEG_INFINITY, f32::max));
        }
    }
    assert_eq!(greatest(isa, &[]), f32::NEG_INFINITY);
}

fn extremes(cpu: &Cpu) {
    let inf = f32::INFINITY;
    assert_eq!(log_sum_exp(cpu.isa(), &[]), -inf);
    assert_eq!(log_sum_exp(cpu.isa(), &[-inf; 40]), -inf);
    assert_eq!(log_sum_exp(cpu.isa(), &[3e38; 1]), 3e38);
    assert!((log_sum_exp(cpu.isa(), &[-1e30, 1000.0, 1000.0]) - 1_000.693_1).abs() < 1e-3);
    assert!(log_sum_exp(cpu.isa(), &[0.0, f32::NAN]).is_nan());
    assert_eq!(log_sum_exp(cpu.isa(), &[0.0, inf]), inf);
    let mut x = [-inf, 3e38, -3e38, 3e38];
    softmax(cpu, &mut x, 4);
    assert_eq!(x, [0.0, 0.5, 0.0, 0.5]);
}
