use std::path::Path;

use serde_json::Value;

use super::*;
use crate::decode::scripted::{Place, ScriptedModel};
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
#[expect(clippy::cast_possible_truncation, reason = "a few minutes")]
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
    compare_with_mlx_whisper("scripted.jsonl", 40, ScriptedModel::erratic);
}

/// With words, their durations, and the hallucinations that they tell.
#[test]
fn erratic_networks_have_the_words_of_mlx_whisper() {
    compare_with_mlx_whisper("scripted_words.jsonl", 37, ScriptedModel::erratic_words);
}

fn compare_with_mlx_whisper(name: &str, count: usize, model: impl Fn(u64) -> ScriptedModel) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let golden = std::fs::read_to_string(golden).unwrap();
    assert_eq!(golden.lines().count(), count);
    for line in golden.lines() {
        let expected: Value = serde_json::from_str(line).unwrap();
        let seed = expected["seed"].as_u64().unwrap();
        let model = model(seed);
        let options = options_of(&expected["options"]);
        let transcript = run(&model, expected["seconds"].as_f64().unwrap(), &options);

        let prompts = serde_json::to_value(&model.seen.lock().unwrap().prompts).unwrap();
        assert_eq!(prompts, expected["prompts"], "seed {seed}");
        assert_eq!(transcript.text, expected["text"].as_str().unwrap(), "seed {seed}");
        let segments = expected["segments"].as_array().unwrap();
        assert_eq!(transcript.segments.len(), segments.len(), "seed {seed}");
        for (found, expected) in transcript.segments.iter().zip(segments) {
            let found = serde_json::to_value(found).unwrap();
            for exact in ["seek", "text", "tokens", "compression_ratio"] {
                assert_eq!(found[exact], expected[exact], "seed {seed}: {exact}");
            }
            for time in ["start", "end"] {
                assert_eq!(found[time].as_f64(), expected[time].as_f64(), "seed {seed}: {time}"); // Python may write 0
            }
            compare_words(&found["words"], &expected["words"], seed);
            for near in ["avg_logprob", "no_speech_prob"] {
                match (found[near].as_f64(), expected[near].as_f64()) {
                    (Some(found), Some(expected)) => assert!((found - expected).abs() < 1e-5, "seed {seed}: {near}"),
                    (found, expected) => assert_eq!(found, expected, "seed {seed}: {near}"), // NaN
                }
            }
        }
    }
}

fn compare_words(found: &Value, expected: &Value, seed: u64) {
    let count = |words: &Value| words.as_array().map(Vec::len);
    assert_eq!(count(found), count(expected), "seed {seed}");
    for (found, expected) in found
        .as_array()
        .iter()
        .zip(expected.as_array())
        .flat_map(|(f, e)| f.iter().zip(e))
    {
        assert_eq!(found["word"], expected["word"], "seed {seed}");
        for (key, error) in [("start", 0.0), ("end", 0.0), ("probability", 1e-5)] {
            let (found, expected) = (found[key].as_f64().unwrap(), expected[key].as_f64().unwrap());
            assert!(
                (found - expected).abs() <= error,
                "seed {seed}: {key} {found} for {expected}"
            );
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
            "sample_len" => options.sample_len = serde_json::from_value(value.clone()).unwrap(),
            "word_timestamps" => options.word_timestamps = value.as_bool().unwrap(),
            "hallucination_silence_threshold" => options.hallucination_silence_threshold = value.as_f64(),
            "suppress_tokens" => options.suppress_tokens = Vec::<Suppress>::new(),
            _ => panic!("{name}"),
        }
    }
    options
}

// The quirks of mlx_whisper, one by one, and what OpenAI's rules make of the same network.

/// Q1: time goes back within a window.
#[test]
fn timestamps_go_back_under_mlx_only() {
    let wishes = [
        [at(0), at(0)],
        [A, A],
        [at(500), at(500)],
        [at(500), at(500)],
        [B, B],
        [at(100), at(700)],
    ];
    let script = || ScriptedModel::saying(vec![wishes.iter().map(|wish| wish.to_vec()).collect()]);
    let first = (0.0, 5.0, vec![at(0), A, at(500)]);
    let mlx = run(&script(), 30.0, &greedy(Compat::Mlx));
    assert_eq!(said(&mlx), [first.clone(), (5.0, 1.0, vec![at(500), B, at(100)])]);
    let openai = run(&script(), 30.0, &greedy(Compat::OpenAi));
    assert_eq!(said(&openai), [first, (5.0, 7.0, vec![at(500), B, at(700)])]);
}

