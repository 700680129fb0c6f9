//! What holds whatever the network says: seeded networks and options against the guarantees of [`Compat::OpenAi`].

use std::sync::Arc;

use super::*;
use crate::decode::scripted::{Place, ScriptedModel, mix};

/// So many networks of each kind.
const NETWORKS: u64 = 60;

/// A recording of so many hundredths of a second, and some samples; somebody speaks in parts of it.
#[expect(clippy::cast_possible_truncation, reason = "a minute and a half")]
fn recording(seed: u64) -> LogMel {
    let fraction = if seed.is_multiple_of(2) {
        0
    } else {
        mix(&[seed, 8]) % 160
    };
    let samples = mix(&[seed, 7]) % 9_000 * 160 + fraction;
    let mel = LogMel::from_samples(&vec![0.0; samples as usize], 80);
    if seed.is_multiple_of(3) {
        return mel;
    }
    let spoken = |i: u64| mix(&[seed, 10, i / 40]).is_multiple_of(2);
    mel.with_voice((0..samples.div_ceil(256)).map(|i| f32::from(spoken(i))).collect())
}

#[expect(clippy::cast_possible_truncation, reason = "0 to 3")]
fn options(seed: u64) -> Options {
    let hot = !seed.is_multiple_of(2);
    Options {
        temperatures: if hot { vec![0.0, 0.6] } else { vec![0.0] },
        best_of: 2,
        seed,
        no_speech_threshold: (!seed.is_multiple_of(3)).then_some(0.6),
        without_timestamps: seed.is_multiple_of(11),
        max_initial_timestamp: (!seed.is_multiple_of(5)).then_some(1.0),
        clip_timestamps: if seed % 4 == 3 {
            vec![1.0, 9.0, 9.0, 31.0, 40.0]
        } else {
            vec![]
        },
        condition_on_previous_text: !seed.is_multiple_of(7),
        initial_prompt: seed.is_multiple_of(6).then(|| "Names: Ångström, 東京.".to_owned()),
        carry_initial_prompt: seed.is_multiple_of(12),
        suppress_blank: !seed.is_multiple_of(13),
        word_timestamps: seed % 5 < 2,
        hallucination_silence_threshold: (seed % 10 < 5).then_some((seed % 3) as f64),
        batch: std::num::NonZeroUsize::new(mix(&[seed, 6]) as usize % 4),
        ..Options::default()
    }
}

/// `0 <= start <= end <= duration`, starts never decrease, numbers are numbers; words within their segment, where they were
/// asked for.
fn check_segments(segments: &[Segment], mel: &LogMel, seed: u64) {
    let mut earliest = 0.0;
    for (id, segment) in segments.iter().enumerate() {
        let Segment { start, end, .. } = *segment;
        assert!(
            earliest <= start && start <= end && end <= mel.duration(),
            "seed {seed}: {segment:?}"
        );
        for number in [segment.avg_logprob, segment.compression_ratio, segment.no_speech_prob] {
            assert!(number.is_finite(), "seed {seed}: {segment:?}");
        }
        assert_eq!(segment.id, id, "seed {seed}");
        assert_eq!(segment.words.is_some(), options(seed).word_timestamps, "seed {seed}");
        earliest = start;
        for word in segment.words.iter().flatten() {
            assert!(
                earliest <= word.start && word.start <= word.end && word.end <= end,
                "seed {seed}: {word:?} in {segment:?}"
            );
            assert!((0.0..=1.0).contains(&word.probability), "seed {seed}: {word:?}");
            earliest = word.start;
        }
        if let Some(words) = &segment.words {
            let text: String = words.iter().map(|word| word.word.as_str()).collect();
            assert!(
                text == segment.text || text.contains(char::REPLACEMENT_CHARACTER),
                "seed {seed}: {segment:?}"
            );
        }
    }
}

fn check(model: &ScriptedModel, seed: u64) {
    let (mel, options) = (recording(seed), options(seed));
    let transcript = transcribe(model, &mel, &options).unwrap().finish().unwrap();
    check_segments(&transcript.segments, &mel, seed);

    let parts: String = transcript
        .segments
        .iter()
        .map(|segment| segment.text.as_str())
        .collect();
    assert!(
        parts == transcript.text || parts.contains(char::REPLACEMENT_CHARACTER),
        "seed {seed}"
    );
    let json = serde_json::to_string(&transcript).unwrap();
    assert_eq!(
        serde_json::from_str::<Transcript>(&json).unwrap(),
        transcript,
        "seed {seed}"
    );

    // A window ends at least 20 ms after the one before, by words 10 ms; the language takes five looks and five trials; an
    // attempt has at most 224 tokens.
    let seen = model.seen.lock().unwrap();
    let step = if options.word_timestamps { 1 } else { 2 };
    assert!(seen.begun <= mel.content_frames() / step + 11, "seed {seed}");
    assert!(
        seen.steps <= seen.begun * options.temperatures.len() * 225,
        "seed {seed}"
    );
}

#[test]
fn hold_for_networks_that_need_every_rule() {
    for seed in 0..NETWORKS {
        check(&ScriptedModel::erratic(seed), seed);
        check(&ScriptedModel::erratic_words(seed), seed);
    }
}

#[test]
fn hold_for_networks_that_say_anything() {
    for (seed, n_vocab) in (0..NETWORKS).zip([51864, 51865, 51866].into_iter().cycle()) {
        check(&wild(n_vocab, seed), seed);
    }
}

/// What was found before somebody stops it holds, too.
#[test]
fn hold_for_what_was_found_before_the_end() {
    for seed in 0..NETWORKS / 3 {
        let (mel, options) = (recording(seed), options(seed));
        let stop_at = (mix(&[seed, 9]) % 300) as usize;
        let monitor = Arc::clone(&options.monitor);
        let steps = std::sync::atomic::AtomicUsize::new(0);
        let model = wild(51865, seed).and(move |_, _| {
            if steps.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == stop_at {
                monitor.cancel();
            }
        });
        let Ok(mut transcription) = transcribe(&model, &mel, &options) else {
            continue; // while the language was looked for
        };
        let given: Vec<Segment> = transcription.by_ref().filter_map(Result::ok).collect();
        check_segments(&given, &mel, seed);
        assert_eq!(transcription.finish().unwrap().segments, given, "seed {seed}");
    }
}

/// A network with eight wishes for every token, of anything in its vocabulary: text, halves of characters, languages,
/// timestamps, and tokens that no rule expects.
#[expect(clippy::cast_possible_truncation, reason = "indices of a vocabulary")]
fn wild(n_vocab: usize, seed: u64) -> ScriptedModel {
    let special = Tokenizer::new(n_vocab).unwrap().special();
    let (eot, begin, n_all) = (
        u64::from(special.eot.0),
        u64::from(special.timestamp_begin.0),
        n_vocab as u64,
    );
    ScriptedModel::new(n_vocab, move |place: &Place<'_>, logits| {
        let last = place.tokens.last().map_or(0, |token| u64::from(token.0));
        for i in 0..8 {
            let r = mix(&[seed, place.window as u64, place.tokens.len() as u64, last, i]);
            let pick = r >> 8;
            let token = match r % 8 {
                0 | 1 => begin + pick % (n_all - begin),
                2 => eot + pick % (begin - eot),
                3 => pick % 256, // bytes
                4 if place.tokens.len() > 20 => eot,
                _ => pick % eot,
            };
            logits[token as usize] = (mix(&[r]) % 4096) as f32 / 128.0 - 10.0;
        }
    })
}
