//! `Compat::Mlx` in float32 against mlx_whisper 0.4.3 on real recordings: the same words, at the same times to the last digit.
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

/// Set, it makes the tests hear every recording.
const ALL: &str = "WHISPER_TEST_ALL";

#[test]
fn tiny_en() {
    compare("tiny_en", "whisper-tiny.en-mlx");
}

#[test]
fn base_in_8_bits() {
    compare("base_in_8_bits", "whisper-base-mlx-8bit");
}

#[test]
fn base_in_5_bits() {
    compare("base_in_5_bits", "whisper-base-mlx-5bit");
}

#[derive(Deserialize)]
struct Line {
    file: String,
    #[serde(flatten)]
    transcript: Transcript,
}

/// Each recording of the model's golden transcripts with words.
fn compare(test: &str, model_name: &str) {
    let Some(recordings) = shared(test, "audio/dev") else {
        return;
    };
    let Some(golden) = transcripts(test, model_name, ".words.jsonl") else {
        return;
    };
    let Some(folder) = checkpoint(test, model_name) else {
        return;
    };
    assert_eq!(golden.lines().count(), 5, "{model_name}");
    // The last two are a minute each, and take that long with base.
    let n_heard = match std::env::var_os(ALL) {
        None if model_name != "whisper-tiny.en-mlx" => {
            let _ = writeln!(
                std::io::stderr(),
                "skipped: {test}: 2 longer recordings ({ALL}=1 hears them)"
            );
            3
        }
        _ => 5,
    };
    let model = load(&folder, Isa::detect());
    let mut moved = Vec::new();
    for line in golden.lines().take(n_heard) {
        let Line { file, transcript } = serde_json::from_str(line).unwrap();
        let found = hear(&model, &recordings.join(&file), Compat::Mlx);
        assert_eq!(found.text, transcript.text, "{file}");
        moved.extend(
            differences(&found, &transcript)
                .iter()
                .map(|difference| format!("{file}: {difference}")),
        );
    }
    assert!(
        moved.is_empty(),
        "{model_name}: {} times differ\n{}",
        moved.len(),
        moved.join("\n")
    );
}

fn hear(model: &CpuModel, recording: &Path, compat: Compat) -> Transcript {
    let samples = AudioFile::open(recording, &AudioOptions::default())
        .unwrap()
        .read_all()
        .unwrap();
    let mel = LogMel::from_samples(&samples, model.dims().n_mels);
    let options = Options {
        compat,
        temperatures: vec![0.0],
        word_timestamps: true,
        ..Options::default()
    };
    transcribe(model, &mel, &options).unwrap().finish().unwrap()
}

/// The times that differ. Text, tokens and words must be equal.
fn differences(found: &Transcript, golden: &Transcript) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |what: &str, found: (f64, f64), golden: (f64, f64)| {
        if (found.0 - golden.0).abs().max((found.1 - golden.1).abs()) > 1e-9 {
            differences.push(format!("{what} {found:?} for {golden:?}"));
        }
    };
    assert_eq!(found.segments.len(), golden.segments.len());
    for (found, golden) in found.segments.iter().zip(&golden.segments) {
        assert_eq!((found.seek, &found.tokens), (golden.seek, &golden.tokens));
        compare("segment", (found.start, found.end), (golden.start, golden.end));
        let (found, golden) = (found.words.as_ref().unwrap(), golden.words.as_ref().unwrap());
        assert_eq!(found.len(), golden.len());
        for (found, golden) in found.iter().zip(golden) {
            assert_eq!(found.word, golden.word);
            // MLX's own sums over the vocabulary are this far off.
            assert!(
                (found.probability - golden.probability).abs() < 1e-3,
                "{found:?} for {golden:?}"
            );
            compare(&found.word, (found.start, found.end), (golden.start, golden.end));
        }
    }
    differences
}

/// The default mode differs where it gives its guarantees and nowhere else: here, not at all.
#[test]
fn the_default_mode_finds_the_same_words() {
    let model = load(&bundled(), Isa::detect());
    let [ours, theirs] = [Compat::OpenAi, Compat::Mlx].map(|compat| {
        let transcript = hear(&model, &root().join("samples/jfk.flac"), compat);
        transcript
            .segments
            .into_iter()
            .filter_map(|segment| segment.words)
            .collect::<Vec<_>>()
    });
    assert_eq!(ours, theirs);
    assert_eq!(ours.concat().len(), 22);
}