/// Q2 and Q3: after a pair the network prefers a timestamp to the text that must come.
#[test]
fn nothing_is_left_under_mlx_only() {
    let wishes = [
        vec![at(0)],
        vec![A],
        vec![at(200)],
        vec![at(200)],
        vec![at(220), B],
        vec![at(400)],
    ];
    let script = || ScriptedModel::saying(vec![wishes.to_vec()]);
    let first = (0.0, 2.0, vec![at(0), A, at(200)]);
    let mlx = run(&script(), 30.0, &greedy(Compat::Mlx));
    assert_eq!(
        said(&mlx),
        [first.clone(), (2.0, 4.0, vec![at(200), Token(0), at(400)])]
    );
    assert_eq!(mlx.segments[1].text, "!");
    assert!(mlx.segments.iter().all(|segment| segment.avg_logprob.is_nan()));
    let openai = run(&script(), 30.0, &greedy(Compat::OpenAi));
    assert_eq!(said(&openai), [first, (2.0, 4.0, vec![at(200), B, at(400)])]);
    assert!(openai.segments.iter().all(|segment| segment.avg_logprob.is_finite()));
}

/// Q3: a mean log-probability of NaN is not above the threshold, so that silence is believed.
#[test]
fn nan_makes_a_window_silent_under_mlx_only() {
    let script = || {
        let says = [vec![at(0)], vec![at(220), A], vec![at(400)], vec![EOT]];
        with_no_speech(ScriptedModel::saying(vec![says.to_vec()]), 0.7)
    };
    assert_eq!(said(&run(&script(), 30.0, &greedy(Compat::Mlx))), []);
    assert_eq!(run(&script(), 30.0, &greedy(Compat::OpenAi)).segments.len(), 1);
}

/// The network finds with this probability in every window that nobody speaks.
fn with_no_speech(model: ScriptedModel, probability: f32) -> ScriptedModel {
    let no_speech = model.special.no_speech.0 as usize;
    model.and(move |place, logits| {
        if place.tokens.is_empty() {
            logits[no_speech] = 20.0 + (probability / (1.0 - probability)).ln();
        }
    })
}

/// A window that closes its last segment where it began is read again, until its prompt is the same: that was for ever.
#[test]
fn an_endless_window_is_left_behind() {
    let windows: &[&[Token]] = &[&[at(0), A, at(0), at(0), B], &[at(0), C, at(100)]];
    let mlx = run(&saying(windows), 40.0, &greedy(Compat::Mlx));
    assert_eq!(mlx.warnings, [Warning::EndlessWindow { seek: 0 }]);
    assert_eq!(said(&mlx), [(0.0, 0.0, vec![]), (30.0, 31.0, vec![at(0), C, at(100)])]);
    assert!(mlx.warnings[0].to_string().contains("0.00 s"));
    // The same window with another prompt is another window.
    let windows: &[&[Token]] = &[
        &[at(0), A, at(100), at(0), B, at(0), at(0)],
        &[at(0), C, at(3000), at(3000)],
    ];
    let model = saying(windows);
    let mlx = run(&model, 30.0, &greedy(Compat::Mlx));
    assert_eq!(mlx.warnings, []);
    assert_eq!(
        mlx.segments.iter().map(|segment| segment.seek).collect::<Vec<_>>(),
        [0, 0, 0]
    );
    assert_eq!(model.seen.lock().unwrap().prompts[1].len(), 5);
    // But not for ever.
    let window: &[Token] = &[at(0), A, at(100), at(0), B, at(0), at(0)];
    let model = saying(&[window; 20]);
    let mlx = run(&model, 30.0, &greedy(Compat::Mlx));
    assert_eq!(mlx.warnings, [Warning::EndlessWindow { seek: 0 }]);
    let seen = model.seen.lock().unwrap();
    assert_eq!((seen.encoded.len(), seen.prompts.len()), (1, 11));
    drop(seen);
    // OpenAI's rules do not let the network say so.
    let openai = run(&saying(&[window; 20]), 40.0, &greedy(Compat::OpenAi));
    assert_eq!(openai.warnings, []);
}

