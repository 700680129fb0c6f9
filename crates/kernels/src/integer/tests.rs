use crate::linear::{Layer, Rows, Then, linear, linear_each};
use crate::testing::{Random, assert_same_bits, assert_within, fused, on_every_isa, poison_scratch};
use crate::{Compute, Cpu, Isa, Weights};

const BITS: [usize; 6] = [2, 3, 4, 5, 6, 8];

/// With rows of 8 bits and of 16.
fn both(cpu: &Cpu) -> [Cpu; 2] {
    [Compute::Int8, Compute::Int16].map(|compute| cpu.clone().computing(compute))
}

/// Random weights about 0, as MLX makes them.
fn weights(bits: usize, group: usize, n: usize, k: usize, random: &mut Random) -> Weights {
    let cpu = &Cpu::with(Isa::detect(), 1);
    let codes = random.bytes(n * k * bits / 8);
    let step = 2f32.powi(1 - bits as i32);
    let scales: Vec<f32> = random.numbers(n * k / group).iter().map(|s| s * step).collect();
    let biases: Vec<f32> = scales.iter().map(|s| -s * 2f32.powi(bits as i32 - 1)).collect();
    Weights::affine(cpu, bits, group, n, k, &codes, &scales, &biases)
}

/// A group of a row as whole numbers and their scale, by the definition: the greatest becomes 127, or `255 * 127 + 127`.
fn quantized(x: &[f32], compute: Compute) -> (Vec<f64>, f64) {
    let most: f32 = if compute == Compute::Int16 { 32512.0 } else { 127.0 };
    let greatest = x.iter().fold(0.0f32, |greatest, x| greatest.max(x.abs()));
    if greatest <= 1e-30 {
        return (vec![0.0; x.len()], 0.0);
    }
    let steps = most / greatest;
    let whole = x.iter().map(|x| f64::from(*x * steps).round_ties_even()).collect();
    (whole, f64::from(greatest) / f64::from(most))
}

/// The product of dequantized weights and quantized rows, and for each the sum of sizes that are added.
fn naive(x: Rows<'_>, w: &Weights, group: usize, compute: Compute) -> (Vec<f64>, Vec<f64>) {
    let (n, k) = (w.outputs(), w.inputs());
    let mut rows = vec![0.0; n * k];
    rows.chunks_exact_mut(k).enumerate().for_each(|(i, row)| w.row(i, row));
    let (mut results, mut sizes) = (Vec::new(), Vec::new());
    for i in 0..x.rows() {
        let numbers: Vec<f64> = x
            .row(i)
            .chunks(group)
            .flat_map(|x| {
                let (whole, scale) = quantized(x, compute);
                whole.into_iter().map(move |x| x * scale)
            })
            .collect();
        for row in rows.chunks_exact(k) {
            let products = || numbers.iter().zip(row).map(|(x, w)| x * f64::from(*w));
            results.push(products().sum());
            sizes.push(products().map(f64::abs).sum());
        }
    }
    (results, sizes)
}

fn run(cpu: &Cpu, x: Rows<'_>, w: &Weights, bias: Option<&[f32]>, then: Then) -> Vec<f32> {
    let mut y = vec![if then == Then::Add { 0.5 } else { f32::NAN }; x.rows() * w.outputs()];
    linear(cpu, x, w, bias, then, &mut y);
    y
}

/// Whole numbers are exact. What rounds: the weight of the oracle, and for each group the terms `s (q . x)` and
/// `b sum x`, which are up to 256 times as large as a weight of the group may be small. Rows of 16 bits are two sums.
fn bound(cpu: &Cpu, k: usize, greatest: f64, size: f64) -> f64 {
    let sums = if cpu.compute() == Compute::Int16 { 2.0 } else { 1.0 };
    sums * 2f64.powi(-22) * (size + greatest * k as f64) + 1e-30
}

