use super::scripted::ScriptedModel;
use super::*;

/// A network that says `n` tokens, none of which repeats.
fn talking(n: usize) -> ScriptedModel {
    ScriptedModel::english(move |place, logits| {
        let token = if place.tokens.len() < n {
            1000 + place.tokens.len()
        } else {
            50256
        };
        logits[token] = 20.0;
    })
}

/// Decodes one window without timestamps rules in the way.
fn decode(model: &ScriptedModel, options: &Options, previous: &[Token]) -> Decoding {
    let tokenizer = Tokenizer::new(51864).unwrap();
    let mut decoder = Decoder::new(model, tokenizer, &[tokenizer.special().sot], options).unwrap();
    let mut prompted = decoder.prompt(&[window(previous)]).unwrap();
    decoder
        .attempt(&mut prompted, options.temperatures[0])
        .unwrap()
        .remove(0)
}

fn window(previous: &[Token]) -> Window<'_, ScriptedModel> {
    Window {
        audio: &SOUND,
        previous,
        start: 0,
    }
}

static SOUND: std::sync::LazyLock<Arc<()>> = std::sync::LazyLock::new(Arc::default);

fn plain() -> Options {
    Options {
        without_timestamps: true,
        ..Options::default()
    }
}

#[test]
fn a_step_projects_one_row_and_the_first_two() {
    // [notimestamps] follows sot: two rows at first, one for each of nine tokens more, none after the end.
    let model = talking(10);
    assert_eq!(decode(&model, &plain(), &[]).tokens.len(), 9); // one place is notimestamps
    let seen = model.seen.lock().unwrap();
    assert_eq!((seen.steps, seen.rows), (10, 11));
    drop(seen);
    // Where sot is the last token, one row serves both.
    let model = ScriptedModel::saying(vec![vec![vec![Token(50363)], vec![Token(1000)]]]);
    assert_eq!(decode(&model, &Options::default(), &[]).tokens.len(), 2);
    let seen = model.seen.lock().unwrap();
    assert_eq!((seen.steps, seen.rows), (3, 3));
}

#[test]
fn a_token_costs_no_allocation() {
    let allocations = |n: usize| {
        let model = talking(n);
        let (options, tokenizer) = (plain(), Tokenizer::new(51864).unwrap());
        let mut decoder = Decoder::new(&model, tokenizer, &[tokenizer.special().sot], &options).unwrap();
        let mut prompted = decoder.prompt(&[window(&[])]).unwrap();
        let mut decoding = None;
        let counted = allocation_counter::measure(|| decoding = Some(decoder.attempt(&mut prompted, 0.0).unwrap()));
        assert_eq!(decoding.unwrap()[0].tokens.len(), n - 1);
        counted.count_total
    };
    // What remains is the text, which grows a few times.
    assert!(
        allocations(200) <= allocations(20) + 8,
        "{} {}",
        allocations(200),
        allocations(20)
    );
}

#[test]
fn an_attempt_ends_with_its_tokens_or_the_context() {
    assert_eq!(decode(&talking(1000), &plain(), &[]).tokens.len(), 224);
    assert_eq!(
        decode(
            &talking(1000),
            &Options {
                sample_len: Some(7),
                ..plain()
            },
            &[]
        )
        .tokens
        .len(),
        7
    );
    // 1 + 223 + 2 tokens of prompt: the 223rd token would be the 449th.
    assert_eq!(decode(&talking(1000), &plain(), &[Token(5); 300]).tokens.len(), 223);
    assert_eq!(
        decode(
            &talking(1000),
            &Options {
                sample_len: Some(usize::MAX),
                ..plain()
            },
            &[]
        )
        .tokens
        .len(),
        447
    );
}

