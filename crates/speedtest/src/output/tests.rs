//! Against mlx_whisper's own writers: `tools/golden/make_output.py` made the expected files.

use std::fs;
use std::path::Path;

use whisper::language::Language;
use whisper::model::Dims;
use whisper::transcript::Warning;

use super::*;

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
            assert_eq!(format.render(&transcript, &model()), expected, "{name} {format:?}");
        }
        let expected = fs::read_to_string(folder().join(name).with_extension("json")).unwrap();
        let document = Format::Json.render(&transcript, &model());
        let ours = document.split_once(", \"language_probability\"").unwrap().0;
        assert!(format!("{ours}}}") == expected, "{name} json: {document}");
    }
}

#[test]
fn json_says_what_the_model_was() {
    let document = Format::Json.render(
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
    assert!(Format::Json.render(&empty(), &dense).contains("\"type\": \"f16\""));
}

#[test]
fn lyrics_and_commas() {
    let transcript = transcript("awkward.json");
    let lyrics = Format::Lrc.render(&transcript, &model());
    assert!(lyrics.starts_with("[by:whisper-speedtest]\n[00:00.00]"), "{lyrics}");
    assert!(
        lyrics.lines().all(|line| line.starts_with('[')),
        "a text of several lines is one line here: {lyrics}"
    );
    let commas = Format::Csv.render(&transcript, &model());
    assert!(commas.starts_with("start,end,text\n0,"), "{commas}");
    assert!(commas.contains("\"She said \"\"no\"\", then"), "{commas}");
}

#[test]
fn a_piece_at_a_time_is_the_whole() {
    let transcript = transcript("speech.json");
    for format in Format::ALL {
        let mut pieces = String::from(format.head());
        for (index, segment) in transcript.segments.iter().enumerate() {
            pieces += &format.segment(index, segment);
        }
        pieces += &format.tail(&transcript, &model());
        assert_eq!(pieces, format.render(&transcript, &model()), "{format:?}");
    }
}

#[test]
fn nothing_in_a_text_ends_a_cue() {
    let text = " one --> two\n\n \nthree".into();
    let segment = Segment {
        text,
        ..transcript("speech.json").segments.swap_remove(0)
    };
    assert!(Format::Srt.segment(0, &segment).ends_with("\none -> two\nthree\n\n"));
    assert!(Format::Vtt.segment(0, &segment).ends_with("\none -> two\nthree\n\n"));
}