on_every_isa!(
    any_shape_is_right,
    every_row_alone_is_the_same,
    results_take_bias_gelu_and_residual,
    several_layers_at_once_are_the_same,
    extremes_are_right,
    nothing_is_read_past_the_end,
);

fn any_shape_is_right(cpu: &Cpu) {
    let mut random = Random(21);
    for cpu in &both(cpu) {
        for bits in BITS {
            for group in [32, 64, 128] {
                for (m, n, groups) in [(1, 17, 1), (2, 33, 3), (4, 16, 2), (5, 40, 3), (13, 31, 2), (61, 48, 3)] {
                    let k = groups * group;
                    let w = weights(bits, group, n, k, &mut random);
                    let x: Vec<f32> = random.numbers(m * k);
                    let x = Rows::new(&x, m, k);
                    let (expected, sizes) = naive(x, &w, group, cpu.compute());
                    poison_scratch(cpu);
                    assert_within(&run(cpu, x, &w, None, Then::Store), &expected, |i| {
                        bound(cpu, k, 1.0, sizes[i])
                    });
                }
            }
        }
    }
}

fn every_row_alone_is_the_same(cpu: &Cpu) {
    let mut random = Random(22);
    for cpu in &both(cpu) {
        for bits in BITS {
            for (m, n, k) in [(2, 40, 64), (4, 40, 64), (7, 33, 192), (31, 50, 448), (130, 17, 384)] {
                let w = weights(bits, 64, n, k, &mut random);
                let (x, bias) = (random.numbers(m * k), random.numbers(n));
                let all = run(cpu, Rows::new(&x, m, k), &w, Some(&bias), Then::Store);
                for (x, all) in x.chunks_exact(k).zip(all.chunks_exact(n)) {
                    assert_same_bits(&run(cpu, Rows::new(x, 1, k), &w, Some(&bias), Then::Store), all);
                }
            }
        }
    }
}

fn results_take_bias_gelu_and_residual(cpu: &Cpu) {
    let mut random = Random(23);
    for cpu in &both(cpu) {
        for (m, n, k) in [(1, 37, 64), (3, 16, 128), (50, 37, 192)] {
            let w = weights(5, 32, n, k, &mut random);
            let (x, bias) = (random.numbers(m * k), random.numbers(n));
            let x = Rows::new(&x, m, k);
            let plain = run(cpu, x, &w, None, Then::Store);
            let biased: Vec<f32> = plain
                .chunks_exact(n)
                .flat_map(|y| y.iter().zip(&bias).map(|(y, b)| y + b))
                .collect();
            assert_same_bits(&run(cpu, x, &w, Some(&bias), Then::Store), &biased);
            let added: Vec<f32> = biased.iter().map(|y| 0.5 + y).collect();
            assert_same_bits(&run(cpu, x, &w, Some(&bias), Then::Add), &added);
            let mut through_gelu = biased;
            crate::gelu(cpu, &mut through_gelu);
            assert_same_bits(&run(cpu, x, &w, Some(&bias), Then::Gelu), &through_gelu);
        }
    }
}

/// Layers of one grouping, which share the quantized rows, and of two, which cannot.
fn several_layers_at_once_are_the_same(cpu: &Cpu) {
    let mut random = Random(26);
    for cpu in &both(cpu) {
        for group in [64, 32] {
            for m in [1, 3, 5, 50] {
                let (k, outputs) = (192, [40, 17, 130]);
                let forms = [(5, 64), (8, group), (3, 64)];
                let w = std::array::from_fn::<_, 3, _>(|i| weights(forms[i].0, forms[i].1, outputs[i], k, &mut random));
                let (x, bias) = (random.numbers(m * k), random.numbers(outputs[1]));
                let x = Rows::new(&x, m, k);
                let [mut a, mut b, mut c] = outputs.map(|n| vec![f32::NAN; m * n]);
                c.fill(0.5);
                let layers = [
                    Layer {
                        w: &w[0],
                        bias: None,
                        then: Then::Gelu,
                        y: &mut a,
                    },
                    Layer {
                        w: &w[1],
                        bias: Some(&bias),
                        then: Then::Store,
                        y: &mut b,
                    },
                    Layer {
                        w: &w[2],
                        bias: None,
                        then: Then::Add,
                        y: &mut c,
                    },
                ];
                linear_each(cpu, x, layers);
                assert_same_bits(&a, &run(cpu, x, &w[0], None, Then::Gelu));
                assert_same_bits(&b, &run(cpu, x, &w[1], Some(&bias), Then::Store));
                assert_same_bits(&c, &run(cpu, x, &w[2], None, Then::Add));
            }
        }
    }
}