/// 2.8.2: clips after the first.
#[test]
fn later_clips_start_where_they_should_but_under_mlx() {
    let options = |compat| Options {
        clip_timestamps: vec![0.0, 3.0, 8.0, 11.0],
        ..greedy(compat)
    };
    let windows: &[&[Token]] = &[&[at(0), A, at(200)], &[at(0), B, at(200)]];
    let model = saying(windows);
    let mlx = run(&model, 11.0, &options(Compat::Mlx));
    assert_eq!(
        mlx.segments.iter().map(|segment| segment.seek).collect::<Vec<_>>(),
        [0, 300]
    );
    assert_eq!(model.seen.lock().unwrap().encoded, [300, 800]);
    let model = saying(windows);
    let openai = run(&model, 11.0, &options(Compat::OpenAi));
    assert_eq!(
        openai.segments.iter().map(|segment| segment.seek).collect::<Vec<_>>(),
        [0, 800]
    );
    assert_eq!(model.seen.lock().unwrap().encoded, [300, 300]);
}

/// 2.7.3: repeated text in a window that is probably silent.
#[test]
fn doubtful_silence_is_retried_but_under_mlx() {
    let again = [&[at(0)][..], &[A; 60], &[at(900)]].concat();
    let options = |compat| Options {
        temperatures: vec![0.0, 0.4],
        best_of: 1,
        ..greedy(compat)
    };
    let script = || with_no_speech(saying(&[&again]), 0.7);
    let mlx = run(&script(), 30.0, &options(Compat::Mlx));
    assert_eq!(mlx.segments[0].temperature, 0.0);
    assert!(mlx.segments[0].compression_ratio > 2.4);
    let openai = run(&script(), 30.0, &options(Compat::OpenAi));
    assert_eq!(openai.segments[0].temperature, 0.4);
}

// Windows, prompts and seeking.

#[test]
fn the_text_so_far_is_the_prompt() {
    let windows: &[&[Token]] = &[
        &[at(0), A, at(2000), at(2000), B],
        &[at(0), B, at(2000), at(2000)],
        &[at(0), C],
    ];
    let prompts = |options: &Options| {
        let model = saying(windows);
        let transcript = run(&model, 60.0, options);
        let prompts = std::mem::take(&mut model.seen.lock().unwrap().prompts);
        (
            prompts,
            transcript
                .segments
                .iter()
                .map(|segment| segment.seek)
                .collect::<Vec<_>>(),
        )
    };
    let special = Tokenizer::new(51864).unwrap().special();
    let (sot, prev) = (special.sot, special.sot_prev);
    let (first, second) = ([at(0), A, at(2000)], [at(0), B, at(2000)]);
    let all = [&[prev][..], &first, &second, &[sot]].concat();
    for compat in [Compat::OpenAi, Compat::Mlx] {
        let (found, seeks) = prompts(&greedy(compat));
        assert_eq!(seeks, [0, 2000, 4000]);
        assert_eq!(found, [vec![sot], [&[prev][..], &first, &[sot]].concat(), all.clone()]);

        let (found, _) = prompts(&Options {
            condition_on_previous_text: false,
            ..greedy(compat)
        });
        assert_eq!(found, [[sot], [sot], [sot]]);

        let initial = Tokenizer::new(51864).unwrap().encode(" Names: Ada").unwrap();
        let options = Options {
            initial_prompt: Some("  Names: Ada ".into()),
            ..greedy(compat)
        };
        let (found, _) = prompts(&options);
        assert_eq!(found[0], [&[prev][..], &initial, &[sot]].concat());
        assert_eq!(found[1], [&[prev][..], &initial, &first, &[sot]].concat());

        let options = Options {
            condition_on_previous_text: false,
            ..options
        };
        let (found, _) = prompts(&options);
        assert_eq!(found[1..], [[sot], [sot]]);

        let (found, _) = prompts(&Options {
            carry_initial_prompt: true,
            ..options
        });
        let carried = [&[prev][..], &initial, &[sot]].concat();
        assert_eq!(found, [carried.clone(), carried.clone(), carried]);
    }
}

