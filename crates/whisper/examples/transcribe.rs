//! A recording and a checkpoint in, segments out as they are found.
//!
//! ```console
//! $ cargo run --release -p whisper --example transcribe -- samples/jfk.flac assets/whisper-base-mlx-5bit
//! ```

use std::path::Path;

use whisper::audio::{AudioFile, AudioOptions};
use whisper::cpu::{Cpu, CpuModel};
use whisper::mel::LogMelBuilder;
use whisper::model::Model;
use whisper::weights::Checkpoint;
use whisper::{Options, transcribe};

#[expect(clippy::print_stdout, reason = "this is a program")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(recording), Some(folder)) = (arguments.next(), arguments.next()) else {
        println!("transcribe RECORDING FOLDER");
        return Ok(());
    };

    // An MLX checkpoint: config.json and weights.safetensors or weights.npz.
    let model = CpuModel::load(Checkpoint::open(Path::new(&folder))?, Cpu::new(None)?)?;

    // Any file with sound in it, as 16 kHz mono, and from there what Whisper hears.
    let mut audio = AudioFile::open(Path::new(&recording), &AudioOptions::default())?;
    let mut mel = LogMelBuilder::new(model.dims().n_mels);
    while let Some(samples) = audio.next_chunk()? {
        mel.push(samples);
    }
    let mel = mel.finish();

    // An iterator of segments: what has been found is there while the rest is computed. From any thread `monitor` says how
    // far it is, and `monitor.cancel()` ends it.
    let options = Options::default();
    let mut transcription = transcribe(&model, &mel, &options)?;
    println!("{}", transcription.language());
    for segment in transcription.by_ref() {
        let segment = segment?;
        let monitor = &options.monitor;
        println!(
            "{:6.2} to {:6.2} s:{}   ({} of {} s done)",
            segment.start,
            segment.end,
            segment.text,
            monitor.frames_done() / 100,
            monitor.frames_total() / 100
        );
    }
    println!("{}", transcription.finish()?.text);
    Ok(())
}
