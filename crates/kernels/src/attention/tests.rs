use super::*;
use crate::Compute;
use crate::testing::{Random, assert_same_bits, assert_within, fused, on_every_isa, poison_scratch};

struct Case {
    heads: usize,
    head_dim: usize,
    q: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Case {
    fn new(heads: usize, head_dim: usize, m: usize, len: usize, seed: u64) -> Self {
        let mut random = Random(seed);
        let width = heads * head_dim;
        // Wide enough for a softmax that is not flat.
        let q = random.numbers(m * width).iter().map(|x| x * 4.0).collect();
        Self {
            heads,
            head_dim,
            q,
            keys: random.numbers(len * width),
            values: random.numbers(len * width),
        }
    }

    fn width(&self) -> usize {
        self.heads * self.head_dim
    }

    fn kv(&self, cpu: &Cpu, capacity: usize) -> KeyValue {
        let mut kv = KeyValue::new(self.heads, self.head_dim, capacity);
        kv.extend(cpu, &self.keys, &self.values);
        kv
    }

    fn naive_scores(&self, head: usize) -> Vec<Vec<f64>> {
        let of = |x: &[f32], row: usize, d: usize| f64::from(x[row * self.width() + head * self.head_dim + d]);
        let (m, len) = (self.q.len() / self.width(), self.keys.len() / self.width());
        let dot = |i, j| {
            (0..self.head_dim)
                .map(|d| of(&self.q, i, d) * of(&self.keys, j, d))
                .sum::<f64>()
        };
        (0..m)
            .map(|i| (0..len).map(|j| dot(i, j) / (self.head_dim as f64).sqrt()).collect())
            .collect()
    }

    fn naive(&self, causal: bool) -> Vec<f64> {
        let (m, len) = (self.q.len() / self.width(), self.keys.len() / self.width());
        let mut out = vec![0.0; self.q.len()];
        for head in 0..self.heads {
            for (i, scores) in self.naive_scores(head).iter().enumerate() {
                let seen = if causal { len - m + i + 1 } else { len };
                let total: f64 = scores[..seen].iter().map(|s| s.exp()).sum();
                for d in 0..self.head_dim {
                    let column = head * self.head_dim + d;
                    let weighted =
                        |j: usize| scores[j].exp() / total * f64::from(self.values[j * self.width() + column]);
                    out[i * self.width() + column] = (0..seen).map(weighted).sum();
                }
            }
        }
        out
    }
}

fn run(cpu: &Cpu, q: &[f32], kv: &KeyValue, causal: bool) -> Vec<f32> {
    let mut out = vec![f32::NAN; q.len()];
    attention(cpu, q, kv, causal, &mut out);
    out
}

const SHAPES: [(usize, usize, usize, usize); 11] = [
    (1, 16, 1, 1),
    (2, 64, 1, 37),
    (3, 64, 2, 15),
    (2, 32, 3, 16),
    (2, 48, 5, 17),
    (2, 64, 13, 40),
    (1, 80, 12, 12),
    (2, 64, 31, 333),
    (1, 64, 50, 50),
    (2, 96, 7, 70),
    (1, 160, 5, 33),
];

on_every_isa!(
    attention_is_right,
    scores_are_right,
    a_step_is_a_prefill,
    a_query_alone_is_the_same,
    a_truncated_sequence_goes_on_as_a_new_one,
    what_is_not_seen_does_not_matter,
    a_clone_goes_on_by_itself,
    quantized_attention_is_near,
    a_quantized_query_alone_is_the_same,
    another_sequence_takes_the_place,
);

/// `cpu` computing in whole numbers, and the case's keys and values quantized.
fn quantized(cpu: &Cpu, case: &Case) -> (Cpu, KeyValue) {
    let cpu = Cpu::with(cpu.isa(), cpu.threads()).computing(Compute::Int8);
    let kv = KeyValue::whole(&cpu, case.heads, case.head_dim, &case.keys, &case.values);
    (cpu, kv)
}

fn quantized_attention_is_near(cpu: &Cpu) {
    for (i, (heads, head_dim, m, len)) in SHAPES.into_iter().enumerate() {
        let case = Case::new(heads, head_dim, m, len, 20 + i as u64);
        let (cpu, kv) = quantized(cpu, &case);
        assert_eq!(kv.quantized().is_some(), [32, 64, 96].contains(&head_dim), "{head_dim}");
        for causal in [false, true] {
            poison_scratch(&cpu);
            // Numbers are up to 1, steps 1/127: half a step of each key, query (times 4), weight and value.
            assert_within(&run(&cpu, &case.q, &kv, causal), &case.naive(causal), |_| 0.06);
        }
        for head in 0..heads {
            let mut found = vec![f32::NAN; m * len];
            poison_scratch(&cpu);
            attention_scores(&cpu, &case.q, &kv, head, &mut found);
            assert_within(&found, &case.naive_scores(head).concat(), |_| 0.15);
        }
    }
    // What is exact in whole numbers comes out exactly but for the scales: one position, values of one size.
    let mut case = Case::new(1, 64, 3, 1, 9);
    case.values.iter_mut().for_each(|v| *v = v.signum() * 0.75);
    let (cpu, kv) = quantized(cpu, &case);
    let expected: Vec<f64> = case.values.repeat(3).iter().map(|v| f64::from(*v)).collect();
    assert_within(&run(&cpu, &case.q, &kv, false), &expected, |_| 1e-6);
}

fn a_quantized_query_alone_is_the_same(cpu: &Cpu) {
    let case = Case::new(2, 64, 40, 130, 90);
    let (cpu, kv) = quantized(cpu, &case);
    let all = run(&cpu, &case.q, &kv, false);
    for (q, all) in case.q.chunks_exact(case.width()).zip(all.chunks_exact(case.width())) {
        assert_same_bits(&run(&cpu, q, &kv, false), all);
    }
    for q in [3, 4].map(|rows| rows * case.width()) {
        assert_same_bits(&run(&cpu, &case.q[..q], &kv, false), &all[..q]);
    }
    if cpu.isa().name() != "scalar" {
        for isa in fused() {
            let (cpu, kv) = quantized(&Cpu::with(isa, 1), &case);
            assert_same_bits(&run(&cpu, &case.q, &kv, false), &all);
        }
    }
}

fn another_sequence_takes_the_place(cpu: &Cpu) {
    for compute in [Compute::F32, Compute::Int8] {
        let cpu = Cpu::with(cpu.isa(), cpu.threads()).computing(compute);
        let mut kv = KeyValue::new(2, 64, 0);
        // Longer, shorter, of the same length; the clone keeps what it has.
        for (i, len) in [70, 130, 70, 70].into_iter().enumerate() {
            let case = Case::new(2, 64, 7, len, 60 + i as u64);
            kv.replace(&cpu, &case.keys, &case.values);
            let whole = KeyValue::whole(&cpu, 2, 64, &case.keys, &case.values);
            let expected = run(&cpu, &case.q, &whole, false);
            assert_same_bits(&run(&cpu, &case.q, &kv, false), &expected);
            let clone = kv.clone();
            let other = Case::new(2, 64, 7, len, 80);
            kv.replace(&cpu, &other.keys, &other.values);
            assert_same_bits(&run(&cpu, &case.q, &clone, false), &expected);
        }
    }
}

fn attention_is_right(cpu: &Cpu) {
    for (i, (heads, head_dim, m, len)) in SHAPES.into_iter().enumerate() {
        let case = Case::new(heads, head_dim, m, len, 20 + i as u64);
        let kv = case.kv(cpu, len + i);
        for causal in [false, true] {
            poison_scratch(cpu);
            let found = run(cpu, &case.q, &kv, causal);
            assert_within(&found, &case.naive(causal), |_| 2e-6);
        }
    }
}

fn scores_are_right(cpu: &Cpu) {
    for (i, (heads, head_dim, m, len)) in SHAPES.into_iter().enumerate() {
        let case = Case::new(heads, head_dim, m, len, 40 + i as u64);
        let kv = case.kv(cpu, len);
        for head in 0..heads {
            let mut found = vec![f32::NAN; m * len];
            poison_scratch(cpu);
            attention_scores(cpu, &case.q, &kv, head, &mut found);
            assert_within(&found, &case.naive_scores(head).concat(), |_| 1e-5);
        }
    }
}

fn a_step_is_a_prefill(cpu: &Cpu) {
    let len = 70;
    let case = Case::new(2, 64, len, len, 60);
    let width = case.width();
    let prefill = run(cpu, &case.q, &case.kv(cpu, len), true);
    let mut kv = KeyValue::new(2, 64, 448);
    for i in 0..len {
        let row = i * width..(i + 1) * width;
        kv.extend(cpu, &case.keys[row.clone()], &case.values[row.clone()]);
        assert_same_bits(&run(cpu, &case.q[row.clone()], &kv, true), &prefill[row]);
    }
}

fn a_query_alone_is_the_same(cpu: &Cpu) {
    let case = Case::new(2, 64, 29, 101, 61);
    let kv = case.kv(cpu, 101);
    let all = run(cpu, &case.q, &kv, false);
    for (q, all) in case.q.chunks_exact(128).zip(all.chunks_exact(128)) {
        assert_same_bits(&run(cpu, q, &kv, false), all);
    }
}

fn a_truncated_sequence_goes_on_as_a_new_one(cpu: &Cpu) {
    let (a, b) = (Case::new(2, 32, 4, 40, 62), Case::new(2, 32, 4, 40, 63));
    let mut kv = a.kv(cpu, 64);
    kv.truncate(21);
    kv.extend(cpu, &b.keys[..10 * 64], &b.values[..10 * 64]);
    assert_eq!(kv.len(), 31);
    let mut fresh = KeyValue::new(2, 32, 31);
    fresh.extend(cpu, &a.keys[..21 * 64], &a.values[..21 * 64]);
    fresh.extend(cpu, &b.keys[..10 * 64], &b.values[..10 * 64]);
    assert_same_bits(&run(cpu, &a.q, &kv, true), &run(cpu, &a.q, &fresh, true));
}

/// NaN after the sequence, within its last quad and after.
fn what_is_not_seen_does_not_matter(cpu: &Cpu) {
    let case = Case::new(1, 64, 1, 18, 64);
    let clean = case.kv(cpu, 32);
    let mut dirty = case.kv(cpu, 32);
    dirty.extend(cpu, &[f32::NAN; 14 * 64], &[f32::NAN; 14 * 64]);
    dirty.truncate(18);
    assert_same_bits(&run(cpu, &case.q, &dirty, true), &run(cpu, &case.q, &clean, true));
}

fn a_clone_goes_on_by_itself(cpu: &Cpu) {
    let case = Case::new(2, 48, 3, 37, 65);
    let kv = case.kv(cpu, 50);
    let mut copy = kv.clone();
    assert_same_bits(&run(cpu, &case.q, &copy, false), &run(cpu, &case.q, &kv, false));
    copy.truncate(5);
    copy.extend(cpu, &case.keys[..96], &case.values[..96]);
    assert_eq!((kv.len(), copy.len()), (37, 6));
    assert_within(&run(cpu, &case.q, &kv, false), &case.naive(false), |_| 2e-6);
}

#[test]
fn fused_instruction_sets_and_any_threads_give_the_same_bits() {
    for (i, (heads, head_dim, m, len)) in SHAPES.into_iter().enumerate() {
        let case = Case::new(heads, head_dim, m, len, 80 + i as u64);
        let cpus = fused()
            .into_iter()
            .flat_map(|isa| [1, 2, 3].map(|threads| Cpu::with(isa, threads)));
        let results = cpus.map(|cpu| run(&cpu, &case.q, &case.kv(&cpu, len), true));
        for pair in results.collect::<Vec<_>>().windows(2) {
            assert_same_bits(&pair[0], &pair[1]);
        }
    }
}

#[test]
#[should_panic(expected = "3 positions after 30 of 32")]
fn a_full_cache_panics() {
    let cpu = Cpu::with(crate::Isa::detect(), 1);
    let mut kv = KeyValue::new(1, 16, 32);
    kv.extend(&cpu, &[0.0; 480], &[0.0; 480]);
    kv.extend(&cpu, &[0.0; 48], &[0.0; 48]);
}

#[test]
#[should_panic(expected = "attention over no position")]
fn an_empty_cache_panics() {
    let cpu = Cpu::with(crate::Isa::detect(), 1);
    attention(&cpu, &[0.0; 16], &KeyValue::new(1, 16, 32), false, &mut [0.0; 16]);
}
