//! Against mlx_whisper's own writers: `tools/golden/make_output.py` made the expected files. And back through parsers.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use whisper::language::Language;
use whisper::model::Dims;
use whisper::transcript::Warning;

use super::*;

#[path = "../../tests/support/python.rs"]
mod python_parsers;

fn model() -> ModelUsed {
    ModelUsed {
        source: "bundled".into(),
        revision: None,
        dims: Dims {
            n_mels: 80,
            n_audio_ctx: 1500,
            n_audio_state: 512,
            n_audio_head: 8,
            n_audio_layer: 6,
            n_vocab: 51865,
            n_text_ctx: 448,
            n_text_state: 512,
            n_text_head: 8,
            n_text_layer: 6,
        },
        weights: Weights::Quantization { bits: 5, group: 64 },
        compute: "f32".into(),
        device: "cpu".into(),
        fallback: false,
    }
}

fn empty() -> Transcript {
    Transcript {
        text: String::new(),
        segments: Vec::new(),
        language: Language::ENGLISH,
        language_probability: None,
        language_candidates: Vec::new(),
        warnings: Vec::new(),
    }
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/output"))
}

fn transcript(name: &str) -> Transcript {
    serde_json::from_str(&fs::read_to_string(folder().join(name)).unwrap()).unwrap()
}

#[test]
fn five_forms_are_mlx_whispers_to_the_byte() {
    for name in ["speech", "awkward", "silence"] {
        let transcript = transcript(&format!("{name}.json"));
        for format in [Format::Txt, Format::Vtt, Format::Srt, Format::Tsv] {
            let expected = fs::read_to_string(folder().join(name).with_extension(format.extension())).unwrap();
            assert_eq!(
                format.render(Layout::default(), &transcript, &model()),
                expected,
                "{name} {format:?}"
            );
        }
        let expected = fs::read_to_string(folder().join(name).with_extension("json")).unwrap();
        let document = Format::Json.render(Layout::default(), &transcript, &model());
        assert!(without_our_keys(&document) == expected, "{name} json: {document}");
    }
}