#[test]
fn a_prompt_is_cut_to_its_last_223_tokens() {
    let long = "one two three four five ".repeat(100);
    let initial = Tokenizer::new(51864)
        .unwrap()
        .encode(&format!(" {}", long.trim()))
        .unwrap();
    for (carry, second) in [
        (false, &initial[initial.len() - 220..]),
        (true, &initial[initial.len() - 223..]),
    ] {
        let model = saying(&[&[at(0), A, at(2000), at(2000)], &[at(0), B]]);
        let options = Options {
            initial_prompt: Some(long.clone()),
            carry_initial_prompt: carry,
            ..greedy(Compat::OpenAi)
        };
        run(&model, 60.0, &options);
        let prompts = &model.seen.lock().unwrap().prompts;
        assert_eq!(prompts[0][1..224], initial[initial.len() - 223..]);
        assert_eq!(prompts[1].len(), 225);
        assert_eq!(prompts[1][1..1 + second.len()], *second);
    }
}

#[test]
fn a_silent_window_leaves_text_and_prompt_alone() {
    let model = ScriptedModel::english(|place, logits| {
        let says = [at(0), [A, B, C][place.window], at(2900)];
        logits[says.get(place.tokens.len()).unwrap_or(&EOT).0 as usize] = 20.0;
        if place.window == 1 {
            // improbable text, and probably no speech
            logits.iter_mut().for_each(|x| *x *= 0.1);
            logits[50361] = if place.tokens.is_empty() { 18.0 } else { -2.0 };
        }
    });
    let transcript = run(&model, 90.0, &greedy(Compat::OpenAi));
    assert_eq!(
        transcript
            .segments
            .iter()
            .map(|segment| segment.seek)
            .collect::<Vec<_>>(),
        [0, 6000]
    );
    let prompts = &model.seen.lock().unwrap().prompts;
    assert_eq!(prompts[2], prompts[1]);
    assert_eq!(prompts[1].len(), 5);
}

#[test]
fn blank_segments_keep_their_row() {
    let space = Tokenizer::new(51864).unwrap().blank()[0];
    for compat in [Compat::OpenAi, Compat::Mlx] {
        let model = saying(&[&[at(0), A, at(100), at(100), space, at(200), at(200), B, at(300)]]);
        let transcript = run(&model, 10.0, &greedy(compat));
        let rows = said(&transcript);
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[1], (1.0, 2.0, vec![]));
        assert_eq!(transcript.segments[1].text, "");
        assert_eq!(
            transcript.segments.iter().map(|segment| segment.id).collect::<Vec<_>>(),
            [0, 1, 2]
        );
    }
}

#[test]
fn times_past_the_end_are_kept_under_mlx_only() {
    let model = || saying(&[&[at(0), A, at(400), at(400), B, at(1400)]]);
    let times = |compat| {
        said(&run(&model(), 5.0, &greedy(compat)))
            .into_iter()
            .map(|row| (row.0, row.1))
            .collect()
    };
    let mlx: Vec<_> = times(Compat::Mlx);
    assert_eq!(mlx, [(0.0, 4.0), (4.0, 14.0)]);
    let openai: Vec<_> = times(Compat::OpenAi);
    assert_eq!(openai, [(0.0, 4.0), (4.0, 5.0)]);
}

#[test]
fn a_language_token_in_the_text_shows_under_mlx_only() {
    let model = || saying(&[&[at(0), A, Token(50258), B, at(400)]]);
    let text = Tokenizer::new(51864).unwrap().decode(&[A, B]);
    let openai = run(&model(), 5.0, &greedy(Compat::OpenAi));
    assert_eq!((&openai.text, &openai.segments[0].text), (&text, &text));
    let mlx = run(&model(), 5.0, &greedy(Compat::Mlx));
    assert_eq!(mlx.segments[0].text, text);
    assert!(mlx.text.contains("<|en|>"));
}

#[test]
fn a_recording_without_a_frame_has_no_text() {
    for compat in [Compat::OpenAi, Compat::Mlx] {
        for seconds in [0.0, 0.009] {
            let transcript = run(&saying(&[&[at(0), A]]), seconds, &greedy(compat));
            assert_eq!((transcript.text.as_str(), transcript.segments.len()), ("", 0));
        }
    }
}

// Fallback and sampling.

/// A network that repeats itself unless it is sampled: at temperature 0 the most probable token is always A.
fn repeating() -> ScriptedModel {
    ScriptedModel::english(|place, logits| match place.tokens.len() {
        0 => logits[at(0).0 as usize] = 20.0,
        1..40 => {
            logits[A.0 as usize] = 2.5;
            logits[2000..2400].fill(0.0);
        }
        40 => logits[at(1000).0 as usize] = 20.0,
        _ => logits[EOT.0 as usize] = 20.0,
    })
}

