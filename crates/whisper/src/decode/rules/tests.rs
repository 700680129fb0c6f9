use super::*;

const NEVER: f32 = f32::NEG_INFINITY;

/// A vocabulary of 20: text 0..10, end 10, a special token, `<|notimestamps|>` 12, timestamps 13..20. The first one may
/// be 17 at most.
fn rules(compat: Compat) -> Rules {
    Rules {
        compat,
        eot: 10,
        no_timestamps: 12,
        timestamp_begin: 13,
        blank: Vec::new(),
        suppressed: Vec::new(),
        timestamps: true,
        max_initial_index: Some(4),
    }
}

/// The tokens that may follow `sampled`.
fn allowed(rules: &Rules, sampled: &[u32], logits: [f32; 20]) -> Vec<usize> {
    let mut logits = logits;
    let sampled: Vec<Token> = sampled.iter().copied().map(Token).collect();
    rules.apply(&sampled, &mut logits);
    (0..20).filter(|&i| logits[i] > NEVER).collect()
}

/// Logits where no text is as probable as some timestamp.
fn timestampish() -> [f32; 20] {
    std::array::from_fn(|i| if i < 13 { 0.0 } else { 5.0 })
}

/// Logits where any text is more probable than all timestamps.
fn textish() -> [f32; 20] {
    std::array::from_fn(|i| if i < 13 { 5.0 } else { 0.0 })
}

fn concat(a: std::ops::Range<usize>, b: std::ops::Range<usize>) -> Vec<usize> {
    a.chain(b).collect()
}

/// Expected: `ApplyTimestampRules` of mlx_whisper 0.4.3, run on these logits.
#[test]
fn pairs_under_mlx() {
    let rules = rules(Compat::Mlx);
    let text = Vec::from_iter(0..12);
    let timestamps = Vec::from_iter(13..20);
    for (sampled, if_textish, if_timestampish) in [
        (&[][..], Vec::from_iter(13..18), Vec::from_iter(13..18)),
        (&[13], text.clone(), vec![]),
        (&[14], text.clone(), vec![]),
        (&[13, 1], concat(0..12, 13..20), timestamps.clone()),
        (&[13, 1, 15], concat(10..12, 13..20), timestamps.clone()),
        (&[13, 1, 15, 15], text.clone(), vec![]),
        (&[13, 1, 15, 16], text.clone(), vec![]),
        (&[13, 1, 15, 15, 2], concat(0..12, 13..20), timestamps.clone()),
        (&[1], concat(0..12, 13..20), timestamps.clone()),
        (&[1, 2], concat(0..12, 13..20), timestamps.clone()),
    ] {
        assert_eq!(allowed(&rules, sampled, textish()), if_textish, "{sampled:?}");
        assert_eq!(allowed(&rules, sampled, timestampish()), if_timestampish, "{sampled:?}");
    }
}

/// Expected: `ApplyTimestampRules` of openai/whisper v20250625, by hand.
#[test]
fn pairs_under_openai() {
    let rules = rules(Compat::OpenAi);
    let text = Vec::from_iter(0..12);
    for (sampled, if_textish, if_timestampish) in [
        (&[][..], Vec::from_iter(13..18), Vec::from_iter(13..18)),
        (&[13], text.clone(), text.clone()),
        (&[14], text.clone(), text.clone()),
        (&[13, 1], concat(0..12, 14..20), Vec::from_iter(14..20)),
        (&[13, 1, 15], concat(10..12, 15..20), Vec::from_iter(15..20)),
        (&[13, 1, 15, 15], text.clone(), text.clone()),
        (&[13, 1, 15, 16], text.clone(), text.clone()),
        (&[13, 1, 15, 15, 2], concat(0..12, 16..20), Vec::from_iter(16..20)),
        (&[13, 1, 19, 19, 2], text.clone(), text.clone()), // no later time is left
        (&[1], concat(0..12, 13..20), Vec::from_iter(13..20)),
        (&[1, 2], concat(0..12, 13..20), Vec::from_iter(13..20)),
    ] {
        assert_eq!(allowed(&rules, sampled, textish()), if_textish, "{sampled:?}");
        assert_eq!(allowed(&rules, sampled, timestampish()), if_timestampish, "{sampled:?}");
    }
}

#[test]
fn mlx_counts_the_ban_on_timestamps_as_text() {
    let mut logits = timestampish();
    logits[12] = 9.0; // above the sum of the timestamps, 5 + ln 7
    assert_eq!(allowed(&rules(Compat::Mlx), &[13, 1], logits), concat(0..12, 13..20));
    assert_eq!(
        allowed(&rules(Compat::OpenAi), &[13, 1], logits),
        Vec::from_iter(14..20)
    );
    logits[12] = 4.0;
    assert_eq!(allowed(&rules(Compat::Mlx), &[13, 1], logits), Vec::from_iter(13..20));
}

#[test]
fn a_first_timestamp_has_a_limit_or_none() {
    let with = |max_initial_index| Rules {
        max_initial_index,
        ..rules(Compat::OpenAi)
    };
    assert_eq!(allowed(&with(Some(0)), &[], textish()), [13]);
    assert_eq!(allowed(&with(Some(6)), &[], textish()), Vec::from_iter(13..20));
    assert_eq!(allowed(&with(None), &[], textish()), Vec::from_iter(13..20));
    assert_eq!(
        (initial_index(1.0), initial_index(0.0), initial_index(0.05)),
        (Some(50), None, Some(2))
    );
}

#[test]
fn blanks_are_forbidden_at_the_start_and_others_everywhere() {
    let rules = Rules {
        blank: vec![3, 10],
        suppressed: vec![5],
        timestamps: false,
        ..rules(Compat::OpenAi)
    };
    assert_eq!(
        allowed(&rules, &[], textish()),
        [0, 1, 2, 4, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19]
    );
    assert_eq!(allowed(&rules, &[1], textish()), concat(0..5, 6..20));
}

#[test]
fn the_lists_are_those_of_mlx_whisper() {
    use crate::decode::scripted::ScriptedModel;
    for (n_vocab, n_suppressed) in [(51864, 90), (51865, 88), (51866, 88)] {
        let tokenizer = Tokenizer::new(n_vocab).unwrap();
        let model = ScriptedModel::new(n_vocab, |_, _| ());
        let dims = crate::model::Model::dims(&model);
        let rules = Rules::new(dims, &tokenizer, &Options::default()).unwrap();
        assert_eq!(rules.suppressed.len(), n_suppressed);
        assert_eq!(rules.blank, [220, if n_vocab == 51864 { 50256 } else { 50257 }]);

        let options = Options {
            suppress_tokens: Vec::new(),
            suppress_blank: false,
            ..Options::default()
        };
        let rules = Rules::new(dims, &tokenizer, &options).unwrap();
        assert_eq!((rules.suppressed.len(), rules.blank.len()), (0, 0));

        let options = Options {
            suppress_tokens: vec![Suppress::Token(Token(7))],
            ..Options::default()
        };
        assert_eq!(Rules::new(dims, &tokenizer, &options).unwrap().suppressed.len(), 7);
        let options = Options {
            suppress_tokens: vec![Suppress::Token(Token(51866))],
            ..Options::default()
        };
        assert!(Rules::new(dims, &tokenizer, &options).is_err());
    }
}