/// `LAYOUTS` of `tools/golden/make_output.py`.
fn layouts() -> [(&'static str, Layout); 7] {
    let layout = |width, count, words, highlight_words| Layout {
        max_line_width: width,
        max_line_count: count,
        max_words_per_line: words,
        highlight_words,
    };
    [
        ("words", layout(None, None, None, false)),
        ("highlighted", layout(None, None, None, true)),
        ("wide", layout(Some(42), Some(2), None, false)),
        ("narrow", layout(Some(12), None, None, false)),
        ("lines", layout(None, Some(1), None, false)),
        ("few", layout(None, None, Some(3), false)),
        ("wide_highlighted", layout(Some(30), Some(1), None, true)),
    ]
}

#[test]
fn words_are_laid_out_as_by_mlx_whisper() {
    let transcript = transcript("jfk.words.json");
    for (name, layout) in layouts() {
        for format in [Format::Vtt, Format::Srt] {
            let path = folder().join(format!("jfk.{name}.{}", format.extension()));
            let found = format.render(layout, &transcript, &model());
            assert_eq!(found, fs::read_to_string(path).unwrap(), "{name} {format:?}");
        }
    }
    let json = without_our_keys(&Format::Json.render(Layout::default(), &transcript, &model()));
    assert_eq!(json, fs::read_to_string(folder().join("jfk.words.json")).unwrap());
}

/// What mlx_whisper has heard in each recording of ../shared, with three models: (model, recordings, transcripts).
fn golden(test: &str) -> Vec<(&'static str, Vec<(String, Transcript)>)> {
    golden_of(
        test,
        ["whisper-base-mlx-5bit", "whisper-base-mlx-8bit", "whisper-tiny.en-mlx"],
    )
}

/// With words, in five recordings.
fn golden_words(test: &str) -> Vec<(&'static str, Vec<(String, Transcript)>)> {
    golden_of(
        test,
        [
            "whisper-base-mlx-5bit.words",
            "whisper-base-mlx-8bit.words",
            "whisper-tiny.en-mlx.words",
        ],
    )
}

fn golden_of(test: &str, models: [&'static str; 3]) -> Vec<(&'static str, Vec<(String, Transcript)>)> {
    #[derive(Deserialize)]
    struct Line {
        file: String,
        #[serde(flatten)]
        transcript: Transcript,
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/transcripts");
    if !folder.exists() {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: {test}: ../shared/golden/transcripts is absent"
        );
        return Vec::new();
    }
    let read = |model: &'static str| {
        let lines = fs::read_to_string(folder.join(format!("{model}.jsonl"))).unwrap();
        let line = |line: &str| {
            let line: Line = serde_json::from_str(line).unwrap();
            (line.file, line.transcript)
        };
        (model, lines.lines().map(line).collect())
    };
    models.map(read).into()
}

/// mlx_whisper's document, which ends with the language.
fn without_our_keys(document: &str) -> String {
    let theirs = document.split_once(", \"language_probability\"").unwrap().0;
    format!("{theirs}}}")
}

#[test]
fn five_forms_of_all_recordings_are_mlx_whispers_to_the_byte() {
    let expected = fs::read_to_string(folder().join("transcripts.sha256")).unwrap();
    for (name, transcripts) in golden("five_forms_of_all_recordings_are_mlx_whispers_to_the_byte") {
        for format in [Format::Txt, Format::Vtt, Format::Srt, Format::Tsv, Format::Json] {
            let mut sum = Sha256::new();
            for (_, transcript) in &transcripts {
                let text = format.render(Layout::default(), transcript, &model());
                match format {
                    Format::Json => sum.update(without_our_keys(&text)),
                    _ => sum.update(text),
                }
            }
            let sum: String = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
            let line = format!("{name} {} {sum}\n", format.extension());
            assert!(expected.contains(&line), "{name} {format:?}");
        }
    }
}

#[test]
fn words_of_all_recordings_are_laid_out_as_by_mlx_whisper() {
    let expected = fs::read_to_string(folder().join("transcripts.sha256")).unwrap();
    for (name, transcripts) in golden_words("words_of_all_recordings_are_laid_out_as_by_mlx_whisper") {
        for (layout_name, layout) in layouts() {
            for format in [Format::Vtt, Format::Srt] {
                let text = |(_, transcript): &(String, Transcript)| format.render(layout, transcript, &model());
                let sum = Sha256::digest(transcripts.iter().map(text).collect::<String>());
                let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
                let line = format!("{name} {layout_name} {} {sum}\n", format.extension());
                assert!(expected.contains(&line), "{name} {layout_name} {format:?}");
            }
        }
        let json = |(_, transcript): &(String, Transcript)| {
            without_our_keys(&Format::Json.render(Layout::default(), transcript, &model()))
        };
        let sum = Sha256::digest(transcripts.iter().map(json).collect::<String>());
        let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(expected.contains(&format!("{name} json {sum}\n")), "{name} json");
    }
}

#[test]
fn other_parsers_read_what_is_written() {
    const NAME: &str = "other_parsers_read_what_is_written";
    let out = tempfile::tempdir().unwrap();
    let write = |name: &str, transcript: &Transcript| {
        for format in Format::ALL {
            let path = out.path().join(format!("{name}.{}", format.extension()));
            fs::write(path, format.render(Layout::default(), transcript, &model())).unwrap();
        }
    };
    let mut written = 2;
    for name in ["speech", "silence"] {
        write(name, &transcript(&format!("{name}.json")));
    }
    for (model, transcripts) in golden(NAME).into_iter().chain(golden_words(NAME)) {
        written += transcripts.len();
        for (file, transcript) in transcripts {
            write(&format!("{model} {file}"), &transcript);
        }
    }
    match python_parsers::read_back(out.path()) {
        Ok(said) => assert_eq!(said, format!("{written} transcripts read back")),
        Err(reason) => writeln!(std::io::stderr(), "skipped: {NAME}: {reason}").unwrap(),
    }
}

#[test]
fn json_says_what_the_model_was() {
    let document = Format::Json.render(
        Layout::default(),
        &Transcript {
            language_probability: Some(0.5),
            language_candidates: vec![(Language::ENGLISH, 0.5), ("de".parse().unwrap(), 0.25)],
            warnings: vec![Warning::UncertainLanguage {
                language: Language::ENGLISH,
            }],
            ..empty()
        },
        &model(),
    );
    let expected = "{\"text\": \"\", \"segments\": [], \"language\": \"en\", \"language_probability\": 0.5, \
        \"language_candidates\": [[\"en\", 0.5], [\"de\", 0.25]], \
        \"warnings\": [{\"warning\": \"uncertain_language\", \"language\": \"en\"}], \"model\": {\"source\": \"bundled\", \"revision\": null, \"dims\": {\"n_mels\": 80, \"n_audio_ctx\": 1500, \
        \"n_audio_state\": 512, \"n_audio_head\": 8, \"n_audio_layer\": 6, \"n_vocab\": 51865, \"n_text_ctx\": 448, \
        \"n_text_state\": 512, \"n_text_head\": 8, \"n_text_layer\": 6}, \"quantization\": {\"bits\": 5, \"group\": 64}, \
        \"compute\": \"f32\", \"device\": \"cpu\", \"fallback\": false}}";
    assert_eq!(document, expected);
    let dense = ModelUsed {
        weights: Weights::Type(whisper::weights::Float::F16),
        ..model()
    };
    assert!(
        Format::Json
            .render(Layout::default(), &empty(), &dense)
            .contains("\"type\": \"f16\"")
    );
}

#[test]
fn lyrics_and_commas() {
    let transcript = transcript("awkward.json");
    let lyrics = Format::Lrc.render(Layout::default(), &transcript, &model());
    assert!(lyrics.starts_with("[by:whisper-speedtest]\n[00:00.00]"), "{lyrics}");
    assert!(
        lyrics.lines().all(|line| line.starts_with('[')),
        "a text of several lines is one line here: {lyrics}"
    );
    let commas = Format::Csv.render(Layout::default(), &transcript, &model());
    assert!(commas.starts_with("start,end,text\n0,"), "{commas}");
    assert!(commas.contains("\"She said \"\"no\"\", then"), "{commas}");
}

#[test]
fn a_piece_at_a_time_is_the_whole() {
    let transcript = transcript("speech.json");
    for format in Format::ALL {
        let mut writer = Writer::new(format, Layout::default());
        let mut pieces = String::from(writer.head());
        for segment in &transcript.segments {
            pieces += &writer.segment(segment);
        }
        pieces += &writer.tail(&transcript, &model());
        assert_eq!(
            pieces,
            format.render(Layout::default(), &transcript, &model()),
            "{format:?}"
        );
    }
}

#[test]
fn nothing_in_a_text_ends_a_cue() {
    let text = " one --> two\n\n \nthree".into();
    let segment = Segment {
        text,
        ..transcript("speech.json").segments.swap_remove(0)
    };
    for format in [Format::Srt, Format::Vtt] {
        let cue = Writer::new(format, Layout::default()).segment(&segment);
        assert!(cue.ends_with("\none -> two\nthree\n\n"), "{cue}");
    }
}