#[test]
fn repeated_text_is_decoded_again_at_the_next_temperature() {
    let all = Options {
        best_of: 1,
        logprob_threshold: None,
        ..Options::default()
    };
    let model = repeating();
    let transcript = run(&model, 10.0, &all);
    assert_eq!(transcript.segments[0].temperature, 0.4); // at 0.2 it repeats itself still
    assert!(transcript.segments[0].compression_ratio < 2.4);
    // The window was encoded once, and its prompt read once.
    let seen = model.seen.lock().unwrap();
    assert_eq!((seen.encoded.len(), seen.prompts.len()), (1, 1));
}

#[test]
fn without_thresholds_the_first_temperature_is_the_last() {
    let options = Options {
        compression_ratio_threshold: None,
        logprob_threshold: None,
        ..Options::default()
    };
    let transcript = run(&repeating(), 10.0, &options);
    assert_eq!(transcript.segments[0].temperature, 0.0);
    assert!(transcript.segments[0].compression_ratio > 2.4);
}

#[test]
fn a_seed_decides_what_is_sampled() {
    let tokens = |seed, best_of| {
        let options = Options {
            temperatures: vec![0.8],
            seed,
            best_of,
            ..Options::default()
        };
        run(&repeating(), 10.0, &options).segments[0].tokens.clone()
    };
    assert_eq!(tokens(1, 1), tokens(1, 1));
    assert_ne!(tokens(1, 1), tokens(2, 1));
    assert_eq!(tokens(1, 5), tokens(1, 5));
}

#[test]
fn the_best_sample_wins() {
    let logprob = |seed, best_of| {
        let options = Options {
            temperatures: vec![0.8],
            seed,
            best_of,
            logprob_threshold: None,
            ..Options::default()
        };
        run(&repeating(), 10.0, &options).segments[0].avg_logprob
    };
    let mean = |best_of| (0..10).map(|seed| logprob(seed, best_of)).sum::<f64>() / 10.0;
    assert!(mean(8) > mean(1) + 0.1, "{} {}", mean(8), mean(1));
}

#[test]
fn a_hot_text_is_no_prompt() {
    let windows: &[&[Token]] = &[&[at(0), A, at(2000), at(2000)], &[at(0), B]];
    for (temperature, n_prompt) in [(0.5, 5), (0.6, 1)] {
        let model = saying(windows);
        run(
            &model,
            60.0,
            &Options {
                temperatures: vec![temperature],
                ..Options::default()
            },
        );
        assert_eq!(model.seen.lock().unwrap().prompts[1].len(), n_prompt);
    }
}

// Languages.

