//! What a token costs: one projected row, and not one allocation.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};

use kernels::{Cpu, Isa};
use whisper::audio::{AudioFile, AudioOptions};
use whisper::cpu::CpuModel;
use whisper::mel::LogMel;
use whisper::model::{Alignment, Dims, Feed, Head, MelWindow, Model, Token};
use whisper::weights::Checkpoint;
use whisper::{Options, Result, transcribe};

mod support;
use support::{bundled, root};

/// A model that notes, for every step, the rows asked for and the allocations.
struct Watched {
    model: CpuModel,
    steps: Mutex<Vec<(usize, u64)>>,
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
        let mut result = Ok(());
        let allocations = allocation_counter::measure(|| result = self.model.step(batch, logits)).count_total;
        self.steps.lock().unwrap().push((rows, allocations));
        result?;
        assert_eq!(logits.len(), rows * self.dims().n_vocab);
        Ok(())
    }

    fn align(&self, audio: &Arc<Self::Audio>, tokens: &[Token], heads: &[Head]) -> Result<Alignment> {
        self.model.align(audio, tokens, heads)
    }
}

#[test]
fn a_token_is_one_row_and_no_allocation() {
    // One thread: allocations are counted on the calling one.
    let model = CpuModel::load(Checkpoint::open(&bundled()).unwrap(), Cpu::with(Isa::detect(), 1)).unwrap();
    let model = Watched {
        model,
        steps: Mutex::default(),
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

    // The prompt brings the buffers to their size. What the loop around a step allocates (nothing, too) is counted in
    // `decode/tests.rs`.
    let allocations: Vec<u64> = steps[1..].iter().map(|step| step.1).collect();
    assert_eq!(allocations, vec![0; allocations.len()], "allocations within a step");
}
