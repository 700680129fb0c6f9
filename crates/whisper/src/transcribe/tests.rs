use std::path::Path;

use serde_json::Value;

use super::*;
use crate::decode::scripted::ScriptedModel;
use crate::options::Suppress;

const A: Token = Token(1000);
const B: Token = Token(2000);
const C: Token = Token(3000);
const EOT: Token = Token(50256);

/// The timestamp at `hundredths` of a second, in the vocabulary of `.en`.
fn at(hundredths: u32) -> Token {
    Token(50363 + hundredths / 2)
}

/// A recording of so many seconds.
fn silence(seconds: f64) -> LogMel {
    LogMel::from_samples(&vec![0.0; (seconds * 16_000.0) as usize], 80)
}

/// Temperature 0 only.
fn greedy(compat: Compat) -> Options {
    Options {
        compat,
        temperatures: vec![0.0],
        ..Options::default()
    }
}

fn run(model: &ScriptedModel, seconds: f64, options: &Options) -> Transcript {
    transcribe(model, &silence(seconds), options).unwrap().finish().unwrap()
}

/// Start, end and tokens of every segment.
fn said(transcript: &Transcript) -> Vec<(f64, f64, Vec<Token>)> {
    let row = |segment: &Segment| (segment.start, segment.end, segment.tokens.clone());
    transcript.segments.iter().map(row).collect()
}

/// A network that insists on each of its tokens.
fn saying(windows: &[&[Token]]) -> ScriptedModel {
    let wishes = |window: &&[Token]| window.iter().map(|&token| vec![token]).collect();
    ScriptedModel::saying(windows.iter().map(wishes).collect())
}

// What mlx_whisper does, recorded: `tools/golden/scripted.py`.

#[test]
fn erratic_networks_are_transcribed_as_by_mlx_whisper() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/scripted.jsonl");
    let golden = std::fs::read_to_string(golden).unwrap();
    assert_eq!(golden.lines().count(), 40);
    for line in golden.lines() {
        let expected: Value = serde_json::from_str(line).unwrap();
        let seed = expected["seed"].as_u64().unwrap();
        let model = ScriptedModel::erratic(seed);
        let options = options_of(&expected["options"]);
        let transcript = run(&model, expected["seconds"].as_f64().unwrap(), &options);

        let prompts = serde_json::to_value(&model.seen.lock().unwrap().prompts).unwrap();
        assert_eq!(prompts, expected["prompts"], "seed {seed}");
        assert_eq!(transcript.text, expected["text"].as_str().unwrap(), "seed {seed}");
        let segments = expected["segments"].as_array().unwrap();
        assert_eq!(transcript.segments.len(), segments.len(), "seed {seed}");
        for (found, expected) in transcript.segments.iter().zip(segments) {
            let found = serde_json::to_value(found).unwrap();
            for exact in ["seek", "start", "end", "text", "tokens", "compression_ratio"] {
                assert_eq!(found[exact], expected[exact], "seed {seed}: {exact}");
            }
            for near in ["avg_logprob", "no_speech_prob"] {
                match (found[near].as_f64(), expected[near].as_f64()) {
                    (Some(found), Some(expected)) => assert!((found - expected).abs() < 1e-5, "seed {seed}: {near}"),
                    (found, expected) => assert_eq!(found, expected, "seed {seed}: {near}"), // NaN
                }
            }
        }
    }
}

fn options_of(golden: &Value) -> Options {
    let mut options = greedy(Compat::Mlx);
    for (name, value) in golden.as_object().unwrap() {
        match name.as_str() {
            "condition_on_previous_text" => options.condition_on_previous_text = value.as_bool().unwrap(),
            "initial_prompt" => options.initial_prompt = value.as_str().map(str::to_owned),
            "clip_timestamps" => options.clip_timestamps = serde_json::from_value(value.clone()).unwrap(),
            "suppress_blank" => options.suppress_blank = value.as_bool().unwrap(),
            "no_speech_threshold" => options.no_speech_threshold = value.as_f64(),
            "max_initial_timestamp" => options.max_initial_timestamp = value.as_f64(),
            "without_timestamps" => options.without_timestamps = value.as_bool().unwrap(),
            "sample_len" => options.sample_len = value.as_u64().map(|n| n as usize),
            "suppress_tokens" => options.suppress_tokens = Vec::<Suppress>::new(),
            _ => panic!("{name}"),
        }
    }
    options
}
