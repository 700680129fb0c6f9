//! Kernels on the shapes of Whisper's layers. Ids are `operation/isa/shape`; beside each time stands the share of the
//! peak of the same threads, measured in the same run: of multiply-adds in f32, or of integer dot products.
//!
//! `cargo bench -p kernels -- linear/avx512`; `THREADS=1` (default: all cores) and `WHISPER_ISA` choose the processor.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use kernels::{
    Compute, Cpu, Float, KeyValue, Rows, Then, Weights, attention, gelu, layer_norm, linear, log_sum_exp, peak_flops,
    peak_int8_ops,
};

/// Measures `f`, which does `flops` operations and reads `bytes` of weights.
fn measure(
    c: &mut Criterion,
    cpu: &Cpu,
    operation: &str,
    shape: &str,
    flops: usize,
    bytes: usize,
    mut f: impl FnMut(),
) {
    let id = format!("{operation}/{}/{shape}", cpu.isa().name());
    let mut best = Duration::MAX;
    let mut peak = 0.0f64;
    c.bench_function(&id, |b| {
        b.iter_custom(|n| {
            peak = peak.max(match cpu.compute() {
                Compute::F32 => peak_flops(cpu),
                Compute::Int8 => peak_int8_ops(cpu),
                Compute::Int16 => peak_int8_ops(cpu) / 2.0,
            });
            let mut total = Duration::ZERO;
            for _ in 0..n {
                let since = Instant::now();
                f();
                let time = since.elapsed();
                best = best.min(time);
                total += time;
            }
            total
        });
    });
    if best < Duration::MAX {
        let rate = flops as f64 / best.as_secs_f64();
        eprintln!(
            "    best {best:.2?}: {:.1} GOP/s, {:.0} % of {:.0}; {:.1} GB/s of weights; {} threads",
            rate * 1e-9,
            rate / peak * 100.0,
            peak * 1e-9,
            bytes as f64 / best.as_secs_f64() * 1e-9,
            cpu.threads()
        );
    }
}

fn weights(cpu: &Cpu, form: &str, n: usize, k: usize) -> Weights {
    match form {
        "f32" => Weights::dense(cpu, Float::F32, n, k, &vec![0x3c; n * k * 4]),
        "f16" => Weights::dense(cpu, Float::F16, n, k, &vec![0x2c; n * k * 2]),
        bits => {
            let bits = bits[1..].parse().expect("a letter and the bits");
            let groups = vec![1e-3; n * k / 64];
            Weights::affine(cpu, bits, 64, n, k, &vec![0x91; n * k / 8 * bits], &groups, &groups)
        }
    }
}

fn kernels(c: &mut Criterion) {
    let threads = std::env::var("THREADS").ok().and_then(|n| n.parse().ok());
    let cpu = &Cpu::new(threads).expect("WHISPER_ISA");
    let (int8, int16) = (
        &cpu.clone().computing(Compute::Int8),
        &cpu.clone().computing(Compute::Int16),
    );

    measure(c, cpu, "region", "empty", 0, 0, || {
        cpu.pool().run(2 * cpu.threads(), |i| {
            black_box(i);
        })
    });

    for (m, k, n) in [
        (1, 512, 512),
        (1, 512, 2048),
        (1, 512, 51_865),
        (4, 512, 51_865),
        (1500, 384, 1536),
        (1500, 512, 512),
        (1500, 512, 2048),
        (1500, 2048, 512),
    ] {
        // f: in f32; q: integers, of 16 bits for the few rows of a decoder.
        for form in ["f32", "f16", "f8", "q8", "q5", "q4"] {
            let cpu = match (form.starts_with('q'), m) {
                (false, _) => cpu,
                (true, ..16) => int16,
                (true, _) => int8,
            };
            let w = weights(cpu, form, n, k);
            let (x, mut y) = (vec![0.5; m * k], vec![0.0; m * n]);
            let then = if m > 1 && n > k { Then::Gelu } else { Then::Store };
            measure(
                c,
                cpu,
                "linear",
                &format!("{m}x{k}x{n}-{form}"),
                2 * m * k * n,
                w.bytes(),
                || {
                    linear(cpu, Rows::new(black_box(&x), m, k), &w, None, then, &mut y);
                },
            );
        }
    }

    let w = weights(cpu, "f16", 512, 3 * 80);
    let (frames, mut y) = (vec![0.5; 3002 * 80], vec![0.0; 3000 * 512]);
    measure(
        c,
        cpu,
        "conv1",
        "3000x240x512-f16",
        2 * 3000 * 240 * 512,
        w.bytes(),
        || {
            linear(cpu, Rows::strided(&frames, 3000, 240, 80), &w, None, Then::Gelu, &mut y);
        },
    );

    let width = 512;
    let x: Vec<f32> = (0..1500 * width)
        .map(|i| (i * 7919 % 997) as f32 / 997.0 - 0.5)
        .collect();
    for (m, len, causal) in [(1500, 1500, false), (1, 1500, false), (1, 100, true), (200, 200, true)] {
        let mut kv = KeyValue::new(8, 64, len);
        kv.extend(cpu, &x[..len * width], &x[..len * width]);
        let mut out = vec![0.0; m * width];
        let flops = 4 * m * len * width / if causal && m > 1 { 2 } else { 1 };
        measure(
            c,
            cpu,
            "attention",
            &format!("{m}x{len}x64x8"),
            flops,
            kv.bytes(),
            || {
                attention(cpu, &x[..m * width], &kv, causal, &mut out);
            },
        );
    }
    // Keys and values of a window in whole numbers, for the encoder's rows and for the decoder's one.
    for m in [1500, 1] {
        let kv = KeyValue::whole(int8, 8, 64, &x, &x);
        let mut out = vec![0.0; m * width];
        let (flops, shape) = (4 * m * 1500 * width, format!("{m}x1500x64x8-q8"));
        measure(c, int8, "attention", &shape, flops, kv.bytes(), || {
            attention(int8, &x[..m * width], &kv, false, &mut out);
        });
    }
    let x: Vec<f32> = vec![0.1; 1500 * width];
    measure(c, cpu, "extend", "1500x64x8", 0, 8 * x.len(), || {
        let mut kv = KeyValue::new(8, 64, 1500);
        kv.extend(cpu, &x, &x);
        black_box(&kv);
    });

    for m in [1, 1500] {
        let (x, gamma, mut out) = (vec![0.1; m * width], vec![1.0; width], vec![0.0; m * width]);
        measure(c, cpu, "layer_norm", &format!("{m}x{width}"), 0, 0, || {
            layer_norm(cpu, &x, &gamma, &gamma, &mut out)
        });
    }
    let mut x = vec![0.5; 1500 * 2048];
    measure(c, cpu, "gelu", "1500x2048", 0, 0, || gelu(cpu, black_box(&mut x)));
    let x: Vec<f32> = (0..51_865).map(|i| (i * 7919 % 997) as f32 * 0.02).collect();
    measure(c, cpu, "log_sum_exp", "51865", 0, 0, || {
        black_box(log_sum_exp(cpu.isa(), black_box(&x)));
    });

    let (n, k) = (51_865, 512);
    let (codes, groups) = (vec![0x35; n * k / 8 * 5], vec![1e-3; n * k / 64]);
    measure(c, cpu, "load", "51865x512-5bit", 0, codes.len(), || {
        drop(black_box(Weights::affine(cpu, 5, 64, n, k, &codes, &groups, &groups)));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(300));
    targets = kernels
}
criterion_main!(benches);