/// A multilingual network that hears `language` with this probability in each window, else English, and says nothing.
fn hearing(n_vocab: usize, looks: Vec<(&'static str, f32)>) -> ScriptedModel {
    let tokenizer = Tokenizer::new(n_vocab).unwrap();
    ScriptedModel::new(n_vocab, move |place, logits| {
        let (language, probability) = looks[place.window.min(looks.len() - 1)];
        let token = |language: Language| tokenizer.language_token(language).unwrap().0 as usize;
        match place.tokens {
            [] => {
                logits[token(Language::ENGLISH)] = 20.0;
                logits[token(language.parse().unwrap())] = 20.0 + (probability / (1.0 - probability)).ln();
            }
            _ => logits[tokenizer.special().eot.0 as usize] = 20.0,
        }
    })
}

#[test]
fn the_language_is_heard_in_the_first_thirty_seconds() {
    for compat in [Compat::OpenAi, Compat::Mlx] {
        for (n_vocab, code) in [(51865, "de"), (51865, "su"), (51866, "yue")] {
            let model = hearing(n_vocab, vec![(code, 0.9)]);
            let transcript = run(&model, 40.0, &greedy(compat));
            assert_eq!(transcript.language.code(), code);
            assert!((transcript.language_probability.unwrap() - 0.9).abs() < 1e-5);
            assert_eq!(transcript.language_candidates[1].0, Language::ENGLISH);
            let seen = model.seen.lock().unwrap();
            assert_eq!(seen.encoded, [3000, 1000], "the first window is encoded once");
            let special = model.special;
            let language = Tokenizer::new(n_vocab)
                .unwrap()
                .language_token(code.parse().unwrap())
                .unwrap();
            assert_eq!(
                seen.prompts,
                [
                    vec![special.sot],
                    vec![special.sot, language, special.transcribe],
                    vec![special.sot, language, special.transcribe]
                ]
            );
        }
        // To mlx_whisper a shorter one sounds different: silence follows when it is detected, zeros when it is decoded.
        let model = hearing(51865, vec![("de", 0.9)]);
        run(&model, 20.0, &greedy(compat));
        let expected: &[usize] = match compat {
            Compat::Mlx => &[3000, 2000],
            Compat::OpenAi => &[2000],
        };
        assert_eq!(model.seen.lock().unwrap().encoded, expected);
    }
}

#[test]
fn a_weak_first_look_is_followed_by_others() {
    // English against others, 0.4 to 0.6 in the first window; in 130 s there are four more.
    let looks = vec![("la", 0.6), ("la", 0.05), ("de", 0.05), ("fr", 0.05), ("fr", 0.05)];
    let heard = |compat, looks: &[(&'static str, f32)]| {
        let third = |place: &Place<'_>, logits: &mut [f32]| {
            if (place.window, place.tokens) == (0, &[]) {
                logits[50300] = 20.0; // some third language takes the majority
            }
        };
        let model = hearing(51865, looks.to_vec()).and(third);
        let mut transcription = Vec::new();
        let mel = silence(130.0);
        let options = greedy(compat);
        let started = transcribe(&model, &mel, &options).unwrap();
        transcription.push((started.language().code(), started.warnings().count()));
        (transcription[0], model.seen.lock().unwrap().encoded.len())
    };
    assert_eq!(heard(Compat::Mlx, &looks), (("la", 0), 1));
    assert_eq!(heard(Compat::OpenAi, &looks), (("en", 0), 5));
    // A strong first look is believed.
    assert_eq!(heard(Compat::OpenAi, &[("la", 0.9)]), (("la", 0), 1));
}

#[test]
fn texts_decide_where_the_sound_does_not() {
    let tokenizer = Tokenizer::new(51865).unwrap();
    let token = |code: &str| tokenizer.language_token(code.parse().unwrap()).unwrap();
    let special = tokenizer.special();
    let (english, latin, hungarian) = (token("en"), token("la"), token("hu"));
    let model = || {
        ScriptedModel::new(51865, move |place, logits| {
            let timestamp = special.timestamp_begin.0 as usize;
            match *place.tokens {
                [] => {
                    logits[hungarian.0 as usize] = 2.3;
                    logits[latin.0 as usize] = 2.2;
                    logits[english.0 as usize] = 2.0;
                }
                [_, _] => logits[timestamp] = 20.0,
                // Hungarian is improbable, Latin goes round in circles, English is what is said.
                [language, ..] if language == latin => logits[1000] = 20.0,
                [language, .., last] if last.0 < 1010 || last.0 >= special.timestamp_begin.0 => {
                    let next = if last.0 < 1010 { last.0 as usize + 1 } else { 1000 };
                    logits[next] = 5.0;
                    logits[20_000..20_002].fill(if language == english { 0.0 } else { 4.0 });
                }
                _ => logits[special.eot.0 as usize] = 20.0,
            }
        })
    };
    let openai = run(&model(), 7.0, &greedy(Compat::OpenAi));
    assert_eq!(openai.language, Language::ENGLISH);
    assert_eq!(openai.language_candidates[0].0.code(), "hu");
    assert!(openai.language_probability < Some(openai.language_candidates[0].1));
    assert_eq!(
        openai.warnings,
        [Warning::UncertainLanguage {
            language: Language::ENGLISH
        }]
    );
    let mlx = run(&model(), 7.0, &greedy(Compat::Mlx));
    assert_eq!((mlx.language.code(), mlx.warnings.len()), ("hu", 0));
}

#[test]
fn a_known_language_is_not_detected() {
    let model = hearing(51865, vec![("de", 0.9)]);
    let options = Options {
        language: Some("fr".parse().unwrap()),
        ..greedy(Compat::OpenAi)
    };
    let transcript = run(&model, 20.0, &options);
    assert_eq!(
        (transcript.language.code(), transcript.language_probability),
        ("fr", None)
    );
    assert_eq!(model.seen.lock().unwrap().encoded, [2000]);

    let transcript = run(&saying(&[]), 20.0, &greedy(Compat::OpenAi));
    assert_eq!(
        (transcript.language, transcript.language_probability),
        (Language::ENGLISH, None)
    );
}

#[test]
fn what_a_model_cannot_do_is_refused_or_said() {
    let refusal = |model: &ScriptedModel, options: Options| match transcribe(model, &silence(1.0), &options) {
        Err(Error::Request(problem)) => problem,
        other => panic!("{:?}", other.map(|transcription| transcription.language())),
    };
    let language = |code: &str| Options {
        language: Some(code.parse().unwrap()),
        ..greedy(Compat::OpenAi)
    };
    let translate = || Options {
        task: Task::Translate,
        ..language("en")
    };
    for message in [
        refusal(&saying(&[]), language("de")),
        refusal(&saying(&[]), translate()),
        refusal(&hearing(51865, vec![("de", 0.5)]), language("yue")),
    ] {
        assert!(message.contains("this model"), "{message}");
    }
    refusal(
        &saying(&[]),
        Options {
            temperatures: vec![],
            ..Options::default()
        },
    );
    refusal(
        &saying(&[]),
        Options {
            temperatures: vec![f64::NAN],
            ..Options::default()
        },
    );
    refusal(
        &saying(&[]),
        Options {
            best_of: 0,
            ..Options::default()
        },
    );
    refusal(
        &saying(&[]),
        Options {
            length_penalty: Some(1.5),
            ..Options::default()
        },
    );
    refusal(
        &saying(&[]),
        Options {
            clip_timestamps: vec![-1.0],
            ..Options::default()
        },
    );
    refusal(
        &saying(&[]),
        Options {
            initial_prompt: Some("<|endoftext|>".into()),
            ..Options::default()
        },
    );
    refusal(
        &saying(&[]),
        Options {
            prefix: Some("one two three ".repeat(100)),
            ..Options::default()
        },
    );
    refusal(&saying(&[]).with_dims(|dims| dims.n_mels = 128), greedy(Compat::OpenAi));

    let turbo = hearing(51866, vec![("de", 0.9)]).with_dims(|dims| dims.n_text_layer = 4);
    assert_eq!(run(&turbo, 1.0, &translate()).warnings, [Warning::CannotTranslate]);
    assert_eq!(run(&turbo, 1.0, &language("de")).warnings, []);
}

// Stopping, failing, watching.

#[test]
fn segments_come_as_they_are_found_and_the_monitor_follows() {
    let model = saying(&[&[at(0), A, at(1000), at(1000), B, at(2000), at(2000)], &[at(0), C]]);
    let options = greedy(Compat::OpenAi);
    let mel = silence(40.0);
    let mut transcription = transcribe(&model, &mel, &options).unwrap();
    assert_eq!(
        (options.monitor.frames_done(), options.monitor.frames_total()),
        (0, 4000)
    );
    assert_eq!(transcription.next().unwrap().unwrap().end, 10.0);
    assert_eq!(transcription.next().unwrap().unwrap().end, 20.0);
    assert_eq!(
        (model.seen.lock().unwrap().encoded.len(), options.monitor.frames_done()),
        (1, 2000)
    );
    assert_eq!(transcription.next().unwrap().unwrap().start, 20.0);
    assert!(transcription.next().is_none());
    assert_eq!(options.monitor.frames_done(), 4000);
    assert_eq!(transcription.finish().unwrap().segments.len(), 3);
}

#[test]
fn where_nobody_speaks_the_language_is_that_of_the_sound() {
    let model = hearing(51865, vec![("de", 0.9)]);
    let mel = silence(40.0).with_voice(vec![0.0; 2500]);
    let options = Options {
        batch: std::num::NonZeroUsize::new(2),
        ..greedy(Compat::OpenAi)
    };
    let transcript = transcribe(&model, &mel, &options).unwrap().finish().unwrap();
    assert_eq!((transcript.segments, transcript.language.code()), (vec![], "de"));
    assert_eq!(transcript.warnings, [Warning::NoVoice]);
    assert_eq!(options.monitor.frames_done(), 4000);
}

#[test]
fn cancelling_keeps_what_was_found() {
    let model = saying(&[&[at(0), A, at(1000), at(1000)], &[at(0), B]]);
    let options = greedy(Compat::OpenAi);
    let mel = silence(40.0);
    let mut transcription = transcribe(&model, &mel, &options).unwrap();
    transcription.next().unwrap().unwrap();
    options.monitor.cancel();
    assert!(matches!(transcription.next(), Some(Err(Error::Cancelled))));
    assert!(transcription.next().is_none());
    assert_eq!(transcription.finish().unwrap().segments.len(), 1);
}

#[test]
fn a_broken_network_is_an_error() {
    for compat in [Compat::OpenAi, Compat::Mlx] {
        for broken_at in [0, 1, 5] {
            for temperature in [0.0, 1.0] {
                let model = ScriptedModel::english(move |place, logits| {
                    logits[A.0 as usize + place.tokens.len()] = 10.0;
                    if place.tokens.len() == broken_at {
                        logits.fill(f32::NAN);
                    }
                });
                let options = Options {
                    temperatures: vec![temperature],
                    ..greedy(compat)
                };
                let result = transcribe(&model, &silence(10.0), &options).unwrap().finish();
                assert!(matches!(result, Err(Error::Model(_))));
            }
        }
    }
    let deaf = ScriptedModel::new(51865, |_, logits| logits.fill(f32::NAN));
    assert!(matches!(
        transcribe(&deaf, &silence(10.0), &greedy(Compat::OpenAi)),
        Err(Error::Model(_))
    ));
}

// Windows side by side.

fn side_by_side(n: usize) -> Options {
    Options {
        batch: std::num::NonZeroUsize::new(n),
        ..greedy(Compat::OpenAi)
    }
}

#[test]
fn side_by_side_parts_keep_their_order_and_the_number_changes_nothing() {
    // Silence throughout: parts of 30 s, the last one of 10 s.
    let windows: [&[Token]; 4] = [
        &[at(0), A, at(500)],
        &[at(100), B, at(2900)],
        &[at(0), C, at(250), at(250), A, at(300)],
        &[at(0), B, at(2000)], // past the end of the recording
    ];
    let expected = run(&saying(&windows), 100.0, &side_by_side(1));
    let of_part = |segment: &Segment| (segment.id, segment.seek, segment.start);
    let found: Vec<_> = expected.segments.iter().map(of_part).collect();
    let starts: Vec<usize> = expected.segments.iter().map(|segment| segment.seek).collect();
    assert!(starts.is_sorted() && starts[4] > 8000, "{found:?}");
    assert_eq!(found.iter().map(|row| row.0).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(expected.segments[4].end, 100.0);

    for n in [2, 3, 4, 64] {
        let model = saying(&windows);
        assert_eq!(run(&model, 100.0, &side_by_side(n)), expected, "{n}");
        let steps = model.seen.lock().unwrap().steps;
        let expected = if n < 4 { 4 + 7 } else { 7 }; // the longest text counts, of each that go together
        assert_eq!(steps, expected, "{n} windows share their steps");
    }
}

#[test]
fn side_by_side_what_is_cut_off_is_read_on_with_its_own_prompt() {
    // The first two windows are begun together; the first reads on behind its last pair.
    let windows: [&[Token]; 3] = [
        &[at(0), A, at(1000), at(1000), B],
        &[at(0), C, at(500)],
        &[at(0), B, at(700)],
    ];
    let model = saying(&windows);
    let transcript = run(&model, 60.0, &side_by_side(2));
    let rows: Vec<_> = said(&transcript)
        .into_iter()
        .map(|(start, end, tokens)| (start, end, tokens[1]))
        .collect();
    let second = transcript.segments[2].seek as f64 / 100.0;
    assert_eq!(rows, [(0.0, 10.0, A), (10.0, 17.0, B), (second, second + 5.0, C)]);
    let prompts = model.seen.lock().unwrap().prompts.clone();
    assert!(prompts[2].contains(&A) && !prompts[2].contains(&C), "{prompts:?}");
}

#[test]
fn side_by_side_samples_do_not_depend_on_the_neighbours() {
    let options = |n| Options {
        temperatures: vec![0.0, 0.5, 1.0],
        batch: std::num::NonZeroUsize::new(n),
        ..Options::default()
    };
    for seed in 0..10 {
        let model = || ScriptedModel::erratic_alike(seed);
        assert_eq!(
            run(&model(), 200.0, &options(1)),
            run(&model(), 200.0, &options(5)),
            "seed {seed}"
        );
    }
}

#[test]
fn side_by_side_is_not_what_mlx_whisper_does() {
    let options = Options {
        compat: Compat::Mlx,
        ..side_by_side(2)
    };
    let problem = transcribe(&saying(&[]), &silence(1.0), &options)
        .err()
        .unwrap()
        .to_string();
    assert!(problem.contains("batch"), "{problem}");
}
