use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use super::*;
use crate::Isa;
use crate::testing::Random;

fn cpu() -> Cpu {
    Cpu::with(Isa::detect(), 2)
}

/// Codes of a row, bit by bit.
fn naive_codes(row: &[u8], bits: usize, inputs: usize) -> Vec<u32> {
    let bit = |i: usize| u32::from(row[i / 8] >> (i % 8) & 1);
    (0..inputs)
        .map(|k| (0..bits).map(|b| bit(k * bits + b) << b).sum())
        .collect()
}

fn all_rows(w: &Weights) -> Vec<f32> {
    let mut out = vec![f32::NAN; w.outputs() * w.inputs()];
    for (i, row) in out.chunks_exact_mut(w.inputs()).enumerate() {
        w.row(i, row);
    }
    out
}

#[test]
fn dense_rows_come_back() {
    let mut random = Random(1);
    for (n, k) in [(1, 1), (16, 4), (17, 3), (40, 33)] {
        let values = random.numbers(n * k);
        let f16s: Vec<f16> = values.iter().map(|&v| f16::from_f32(v)).collect();
        let bf16s: Vec<bf16> = values.iter().map(|&v| bf16::from_f32(v)).collect();
        let cases: [(Float, Vec<u8>, Vec<f32>); 3] = [
            (
                Float::F32,
                values.iter().flat_map(|v| v.to_le_bytes()).collect(),
                values.clone(),
            ),
            (
                Float::F16,
                f16s.iter().flat_map(|v| v.to_le_bytes()).collect(),
                f16s.iter().map(|v| v.to_f32()).collect(),
            ),
            (
                Float::Bf16,
                bf16s.iter().flat_map(|v| v.to_le_bytes()).collect(),
                bf16s.iter().map(|v| v.to_f32()).collect(),
            ),
        ];
        for (float, bytes, expected) in cases {
            // One byte off: no alignment is promised.
            let unaligned = [&[0][..], &bytes].concat();
            let w = Weights::dense(&cpu(), float, n, k, &unaligned[1..]);
            assert_eq!(all_rows(&w), expected, "{float:?} [{n}, {k}]");
            assert_eq!(
                w.bytes(),
                n.next_multiple_of(16) * k.next_multiple_of(4) * float.bytes()
            );
        }
    }
}

#[test]
fn codes_of_every_width_come_back() {
    let mut random = Random(2);
    for bits in [2, 3, 4, 5, 6, 8] {
        for group in [32, 64, 128] {
            let (n, k) = (19, 256);
            let row_bytes = k * bits / 8;
            let mut codes = random.bytes(n * row_bytes);
            codes[..row_bytes].fill(0);
            codes[row_bytes..2 * row_bytes].fill(0xff);
            let mut scales = random.numbers(n * k / group);
            scales[0] = f32::from_bits(1); // denormal
            let biases = random.numbers(n * k / group);
            let w = Weights::affine(&cpu(), bits, group, n, k, &codes, &scales, &biases);
            let found = all_rows(&w);
            for i in 0..n {
                let naive = naive_codes(&codes[i * row_bytes..][..row_bytes], bits, k);
                for (j, code) in naive.into_iter().enumerate() {
                    let g = i * (k / group) + j / group;
                    assert_eq!(
                        found[i * k + j],
                        (code as f32).mul_add(scales[g], biases[g]),
                        "{bits} bits, {group}: {i} {j}"
                    );
                }
            }
        }
    }
}

#[test]
fn quantized_rows_are_within_half_a_scale() {
    let mut random = Random(3);
    for (n, k) in [(1, 1), (17, 64), (33, 240), (16, 130)] {
        let mut values = random.numbers(n * k);
        values[0] = 1e-42; // a group that may have nothing else
        values[k / 2..k].fill(0.25);
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let w = Weights::quantized(&cpu(), Float::F32, n, k, &bytes);
        let found = all_rows(&w);
        for (row, found) in values.chunks(k).zip(found.chunks(k)) {
            for (group, found) in row.chunks(64).zip(found.chunks(64)) {
                let least = group.iter().copied().fold(f32::MAX, f32::min);
                let greatest = group.iter().copied().fold(f32::MIN, f32::max);
                for (value, found) in group.iter().zip(found) {
                    assert!((value - found).abs() <= (greatest - least) / 509.0, "{value} {found}");
                }
            }
        }
    }
}

