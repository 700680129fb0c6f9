//! The way through; the rules of durations and hallucinations are held against mlx_whisper in `transcribe::tests`.

use super::*;
use crate::decode::scripted::ScriptedModel;
use crate::mel::LogMel;
use crate::options::Options;
use crate::tokenizer::Task;
use crate::transcribe;
use crate::transcript::{Segment, Transcript, Warning, Word};

const AT_0: Token = Token(50363);
const AT_8: Token = Token(50363 + 400);

fn tokens(text: &str) -> Vec<Token> {
    Tokenizer::new(51864).unwrap().encode(text).unwrap()
}

/// A network that says this in its first window, and nothing after it.
fn saying(text: &[Token]) -> ScriptedModel {
    let wishes = text.iter().map(|&token| vec![token]).collect();
    ScriptedModel::saying(vec![wishes])
}

fn with_words() -> Options {
    Options {
        temperatures: vec![0.0],
        word_timestamps: true,
        suppress_tokens: Vec::new(), // quotation marks are among them
        ..Options::default()
    }
}

fn hear(model: &ScriptedModel, seconds: usize, options: &Options) -> Transcript {
    let mel = LogMel::from_samples(&vec![0.0; seconds * 16_000], 80);
    transcribe(model, &mel, options).unwrap().finish().unwrap()
}

fn words(segment: &Segment) -> Vec<&str> {
    let words = segment.words.iter().flatten();
    words.map(|word| word.word.as_str()).collect()
}

#[test]
fn segments_have_the_words_of_their_text() {
    let text = [&[AT_0], &*tokens(" Ask not, \"what\"?"), &[AT_8]].concat();
    let model = saying(&text);
    let transcript = hear(&model, 10, &with_words());
    let [segment] = &transcript.segments[..] else {
        panic!("{transcript:?}")
    };
    assert_eq!(words(segment), [" Ask", " not,", " \"what\"?"]);
    let spoken = segment.words.as_ref().unwrap();
    assert_eq!((segment.start, segment.end), (spoken[0].start, spoken[2].end));
    assert_eq!(model.seen.lock().unwrap().aligned, 1);

    let silent = hear(&saying(&[]), 10, &with_words());
    assert!(
        silent.segments.iter().all(|segment| words(segment).is_empty()),
        "{silent:?}"
    );
    let without = hear(
        &saying(&text),
        10,
        &Options {
            word_timestamps: false,
            ..with_words()
        },
    );
    assert_eq!(without.segments[0].words, None);
    assert!(!serde_json::to_string(&without).unwrap().contains("words"));
}

/// The second segment begins with what closes the first, and in the middle of a word.
#[test]
fn what_reaches_into_the_next_segment_is_cut_off_but_under_mlx() {
    let (first, second) = (tokens(" He said \"no"), tokens("! and left"));
    let text = [
        &[AT_0],
        &*first,
        &[Token(AT_0.0 + 100), Token(AT_0.0 + 100)],
        &second,
        &[AT_8],
    ]
    .concat();
    let by = |compat| hear(&saying(&text), 10, &Options { compat, ..with_words() });
    let ours = by(Compat::OpenAi);
    assert_eq!(words(&ours.segments[0]), [" He", " said", " \"no"]);
    assert_eq!(words(&ours.segments[1]), ["!", " and", " left"]);
    let theirs = by(Compat::Mlx);
    assert_eq!(words(&theirs.segments[0]), [" He", " said", " \"no!"]);
    assert_eq!(words(&theirs.segments[1]), [" and", " left"]);
}

#[test]
fn what_words_cannot_be_had_for_is_refused_or_said() {
    let mel = LogMel::from_samples(&[0.0; 16_000], 80);
    let asked = |options: Options| {
        transcribe(&saying(&[]), &mel, &options)
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    let too_long = asked(Options {
        sample_len: Some(448),
        ..with_words()
    });
    assert_eq!(
        too_long,
        "sample_len: with word_timestamps expected at most 445, found 448"
    );
    let negative = asked(Options {
        hallucination_silence_threshold: Some(-1.0),
        ..with_words()
    });
    assert!(negative.contains("expected seconds from 0 on, found -1"), "{negative}");

    let translating = Options {
        task: Task::Translate,
        language: Some("de".parse().unwrap()),
        ..with_words()
    };
    let transcript = hear(
        &ScriptedModel::new(51865, |_, logits| logits[50257] = 9.0),
        1,
        &translating,
    );
    assert_eq!(transcript.warnings, [Warning::WordsOfTranslation]);
}

#[test]
fn unnamed_heads_are_those_of_the_upper_half() {
    let model = saying(&[AT_0, Token(1000)])
        .with_dims(|dims| (dims.n_text_layer, dims.n_text_head) = (3, 2))
        .without_alignment_heads();
    let tokenizer = Tokenizer::new(51864).unwrap();
    let aligner = Aligner::new(
        &model,
        tokenizer,
        Language::ENGLISH,
        &[tokenizer.special().sot],
        Compat::OpenAi,
    );
    let heads = [(1, 0), (1, 1), (2, 0), (2, 1)].map(|(layer, head)| Head { layer, head });
    assert_eq!(aligner.heads, heads);
    let transcript = hear(&model, 3, &with_words());
    assert_eq!(transcript.warnings, [Warning::UnknownAlignmentHeads]);
    assert_eq!(words(&transcript.segments[0]).len(), 1);
}

/// A recording of 20 ms has a single frame, at which all tokens are alike: where mlx_whisper divides by zero.
#[test]
fn a_single_frame_holds_all_words() {
    let mel = LogMel::from_samples(&[0.0; 480], 80);
    for (compat, time) in [(Compat::OpenAi, 0.0), (Compat::Mlx, -0.02)] {
        let options = Options { compat, ..with_words() };
        let text = [&[AT_0], &*tokens(" one two"), &[AT_8]].concat();
        let transcript = transcribe(&saying(&text), &mel, &options).unwrap().finish().unwrap();
        let at = |word: &Word| word.start == time && word.end == time;
        assert!(transcript.segments[0].words.iter().flatten().all(at), "{transcript:?}");
    }
}
