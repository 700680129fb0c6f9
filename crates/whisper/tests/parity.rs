//! `Compat::Mlx` in float32 against mlx_whisper 0.4.3 on real recordings: the same text, tokens, times and languages.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::path::Path;

use kernels::Isa;
use serde::Deserialize;
use whisper::audio::{AudioFile, AudioOptions};
use whisper::cpu::CpuModel;
use whisper::mel::LogMel;
use whisper::model::Model;
use whisper::{Compat, Options, Transcript, transcribe};

mod support;
use support::{bundled, checkpoint, load, root, shared, transcripts};

/// Recordings whose transcripts may differ: a near-tie decides there, two tokens whose logits lie closer than 1e-3.
/// (model, file)
const NEAR_TIES: &[(&str, &str)] = &[];

/// Set, it makes the tests hear every recording.
const ALL: &str = "WHISPER_TEST_ALL";

#[test]
fn jfk_with_the_bundled_model() {
    let transcript = hear(&load(&bundled(), Isa::detect()), &root().join("samples/jfk.flac"));
    assert_eq!(
        transcript.text,
        " And so my fellow Americans ask not what your country can do for you, ask what you can do for your country."
    );
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/jfk.base-5bit.json");
    let golden: Transcript = serde_json::from_str(&std::fs::read_to_string(golden).unwrap()).unwrap();
    assert_eq!(difference(&transcript, &golden), None);
}

#[test]
fn tiny_en() {
    compare("tiny_en", "whisper-tiny.en-mlx", 44);
}

#[test]
fn base_in_8_bits() {
    compare("base_in_8_bits", "whisper-base-mlx-8bit", 66);
}

#[test]
fn base_in_5_bits() {
    compare("base_in_5_bits", "whisper-base-mlx-5bit", 66);
}

/// Every recording of the model's golden transcripts.
fn compare(test: &str, model_name: &str, n_recordings: usize) {
    let Some(recordings) = shared(test, "audio/dev") else {
        return;
    };
    let Some(golden) = transcripts(test, model_name, ".jsonl") else {
        return;
    };
    let Some(folder) = checkpoint(test, model_name) else {
        return;
    };
    let model = load(&folder, Isa::detect());

    #[derive(Deserialize)]
    struct Line {
        file: String,
        #[serde(flatten)]
        transcript: Transcript,
    }
    assert_eq!(golden.lines().count(), n_recordings, "{model_name}");
    // All recordings take ten minutes with base; the shortest third of each takes one.
    let n_heard = match std::env::var_os(ALL) {
        None if n_recordings > 44 => {
            let left_out = n_recordings - n_recordings / 3;
            let _ = writeln!(
                std::io::stderr(),
                "skipped: {test}: {left_out} longer recordings ({ALL}=1 hears them)"
            );
            n_recordings / 3
        }
        _ => n_recordings,
    };
    let mut differences = Vec::new();
    for line in golden.lines().take(n_heard) {
        let Line {
            file,
            transcript: golden,
        } = serde_json::from_str(line).unwrap();
        let found = hear(&model, &recordings.join(&file));
        if let Some(difference) = difference(&found, &golden)
            && !NEAR_TIES.contains(&(model_name, &file))
        {
            differences.push(format!("{file}: {difference}"));
        }
    }
    assert!(
        differences.is_empty(),
        "{model_name}: {} differ\n{}",
        differences.len(),
        differences.join("\n")
    );
}

fn hear(model: &CpuModel, recording: &Path) -> Transcript {
    let samples = AudioFile::open(recording, &AudioOptions::default())
        .unwrap()
        .read_all()
        .unwrap();
    let mel = LogMel::from_samples(&samples, model.dims().n_mels);
    let options = Options {
        compat: Compat::Mlx,
        temperatures: vec![0.0],
        ..Options::default()
    };
    transcribe(model, &mel, &options).unwrap().finish().unwrap()
}

/// The first thing in which a transcript is not the golden one.
fn difference(found: &Transcript, golden: &Transcript) -> Option<String> {
    if found.language != golden.language {
        return Some(format!(
            "language {} for {}",
            found.language.code(),
            golden.language.code()
        ));
    }
    if found.text != golden.text {
        return Some(format!("text {:?} for {:?}", found.text, golden.text));
    }
    if found.segments.len() != golden.segments.len() {
        return Some(format!(
            "{} segments for {}",
            found.segments.len(),
            golden.segments.len()
        ));
    }
    // MLX's own sums over the vocabulary are this far off.
    let near = |a: f64, b: f64, tolerance: f64| (a - b).abs() <= tolerance || (a.is_nan() && b.is_nan());
    for (found, golden) in found.segments.iter().zip(&golden.segments) {
        let same = found.id == golden.id
            && found.seek == golden.seek
            && found.text == golden.text
            && found.tokens == golden.tokens
            && near(found.start, golden.start, 1e-9)
            && near(found.end, golden.end, 1e-9)
            && near(found.avg_logprob, golden.avg_logprob, 5e-4)
            && near(found.compression_ratio, golden.compression_ratio, 1e-9)
            && near(found.no_speech_prob, golden.no_speech_prob, 1e-4);
        if !same {
            return Some(format!("{found:?} for {golden:?}"));
        }
    }
    None
}
