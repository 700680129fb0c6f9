//! What a token costs: one projected row, and not one allocation.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use kernels::Isa;
use whisper::audio::{AudioFile, AudioOptions};
use whisper::cpu::CpuModel;
use whisper::mel::LogMel;
use whisper::model::{Alignment, Dims, Feed, Head, MelWindow, Model, Token};
use whisper::{Options, Result, transcribe};

mod support;
use support::{bundled, load, root};

/// The system's allocator, counted.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`; `System` has allocated.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `realloc`; `System` has allocated.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A model that notes, for every step, the rows asked for and the allocations up to then.
struct Watched {
    model: CpuModel,
    steps: Mutex<Vec<(usize, usize)>>,
}

impl Model for Watched {
    type Audio = <CpuModel as Model>::Audio;
    type Hypothesis = <CpuModel as Model>::Hypothesis;

    fn dims(&self) -> &Dims {
        self.model.dims()
    }

    fn encode(&self, mel: &[MelWindow<'_>]) -> Result<Vec<Arc<Self::Audio>>> {
        self.model.encode(mel)
    }

    fn begin(&self, audio: &Arc<Self::Audio>) -> Result<Self::Hypothesis> {
        self.model.begin(audio)
    }

    fn fork(&self, from: &Self::Hypothesis) -> Result<Self::Hypothesis> {
        self.model.fork(from)
    }

    fn truncate(&self, hypothesis: &mut Self::Hypothesis, len: usize) {
        self.model.truncate(hypothesis, len);
    }

    fn step(&self, batch: &mut [Feed<'_, Self::Hypothesis>], logits: &mut Vec<f32>) -> Result<()> {
        let rows = batch.iter().map(|feed| feed.rows.len()).sum();
        self.steps
            .lock()
            .unwrap()
            .push((rows, ALLOCATIONS.load(Ordering::Relaxed)));
        self.model.step(batch, logits)?;
        assert_eq!(logits.len(), rows * self.dims().n_vocab);
        Ok(())
    }

    fn align(&self, audio: &Arc<Self::Audio>, tokens: &[Token], heads: &[Head]) -> Result<Alignment> {
        self.model.align(audio, tokens, heads)
    }
}

#[test]
fn a_token_is_one_row_and_no_allocation() {
    let steps = Mutex::new(Vec::with_capacity(1000)); // noting a step must not allocate either
    let model = Watched {
        model: load(&bundled(), Isa::detect()),
        steps,
    };
    let samples = AudioFile::open(&root().join("samples/jfk.flac"), &AudioOptions::default());
    let mel = LogMel::from_samples(&samples.unwrap().read_all().unwrap(), 80);
    let options = Options {
        language: Some("en".parse().unwrap()),
        temperatures: vec![0.0],
        ..Options::default()
    };
    let transcript = transcribe(&model, &mel, &options).unwrap().finish().unwrap();

    let steps = model.steps.into_inner().unwrap();
    let tokens: usize = transcript.segments.iter().map(|segment| segment.tokens.len()).sum();
    assert!(tokens > 20, "{transcript:?}");
    let rows: Vec<usize> = steps.iter().map(|step| step.0).collect();
    let expected: Vec<usize> = std::iter::once(2).chain(std::iter::repeat_n(1, tokens)).collect();
    assert_eq!(
        rows, expected,
        "rows projected: no-speech and first token, then one each"
    );

    // The first steps bring the buffers to their size.
    let allocations: Vec<usize> = steps[3..].windows(2).map(|pair| pair[1].1 - pair[0].1).collect();
    assert_eq!(
        allocations,
        vec![0; allocations.len()],
        "allocations between one step and the next"
    );
}
