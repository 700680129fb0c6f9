//! The token loop of a decoder allocates nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use kernels::{
    Compute, Cpu, Float, Isa, KeyValue, Rows, Then, Weights, attention, attention_scores, layer_norm, linear,
    log_sum_exp,
};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes every call on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const WIDTH: usize = 128;
const HEADS: usize = 2;
const VOCABULARY: usize = 1000;
const TOKENS: usize = 100;

struct Decoder {
    cpu: Cpu,
    square: Weights,
    up: Weights,
    down: Weights,
    vocabulary: Weights,
    ones: Vec<f32>,
    own: KeyValue,
    cross: KeyValue,
    x: Vec<f32>,
    normal: Vec<f32>,
    q: Vec<f32>,
    hidden: Vec<f32>,
    logits: Vec<f32>,
    scores: Vec<f32>,
}

impl Decoder {
    fn new(isa: Isa, threads: usize, compute: Compute) -> Self {
        let cpu = Cpu::with(isa, threads).computing(compute);
        let codes = |n: usize, k: usize| {
            let groups = vec![0.01; n * k / 64];
            Weights::affine(&cpu, 4, 64, n, k, &vec![0x5a; n * k / 2], &groups, &groups)
        };
        let square = Weights::dense(&cpu, Float::F16, WIDTH, WIDTH, &vec![0x11; 2 * WIDTH * WIDTH]);
        let (up, down, vocabulary) = (
            codes(4 * WIDTH, WIDTH),
            codes(WIDTH, 4 * WIDTH),
            codes(VOCABULARY, WIDTH),
        );
        let mut cross = KeyValue::new(HEADS, WIDTH / HEADS, 1500);
        cross.extend(&cpu, &vec![0.1; 1500 * WIDTH], &vec![0.2; 1500 * WIDTH]);
        Self {
            square,
            up,
            down,
            vocabulary,
            ones: vec![1.0; WIDTH],
            own: KeyValue::new(HEADS, WIDTH / HEADS, 448),
            cross,
            x: vec![0.0; WIDTH],
            normal: vec![0.0; WIDTH],
            q: vec![0.0; WIDTH],
            hidden: vec![0.0; 4 * WIDTH],
            logits: vec![0.0; VOCABULARY],
            scores: vec![0.0; 1500],
            cpu,
        }
    }

    fn token(&mut self, token: usize) -> f32 {
        let cpu = &self.cpu;
        self.vocabulary.row(token, &mut self.x);
        layer_norm(cpu, &self.x, &self.ones, &self.ones, &mut self.normal);
        let normal = Rows::new(&self.normal, 1, WIDTH);
        linear(cpu, normal, &self.square, Some(&self.ones), Then::Store, &mut self.q);
        self.own.extend(cpu, &self.normal, &self.q);
        attention(cpu, &self.q, &self.own, true, &mut self.x);
        attention(cpu, &self.x, &self.cross, false, &mut self.q);
        attention_scores(cpu, &self.x, &self.cross, 1, &mut self.scores);
        linear(
            cpu,
            Rows::new(&self.q, 1, WIDTH),
            &self.up,
            None,
            Then::Gelu,
            &mut self.hidden,
        );
        linear(
            cpu,
            Rows::new(&self.hidden, 1, 4 * WIDTH),
            &self.down,
            None,
            Then::Add,
            &mut self.x,
        );
        linear(
            cpu,
            Rows::new(&self.x, 1, WIDTH),
            &self.vocabulary,
            None,
            Then::Store,
            &mut self.logits,
        );
        log_sum_exp(cpu.isa(), &self.logits)
    }
}

#[test]
fn the_token_loop_allocates_nothing() {
    for isa in Isa::available() {
        for (threads, compute) in [
            (1, Compute::F32),
            (2, Compute::F32),
            (1, Compute::Int8),
            (2, Compute::Int8),
            (2, Compute::Int16),
        ] {
            let mut decoder = Decoder::new(isa, threads, compute);
            // A worker may meet its first task late on a busy machine, and only then get its buffers.
            let allocated = |decoder: &mut Decoder| {
                decoder.own.truncate(0);
                let before = ALLOCATIONS.load(Ordering::Relaxed);
                for token in 0..TOKENS {
                    assert!(decoder.token(token).is_finite());
                }
                ALLOCATIONS.load(Ordering::Relaxed) - before
            };
            let rounds = [(); 6].map(|()| allocated(&mut decoder));
            assert!(
                rounds[1..].contains(&0),
                "{isa:?}, {compute:?}, {threads} threads: allocations of each round {rounds:?}"
            );
        }
    }
}
