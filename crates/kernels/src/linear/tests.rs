use half::{bf16, f16};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;
use crate::testing::{Random, assert_same_bits, assert_within, fused, on_every_isa, poison_scratch};
use crate::{Float, Isa, gelu};

/// A random matrix in each form, with its exact values.
const FORMS: [&str; 6] = ["f32", "f16", "bf16", "4 bits", "5 bits", "8 bits"];

fn weights(form: &str, n: usize, k: usize, random: &mut Random) -> Weights {
    let cpu = &Cpu::with(Isa::detect(), 1);
    let values = random.numbers(n * k);
    let bytes = |f: fn(f32) -> Vec<u8>| -> Vec<u8> { values.iter().flat_map(|&v| f(v)).collect() };
    match form {
        "f32" => Weights::dense(cpu, Float::F32, n, k, &bytes(|v| v.to_le_bytes().to_vec())),
        "f16" => Weights::dense(
            cpu,
            Float::F16,
            n,
            k,
            &bytes(|v| f16::from_f32(v).to_le_bytes().to_vec()),
        ),
        "bf16" => Weights::dense(
            cpu,
            Float::Bf16,
            n,
            k,
            &bytes(|v| bf16::from_f32(v).to_le_bytes().to_vec()),
        ),
        quantized => {
            let bits: usize = quantized[..1].parse().unwrap();
            let codes = random.bytes(n * k * bits / 8);
            let scale = 2f32.powi(1 - bits as i32);
            let scales: Vec<f32> = random.numbers(n * k / 32).iter().map(|s| s * scale).collect();
            let biases: Vec<f32> = scales.iter().map(|s| -s * 2f32.powi(bits as i32 - 1)).collect();
            Weights::affine(cpu, bits, 32, n, k, &codes, &scales, &biases)
        }
    }
}

fn rows_of(w: &Weights) -> Vec<f32> {
    let mut all = vec![f32::NAN; w.outputs() * w.inputs()];
    if w.inputs() > 0 {
        all.chunks_exact_mut(w.inputs())
            .enumerate()
            .for_each(|(i, row)| w.row(i, row));
    }
    all
}

/// Exact results, and for each the sum of absolute products.
fn naive(x: Rows<'_>, w: &Weights, bias: Option<&[f32]>) -> (Vec<f64>, Vec<f64>) {
    let (n, k, rows) = (w.outputs(), w.inputs(), rows_of(w));
    let mut results = Vec::new();
    let mut sizes = Vec::new();
    for i in 0..x.rows {
        for j in 0..n {
            let products = || {
                x.row(i)
                    .iter()
                    .zip(&rows[j * k..])
                    .map(|(&x, &w)| f64::from(x) * f64::from(w))
            };
            let bias = bias.map_or(0.0, |b| f64::from(b[j]));
            results.push(products().sum::<f64>() + bias);
            sizes.push(products().map(f64::abs).sum::<f64>() + bias.abs());
        }
    }
    (results, sizes)
}

fn bound(k: usize, size: f64) -> f64 {
    2f64.powi(-23) * (k as f64 + 4.0) * size + 1e-30
}

fn run(cpu: &Cpu, x: Rows<'_>, w: &Weights, bias: Option<&[f32]>) -> Vec<f32> {
    let mut y = vec![f32::NAN; x.rows * w.outputs()];
    linear(cpu, x, w, bias, Then::Store, &mut y);
    y
}

on_every_isa!(
    any_shape_is_right,
    long_sums_are_right,
    every_row_alone_is_the_same,
    results_are_stored_through_gelu_or_added,
    overlapping_rows_are_a_convolution,
    extreme_codes_are_right,
    nothing_in_nothing_out,
    nothing_is_read_past_the_end,
);

fn any_shape_is_right(cpu: &Cpu) {
    let config = Config {
        cases: 60,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]));
    let shapes = (
        1..40usize,
        1..70usize,
        0..150usize,
        0..FORMS.len(),
        any::<bool>(),
        any::<u64>(),
    );
    let result = runner.run(&shapes, |(m, n, k, form, biased, seed)| {
        let mut random = Random(seed);
        let k = if form < 3 { k } else { k.next_multiple_of(32) };
        let w = weights(FORMS[form], n, k, &mut random);
        let (x, bias) = (random.numbers(m * k), random.numbers(n));
        let (x, bias) = (Rows::new(&x, m, k), biased.then_some(&bias[..]));
        let (expected, sizes) = naive(x, &w, bias);
        poison_scratch(cpu);
        assert_within(&run(cpu, x, &w, bias), &expected, |i| bound(k, sizes[i]));
        Ok(())
    });
    result.unwrap();
}

