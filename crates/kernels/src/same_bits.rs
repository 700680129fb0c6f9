//! All instruction sets with a fused multiply-add, of x86 or Arm, come to one sum: the same bits on every processor.

use crate::testing::{Random, fused};
use crate::{Compute, Cpu, Float, Isa, Rows, Then, Weights, layer_norm, linear, softmax};

#[test]
fn every_processor_comes_to_the_same_bits() {
    for isa in fused() {
        let sum = sum(isa);
        assert_eq!(sum, 0x905a_5199_1dbf_5ae8, "{isa:?}: {sum:#x}");
    }
}

/// FNV-1a over the bits of a chain of operations, dense and quantized, by whole numbers and by floats.
fn sum(isa: Isa) -> u64 {
    let mut sum = 0xcbf2_9ce4_8422_2325u64;
    let mut add = |numbers: &[f32]| {
        for number in numbers {
            sum = (sum ^ u64::from(number.to_bits())).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    let mut random = Random(71);
    let (n, k) = (70, 192);
    for compute in [Compute::F32, Compute::Int8, Compute::Int16] {
        let cpu = &Cpu::with(isa, 2).computing(compute);
        for bits in [2, 3, 4, 5, 6, 8] {
            for (m, group) in [(1, 64), (3, 32), (50, 64)] {
                let codes = random.bytes(n * k * bits / 8);
                let (scales, biases) = (random.numbers(n * k / group), random.numbers(n * k / group));
                let w = Weights::affine(cpu, bits, group, n, k, &codes, &scales, &biases);
                let (mut x, mut y) = (random.numbers(m * k), vec![f32::NAN; m * n]);
                linear(cpu, Rows::new(&x, m, k), &w, None, Then::Gelu, &mut y);
                add(&y);
                softmax(cpu, &mut y, n);
                add(&y);
                let dense: Vec<u8> = random
                    .numbers(n * k)
                    .into_iter()
                    .flat_map(|x| half::f16::from_f32(x).to_le_bytes())
                    .collect();
                let w = Weights::dense(cpu, Float::F16, n, k, &dense);
                let (gamma, beta) = (random.numbers(k), random.numbers(k));
                let from = x.clone();
                layer_norm(cpu, &from, &gamma, &beta, &mut x);
                linear(cpu, Rows::new(&x, m, k), &w, None, Then::Add, &mut y);
                add(&y);
            }
        }
    }
    sum
}
