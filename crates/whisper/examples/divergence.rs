//! How far whole numbers move the network: float32 and int8 read the same text over the same sound.
//!
//! ```console
//! $ cargo run --release -p whisper --example divergence -- assets/whisper-base-mlx-5bit samples/jfk.flac
//! ```
//!
//! Word error rates compare transcripts, in which one tipped near-tie changes all that follows. Here float32's text of the first
//! window of each recording is read by both, and each token is compared under the same ones before it.

use std::path::Path;

use kernels::Compute;
use whisper::audio::{AudioFile, AudioOptions};
use whisper::cpu::{Cpu, CpuModel};
use whisper::mel::LogMel;
use whisper::model::{Feed, MEL_FRAMES, MelWindow, Model, Token};
use whisper::tokenizer::{Task, Tokenizer};
use whisper::weights::Checkpoint;
use whisper::{Options, transcribe};

#[expect(clippy::print_stdout, reason = "this is a program")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let Some(folder) = arguments.next() else {
        println!("divergence FOLDER RECORDING...");
        return Ok(());
    };
    let checkpoint = || Checkpoint::open(Path::new(&folder));
    let exact = CpuModel::load(checkpoint()?, Cpu::new(None)?.computing(Compute::F32))?;
    let whole = CpuModel::load(checkpoint()?, Cpu::new(None)?.computing(Compute::Int8))?;
    let n_vocab = exact.dims().n_vocab;
    let tokenizer = Tokenizer::new(n_vocab)?;

    let (mut n_tokens, mut n_same, mut divergence) = (0, 0, 0.0);
    for recording in arguments {
        let samples = AudioFile::open(Path::new(&recording), &AudioOptions::default())?.read_all()?;
        let mel = LogMel::from_samples(&samples, exact.dims().n_mels);
        let greedy = Options {
            temperatures: vec![0.0],
            ..Options::default()
        };
        let heard = transcribe(&exact, &mel, &greedy)?.finish()?;
        let mut text = tokenizer.sot_sequence(heard.language, Task::Transcribe)?;
        let n_prompt = text.len();
        text.extend(
            heard
                .segments
                .iter()
                .filter(|segment| segment.seek == 0)
                .flat_map(|segment| &segment.tokens),
        );
        let rows: Vec<usize> = (n_prompt - 1..text.len()).collect();

        let mut values = Vec::new();
        mel.fill(0, mel.content_frames().min(MEL_FRAMES), &mut values);
        let expected = read(&exact, &values, &text, &rows)?;
        let found = read(&whole, &values, &text, &rows)?;
        for (expected, found) in expected.chunks(n_vocab).zip(found.chunks(n_vocab)) {
            n_tokens += 1;
            n_same += u32::from(likeliest(expected) == likeliest(found));
            divergence += kullback_leibler(expected, found);
        }
    }
    println!(
        "{folder}: {n_tokens} tokens, the likeliest is the same for {:.2} %, mean divergence {:.5} nats",
        100.0 * f64::from(n_same) / f64::from(n_tokens),
        divergence / f64::from(n_tokens)
    );
    Ok(())
}

/// Logits of `rows` of `text`, read over one window.
fn read(model: &CpuModel, mel: &[f32], text: &[Token], rows: &[usize]) -> whisper::Result<Vec<f32>> {
    let window = MelWindow {
        values: mel,
        n_mels: model.dims().n_mels,
    };
    let audio = model.encode(&[window])?.remove(0);
    let mut hypothesis = model.begin(&audio)?;
    let mut logits = Vec::new();
    let feed = Feed {
        hypothesis: &mut hypothesis,
        tokens: text,
        rows,
    };
    model.step(&mut [feed], &mut logits)?;
    Ok(logits)
}

fn likeliest(logits: &[f32]) -> Option<usize> {
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]))
}

/// Of the probabilities of two rows of logits, in nats.
fn kullback_leibler(expected: &[f32], found: &[f32]) -> f64 {
    let log_total = |logits: &[f32]| logits.iter().map(|&logit| f64::from(logit).exp()).sum::<f64>().ln();
    let (of_expected, of_found) = (log_total(expected), log_total(found));
    let of_one = |(&a, &b): (&f32, &f32)| {
        let (a, b) = (f64::from(a) - of_expected, f64::from(b) - of_found);
        a.exp() * (a - b)
    };
    expected.iter().zip(found).map(of_one).sum()
}