/// Longer than a stretch of inputs, several blocks and groups.
fn long_sums_are_right(cpu: &Cpu) {
    let mut random = Random(8);
    for (form, m, n, k) in [
        ("f32", 150, 65, 777),
        ("8 bits", 150, 65, 800),
        ("5 bits", 13, 700, 1536),
        ("f16", 14, 33, 5120),
    ] {
        let w = weights(form, n, k, &mut random);
        let x = random.numbers(m * k);
        let x = Rows::new(&x, m, k);
        let (expected, sizes) = naive(x, &w, None);
        poison_scratch(cpu);
        assert_within(&run(cpu, x, &w, None), &expected, |i| bound(k, sizes[i]));
    }
}

fn every_row_alone_is_the_same(cpu: &Cpu) {
    let mut random = Random(9);
    for form in FORMS {
        for (m, n, k) in [(2, 40, 64), (4, 40, 64), (7, 33, 96), (31, 50, 416), (130, 17, 384)] {
            let w = weights(form, n, k, &mut random);
            let (x, bias) = (random.numbers(m * k), random.numbers(n));
            let all = run(cpu, Rows::new(&x, m, k), &w, Some(&bias));
            for (x, all) in x.chunks_exact(k).zip(all.chunks_exact(n)) {
                assert_same_bits(&run(cpu, Rows::new(x, 1, k), &w, Some(&bias)), all);
            }
        }
    }
}

fn results_are_stored_through_gelu_or_added(cpu: &Cpu) {
    let mut random = Random(10);
    for (m, n, k) in [(1, 37, 40), (3, 16, 40), (50, 37, 200)] {
        let w = weights("f16", n, k, &mut random);
        let (x, bias, before) = (random.numbers(m * k), random.numbers(n), random.numbers(m * n));
        let x = Rows::new(&x, m, k);
        let stored = run(cpu, x, &w, Some(&bias));

        let mut through_gelu = vec![f32::NAN; m * n];
        linear(cpu, x, &w, Some(&bias), Then::Gelu, &mut through_gelu);
        let mut expected = stored.clone();
        gelu(cpu, &mut expected);
        assert_same_bits(&through_gelu, &expected);

        let mut added = before.clone();
        linear(cpu, x, &w, Some(&bias), Then::Add, &mut added);
        let expected: Vec<f32> = before.iter().zip(&stored).map(|(y, r)| y + r).collect();
        assert_same_bits(&added, &expected);
    }
}

fn overlapping_rows_are_a_convolution(cpu: &Cpu) {
    let mut random = Random(11);
    let (frames, channels, n) = (61, 5, 21);
    let padded = random.numbers((frames + 2) * channels);
    let w = weights("f32", n, 3 * channels, &mut random);
    let kernel = rows_of(&w);
    for stride in [1, 2] {
        let rows = (frames - 1) / stride + 1;
        let y = run(
            cpu,
            Rows::strided(&padded, rows, 3 * channels, stride * channels),
            &w,
            None,
        );
        for frame in 0..rows {
            for out in 0..n {
                let mut sum = 0.0;
                for tap in 0..3 {
                    for channel in 0..channels {
                        let x = padded[(frame * stride + tap) * channels + channel];
                        sum += f64::from(x) * f64::from(kernel[(out * 3 + tap) * channels + channel]);
                    }
                }
                assert!((f64::from(y[frame * n + out]) - sum).abs() < 1e-5);
            }
        }
    }
}

fn extreme_codes_are_right(cpu: &Cpu) {
    let (n, k) = (18, 64);
    let x = Random(12).numbers(20 * k);
    for (codes, scale, bias) in [
        (0x00, 1.0, -0.5),
        (0xff, 0.25, 3.0),
        (0xff, f32::from_bits(3), 0.0),
        (0xa5, 1e30, -1e30),
    ] {
        let w = Weights::affine(cpu, 8, 64, n, k, &vec![codes; n * k], &vec![scale; n], &vec![bias; n]);
        for m in [1, 20] {
            let x = Rows::new(&x[..m * k], m, k);
            let (expected, sizes) = naive(x, &w, None);
            // In scalar code the product is rounded before the bias is added.
            let cancelled = f64::from(codes) * f64::from(scale) * 1e-6 * k as f64;
            assert_within(&run(cpu, x, &w, None), &expected, |i| bound(k, sizes[i]) + cancelled);
        }
    }
}