/// Codes and numbers at their ends: the sums that saturating instructions would get wrong, and scales that vanish.
fn extremes_are_right(cpu: &Cpu) {
    for cpu in &both(cpu) {
        let (n, group) = (18, 128);
        let k = 2 * group;
        for bits in BITS {
            for (codes, scale, bias) in [
                (0x00, 1.0, -0.5),
                (0xff, 1.0, 0.0),
                (0xff, 0.25, -32.0),
                (0x80, 1.0, -128.0),
                (0xff, f32::from_bits(3), 0.0),
                (0xff, 1e25, -1e25),
            ] {
                let codes = vec![codes; n * k * bits / 8];
                let (scales, biases) = (vec![scale; 2 * n], vec![bias; 2 * n]);
                let w = Weights::affine(cpu, bits, group, n, k, &codes, &scales, &biases);
                for x in [1.0f32, -1.0, 3e-39, 1e-20, 1e5, 0.0] {
                    // One row of one number throughout, one that alternates.
                    let mut rows = vec![x; 20 * k];
                    rows[k..].iter_mut().step_by(2).for_each(|x| *x = -*x);
                    for m in [1, 20] {
                        let x = Rows::new(&rows[..m * k], m, k);
                        let (expected, sizes) = naive(x, &w, group, cpu.compute());
                        let greatest =
                            (255.0 * f64::from(scale) + f64::from(bias).abs()) * f64::from(x.row(0)[0]).abs();
                        assert_within(&run(cpu, x, &w, None, Then::Store), &expected, |i| {
                            bound(cpu, k, greatest, sizes[i])
                        });
                    }
                }
            }
        }
    }
}

fn nothing_is_read_past_the_end(cpu: &Cpu) {
    #[cfg(unix)]
    {
        use crate::testing::Guarded;
        let mut random = Random(24);
        for (m, n, k) in [(1, 17, 32), (13, 31, 96), (40, 1, 64)] {
            let x = Guarded::new(&random.numbers(m * k));
            let bias = Guarded::new(&random.numbers(n));
            let w = weights(3, 32, n, k, &mut random);
            for cpu in &both(cpu) {
                let y = run(cpu, Rows::new(&x, m, k), &w, Some(&bias), Then::Store);
                assert!(y.iter().all(|y| y.is_finite()));
            }
        }
    }
    let _ = cpu;
}

#[test]
fn fused_instruction_sets_give_the_same_bits() {
    let mut random = Random(25);
    for bits in BITS {
        for (m, n, k) in [(1, 100, 384), (3, 33, 128), (4, 33, 128), (70, 65, 448)] {
            let w = weights(bits, 64, n, k, &mut random);
            let x = random.numbers(m * k);
            let results = fused().into_iter().flat_map(|isa| {
                [1, 2, 3].map(|threads| {
                    both(&Cpu::with(isa, threads)).map(|cpu| run(&cpu, Rows::new(&x, m, k), &w, None, Then::Gelu))
                })
            });
            let results: Vec<_> = results.collect();
            for pair in results.windows(2) {
                (pair[0].iter().zip(&pair[1])).for_each(|(a, b)| assert_same_bits(a, b));
            }
        }
    }
}