#[test]
fn numbers_of_a_decoding() {
    let model = ScriptedModel::english(|place, logits| {
        logits.fill(f32::NEG_INFINITY);
        match place.tokens.len() {
            0 => logits[50361] = 0.0, // no speech, half of the probability at sot
            1 => logits[1000] = 1.0,
            _ => (),
        }
        logits[1001] = 0.0;
        logits[50256] = if place.tokens.len() > 1 { 3.0 } else { f32::NEG_INFINITY };
    });
    let decoding = decode(&model, &plain(), &[]);
    assert_eq!(decoding.tokens, [Token(1000)]);
    let softplus = |x: f64| -(1.0 + (-x).exp()).ln(); // ln of the probability of logit x against logit 0
    assert!((decoding.avg_logprob - (softplus(1.0) + softplus(3.0)) / 2.0).abs() < 1e-6);
    assert!((decoding.no_speech_prob - 0.5).abs() < 1e-6);
    assert_eq!(decoding.compression_ratio, compression_ratio(&decoding.text));
}

#[test]
fn where_all_is_forbidden_openai_ends_and_mlx_shouts() {
    let model = || {
        ScriptedModel::english(|place, logits| {
            let _ = place;
            logits.fill(f32::NEG_INFINITY);
            logits[50361] = 0.0; // suppressed
        })
    };
    let openai = decode(&model(), &plain(), &[]);
    assert_eq!((openai.tokens.len(), openai.avg_logprob), (0, 0.0));
    let mlx = decode(
        &model(),
        &Options {
            compat: Compat::Mlx,
            sample_len: Some(3),
            ..plain()
        },
        &[],
    );
    assert_eq!((mlx.text.as_str(), mlx.avg_logprob.is_nan()), ("!!!", true));
}

#[test]
fn a_prefix_is_said_but_not_given_back() {
    let tokenizer = Tokenizer::new(51864).unwrap();
    let prefix = tokenizer.encode(" And so").unwrap();
    let model = talking(10);
    let options = Options {
        prefix: Some("And so".into()),
        ..plain()
    };
    let decoding = decode(&model, &options, &[]);
    assert_eq!(decoding.tokens.len(), 10 - 1 - prefix.len());
    let special = tokenizer.special();
    assert_eq!(
        model.seen.lock().unwrap().prompts[0],
        [&[special.sot, special.no_timestamps][..], &prefix].concat()
    );
    // With fewer tokens asked for, its end: 224 - 223 = 1.
    let model = talking(10);
    decode(
        &model,
        &Options {
            sample_len: Some(223),
            ..options
        },
        &[],
    );
    assert_eq!(model.seen.lock().unwrap().prompts[0][2..], prefix[prefix.len() - 1..]);
}

#[test]
fn samples_are_compared_by_mean_or_by_penalised_length() {
    // Half of the samples end at once at log-probability ln 1/2, half go on for 20 tokens of probability 0.9.
    let model = ScriptedModel::english(|place, logits| match place.tokens.len() {
        1 => {
            logits[1000] = 5.0;
            logits[1001] = 5.0;
        }
        n if n == 2 && place.tokens[1] == Token(1001) => logits[50256] = 20.0,
        n if n < 22 => {
            logits[1000 + n] = 9.0_f32.ln() + 5.0;
            logits[30_000] = 5.0;
        }
        _ => logits[50256] = 20.0,
    });
    let options = |length_penalty| Options {
        temperatures: vec![1.0],
        best_of: 16,
        length_penalty,
        ..plain()
    };
    assert!(decode(&model, &options(None), &[]).tokens.len() > 1); // the long ones have the better mean
    assert_eq!(decode(&model, &options(Some(0.0)), &[]).tokens, [Token(1001)]); // the short ones the better sum
}

#[test]
fn compression_ratios_are_those_of_zlib() {
    // Python: len(text) / len(zlib.compress(text.encode()))
    for (text, expected) in [
        ("", 0.0),
        ("a", 1.0 / 9.0),
        (
            "And so, my fellow Americans, ask not what your country can do for you.",
            70.0 / 71.0,
        ),
        (&"ha ".repeat(100), 300.0 / 15.0),
        (&"Ääni ja kuva. ".repeat(7), 112.0 / 27.0),
    ] {
        assert_eq!(compression_ratio(text), expected, "{text}");
    }
}
