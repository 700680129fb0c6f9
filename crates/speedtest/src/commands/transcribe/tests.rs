//! The command around an engine that is a closure.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::bail;

use super::*;
use crate::cli::{self, Command};
use crate::output::Weights;
use whisper::model::Dims;
use whisper::transcript::{Segment, Transcript};

fn args(line: &str) -> TranscribeArgs {
    let line = format!("whisper-speedtest transcribe {line}");
    match cli::parse(line.split_whitespace().map(OsString::from)).unwrap().command {
        Command::Transcribe(args) => *args,
        other => panic!("expected transcribe, found {other:?}"),
    }
}

fn plan(line: &str) -> Result<Plan, String> {
    let args = args(line);
    Plan::new(&args, inputs::expand(&args.audio).0).map_err(|error| error.to_string())
}

fn quiet() -> Console {
    Console::new(&cli::ConsoleArgs {
        quiet: true,
        verbose: false,
        no_color: true,
    })
}

fn model() -> ModelUsed {
    let dims = Dims {
        n_mels: 80,
        n_audio_ctx: 1500,
        n_audio_state: 384,
        n_audio_head: 6,
        n_audio_layer: 4,
        n_vocab: 51864,
        n_text_ctx: 448,
        n_text_state: 384,
        n_text_head: 6,
        n_text_layer: 4,
    };
    ModelUsed {
        source: "tiny.en".into(),
        revision: None,
        dims,
        weights: Weights::Type(whisper::weights::Float::F16),
        compute: "f32".into(),
        device: "cpu".into(),
        fallback: false,
    }
}

/// Hears the name of the recording; a bad one is no recording.
fn hear(input: &Input, listener: &mut dyn Listener) -> anyhow::Result<Heard> {
    if input.to_string().contains("bad") {
        bail!("{input}: no recording");
    }
    let text = format!(" {}", input.stem());
    let segment = Segment {
        id: 0,
        seek: 0,
        start: 0.0,
        end: 1.0,
        text: text.clone(),
        tokens: vec![],
        temperature: 0.0,
        avg_logprob: -0.1,
        compression_ratio: 1.0,
        no_speech_prob: 0.0,
        words: None,
    };
    listener.progress(1.0, 1.0);
    listener.segment(&segment)?;
    let transcript = Transcript {
        text,
        segments: vec![segment],
        language: whisper::language::Language::ENGLISH,
        language_probability: None,
        language_candidates: vec![],
        warnings: vec![],
    };
    Ok(Heard {
        transcript,
        duration_s: 1.0,
        damaged: false,
    })
}

fn listing(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn one_bad_recording_does_not_stop_the_rest() {
    let out = tempfile::tempdir().unwrap();
    let plan = plan(&format!("x/a.wav bad.wav y/a.wav -f txt -o {}", out.path().display())).unwrap();
    let rows = transcribe_all(&plan, &model(), &quiet(), hear).unwrap();
    assert_eq!(listing(out.path()), ["a-2.txt", "a.txt"]);
    assert_eq!(fs::read_to_string(out.path().join("a-2.txt")).unwrap(), "a\n");
    assert!(matches!(rows[1].end, End::Failed));
    let table = table(&rows);
    assert!(table.ends_with("2 of 3 done, 1 failed\n"), "{table}");
    assert!(table.contains("\nbad.wav      failed\n"), "{table}");
    assert!(table.contains("\ntogether       0:02"), "{table}");
}

#[test]
fn all_is_a_file_of_each_form() {
    let out = tempfile::tempdir().unwrap();
    let plan = plan(&format!("talk.v1.wav -f all -o {}", out.path().display())).unwrap();
    transcribe_all(&plan, &model(), &quiet(), hear).unwrap();
    let extensions = ["csv", "json", "lrc", "srt", "tsv", "txt", "vtt"];
    assert_eq!(
        listing(out.path()),
        extensions.map(|extension| format!("talk.v1.{extension}"))
    );
}

#[test]
fn what_exists_is_replaced_or_left_as_asked() {
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("a.txt");
    let line = format!("a.wav -o {}", out.path().display());
    fs::write(&file, "mine").unwrap();

    let leaving = plan(&format!("{line} --no-overwrite")).unwrap();
    let rows = transcribe_all(&leaving, &model(), &quiet(), hear).unwrap();
    assert!(matches!(rows[0].end, End::Skipped));
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");

    transcribe_all(&plan(&line).unwrap(), &model(), &quiet(), hear).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "a\n");
}

#[test]
fn a_failure_writes_nothing() {
    let out = tempfile::tempdir().unwrap();
    let plan = plan(&format!("bad.wav -f all -o {}", out.path().display())).unwrap();
    transcribe_all(&plan, &model(), &quiet(), hear).unwrap();
    assert!(listing(out.path()).is_empty());
}

#[test]
fn files_are_written_where_asked_else_here_else_the_text_is_printed() {
    let folder = |line: &str| match plan(line).unwrap().target {
        Target::StandardOutput => None,
        Target::Folder(folder) => Some(folder),
    };
    assert_eq!(folder("a.wav -f srt"), None);
    assert_eq!(folder("a.wav a.wav"), None, "a recording named twice is one");
    assert_eq!(folder("a.wav -o texts"), Some("texts".into()));
    for line in [
        "a.wav b.wav",
        "a.wav -f all",
        "a.wav --output-name b",
        "a.wav --no-overwrite",
    ] {
        assert_eq!(folder(line), Some(".".into()), "{line}");
    }
    let error = plan("a.wav b.wav --output-name c").err().unwrap();
    assert!(error.contains("--output-name is for one recording"), "{error}");
}