fn nothing_in_nothing_out(cpu: &Cpu) {
    let none = Weights::dense(cpu, Float::F32, 3, 0, &[]);
    for m in [1, 20] {
        let y = run(cpu, Rows::new(&[], m, 0), &none, Some(&[1.0, 2.0, 3.0]));
        assert_eq!(y, [1.0, 2.0, 3.0].repeat(m));
    }
    let w = Weights::dense(cpu, Float::F32, 0, 5, &[]);
    for m in [2, 20] {
        assert!(run(cpu, Rows::new(&vec![0.0; m * 5], m, 5), &w, None).is_empty());
    }
    assert!(run(cpu, Rows::new(&[], 0, 5), &w, None).is_empty());
}

fn nothing_is_read_past_the_end(cpu: &Cpu) {
    #[cfg(unix)]
    {
        use crate::testing::Guarded;
        let mut random = Random(13);
        for (m, n, k) in [(1, 17, 33), (13, 31, 45), (40, 1, 7)] {
            let x = Guarded::new(&random.numbers(m * k));
            let bias = Guarded::new(&random.numbers(n));
            let bytes: Vec<u8> = random.numbers(n * k).iter().flat_map(|v| v.to_le_bytes()).collect();
            let w = Weights::dense(cpu, Float::F32, n, k, &Guarded::new(&bytes));
            let x = Rows::new(&x, m, k);
            let (expected, sizes) = naive(x, &w, Some(&bias));
            assert_within(&run(cpu, x, &w, Some(&bias)), &expected, |i| bound(k, sizes[i]));
        }
        for bits in [2, 3, 4, 5, 6, 8] {
            let codes = Guarded::new(&random.bytes(5 * 64 * bits / 8));
            let groups = Guarded::new(&random.numbers(10));
            Weights::affine(cpu, bits, 32, 5, 64, &codes, &groups, &groups);
        }
    }
    let _ = cpu;
}

#[test]
fn fused_instruction_sets_and_any_threads_give_the_same_bits() {
    let mut random = Random(14);
    for form in FORMS {
        for (m, n, k) in [(1, 333, 160), (3, 70, 160), (5, 70, 416), (40, 70, 416), (125, 150, 96)] {
            let w = weights(form, n, k, &mut random);
            let (x, bias) = (random.numbers(m * k), random.numbers(n));
            let cpus = fused()
                .into_iter()
                .flat_map(|isa| [1, 2, 3].map(|threads| Cpu::with(isa, threads)));
            let results = cpus.map(|cpu| run(&cpu, Rows::new(&x, m, k), &w, Some(&bias)));
            for pair in results.collect::<Vec<_>>().windows(2) {
                assert_same_bits(&pair[0], &pair[1]);
            }
        }
    }
}

/// The contract, to the letter.
#[test]
fn an_output_is_one_chain_of_fused_multiply_adds() {
    let mut random = Random(15);
    for form in FORMS {
        let (m, n, k) = (14, 35, 416);
        let w = weights(form, n, k, &mut random);
        let (x, rows) = (random.numbers(m * k), rows_of(&w));
        let mut expected = Vec::new();
        for i in 0..m {
            for j in 0..n {
                let chain = (0..k).fold(0.0f32, |acc, l| x[i * k + l].mul_add(rows[j * k + l], acc));
                expected.push(chain);
            }
        }
        for isa in fused() {
            assert_same_bits(&run(&Cpu::with(isa, 2), Rows::new(&x, m, k), &w, None), &expected);
        }
    }
}

#[test]
#[should_panic(expected = "columns of x must match")]
fn wrong_shapes_panic() {
    let cpu = Cpu::with(Isa::detect(), 1);
    let w = Weights::dense(&cpu, Float::F32, 1, 2, &[0; 8]);
    linear(&cpu, Rows::new(&[0.0; 3], 1, 3), &w, None, Then::Store, &mut [0.0]);
}

#[test]
#[should_panic(expected = "3 rows of 4, 2 apart")]
fn rows_outside_of_the_data_panic() {
    Rows::strided(&[0.0; 7], 3, 4, 2);
}