#[test]
fn quantized_rows_are_the_same_from_any_float_on_every_instruction_set() {
    let mut random = Random(4);
    for (n, k) in [(1, 1), (17, 64), (20, 333)] {
        let halves: Vec<f16> = random.numbers(n * k).into_iter().map(f16::from_f32).collect();
        let brains: Vec<bf16> = halves.iter().map(|v| bf16::from_f32(v.to_f32())).collect();
        let bytes_of = |values: Vec<f32>| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let cases = [
            (
                Float::F16,
                halves.iter().flat_map(|v| v.to_le_bytes()).collect(),
                bytes_of(halves.iter().map(|v| v.to_f32()).collect()),
            ),
            (
                Float::Bf16,
                brains.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>(),
                bytes_of(brains.iter().map(|v| v.to_f32()).collect()),
            ),
        ];
        for (float, bytes, wide) in cases {
            let expected = all_rows(&Weights::quantized(&cpu(), Float::F32, n, k, &wide));
            for isa in Isa::available() {
                let found = all_rows(&Weights::quantized(&Cpu::with(isa, 2), float, n, k, &bytes));
                assert_eq!(found, expected, "{float:?} [{n}, {k}] on {isa:?}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "bytes of 4-bit codes [2, 64]")]
fn wrong_lengths_panic() {
    Weights::affine(&cpu(), 4, 64, 2, 64, &[0; 63], &[0.0; 2], &[0.0; 2]);
}

#[test]
#[should_panic(expected = "7-bit codes")]
fn unknown_widths_panic() {
    Weights::affine(&cpu(), 7, 64, 2, 64, &[0; 112], &[0.0; 2], &[0.0; 2]);
}

#[test]
#[should_panic(expected = "bytes of a F16 matrix")]
fn sizes_past_the_end_of_numbers_panic() {
    Weights::dense(&cpu(), Float::F16, usize::MAX, 2, &[]);
}

/// MLX's own codes and values, all widths and groups.
#[test]
fn golden_quantization_is_read_as_mlx_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/quantization/affine.safetensors");
    let Ok(file) = std::fs::read(&path) else {
        writeln!(
            std::io::stderr(),
            "skipped: golden_quantization_is_read_as_mlx_does: ../shared is absent"
        )
        .unwrap();
        return;
    };
    let tensors = tensors(&file);
    let mut seen = 0;
    for bits in [2, 3, 4, 5, 6, 8] {
        for group in [32, 64, 128] {
            let of = |part: &str| &tensors[&format!("b{bits}g{group}.{part}")];
            let (shape, codes) = of("weight");
            let (n, k) = (shape[0], shape[1] * 32 / bits);
            let (scales, biases) = (floats(of("scales")), floats(of("biases")));
            let w = Weights::affine(&cpu(), bits, group, n, k, codes, &scales, &biases);
            let found = all_rows(&w);
            let (_, dequantized) = of("dequantized");
            for (i, expected) in dequantized.as_chunks::<2>().0.iter().enumerate() {
                let expected = f16::from_le_bytes(*expected).to_f32();
                let row_bytes = k * bits / 8;
                let (row, column) = (i / k, i % k);
                let code = naive_codes(&codes[row * row_bytes..][..row_bytes], bits, k)[column];
                let g = row * (k / group) + column / group;
                assert_eq!(found[i], (code as f32).mul_add(scales[g], biases[g]));
                // MLX computes in f16, where the product is rounded, and then the sum: the same, bit for bit.
                let product = f16::from_f32(code as f32 * scales[g]).to_f32();
                assert_eq!(
                    f16::from_f32(product + biases[g]).to_f32(),
                    expected,
                    "{bits} bits, {group}, [{i}]"
                );
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 18);
}

/// Name -> (shape, bytes) of a safetensors file.
fn tensors(file: &[u8]) -> BTreeMap<String, (Vec<usize>, Vec<u8>)> {
    let header = usize::try_from(u64::from_le_bytes(file[..8].try_into().unwrap())).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&file[8..8 + header]).unwrap();
    let numbers = |v: &serde_json::Value| -> Vec<usize> {
        v.as_array()
            .unwrap()
            .iter()
            .map(|n| usize::try_from(n.as_u64().unwrap()).unwrap())
            .collect()
    };
    let entries = json
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| *name != "__metadata__");
    entries
        .map(|(name, entry)| {
            let range = numbers(&entry["data_offsets"]);
            let bytes = file[8 + header + range[0]..8 + header + range[1]].to_vec();
            (name.clone(), (numbers(&entry["shape"]), bytes))
        })
        .collect()
}

/// An f16 tensor.
fn floats((_, bytes): &(Vec<usize>, Vec<u8>)) -> Vec<f32> {
    bytes
        .as_chunks::<2>()
        .0
        .iter()
        .map(|b| f16::from_le_bytes(*b).to_f32())
        .collect()
}
