//! Against mlx_whisper (`tests/golden/tokenizer.json`, made by `tools/golden/tokenizer.py`), and what holds for any input.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Golden {
    language_codes: BTreeMap<String, String>,
    /// Text, tokens of gpt2, tokens of multilingual.
    encode: Vec<(String, Vec<Token>, Vec<Token>)>,
    utf8: Utf8,
    vocabularies: Vec<GoldenVocabulary>,
}

#[derive(Deserialize)]
struct Utf8 {
    bytes: Vec<u8>,
    /// Checksum of the texts of all sequences of 1 to 4 of the bytes.
    decoded: u32,
}

#[derive(Deserialize)]
struct GoldenVocabulary {
    n_vocab: usize,
    special: HashMap<String, Token>,
    languages: Vec<Token>,
    sot_sequence: Vec<Token>,
    non_speech: Vec<Token>,
    /// Checksum of the bytes of all tokens.
    bytes: u32,
    /// Tokens, text, text with timestamps.
    decode: Vec<(Vec<Token>, String, String)>,
    /// Text, whether it contains a special token.
    refused: Vec<(String, bool)>,
    /// Language, tokens, words with their numbers of tokens.
    words: Vec<(String, Vec<Token>, Vec<(String, usize)>)>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../tests/golden/tokenizer.json")).unwrap()
}

fn tokenizer(n_vocab: usize) -> Tokenizer {
    Tokenizer::new(n_vocab).unwrap()
}

fn all_sizes() -> impl Iterator<Item = Tokenizer> {
    [51864, 51865, 51866].map(tokenizer).into_iter()
}

/// CRC-32 of the parts, each after its length.
fn checksum<T: AsRef<[u8]>>(parts: impl Iterator<Item = T>) -> u32 {
    let mut crc = flate2::Crc::new();
    for part in parts {
        crc.update(&u32::try_from(part.as_ref().len()).unwrap().to_le_bytes());
        crc.update(part.as_ref());
    }
    crc.sum()
}

#[test]
fn ids_are_those_of_openai() {
    // eot, sot, translate, transcribe, sot_lm, sot_prev, no_speech, no_timestamps, <|0.00|>
    let table = [
        (51864, [50256, 50257, 50357, 50358, 50359, 50360, 50361, 50362, 50363]),
        (51865, [50257, 50258, 50358, 50359, 50360, 50361, 50362, 50363, 50364]),
        (51866, [50257, 50258, 50359, 50360, 50361, 50362, 50363, 50364, 50365]),
    ];
    for (n_vocab, ids) in table {
        let special = tokenizer(n_vocab).special();
        let found = [
            special.eot,
            special.sot,
            special.translate,
            special.transcribe,
            special.sot_lm,
            special.sot_prev,
            special.no_speech,
            special.no_timestamps,
            special.timestamp_begin,
        ];
        assert_eq!(found, ids.map(Token), "{n_vocab}");
    }
}

#[test]
fn special_tokens_and_languages_match() {
    for golden in golden().vocabularies {
        let tokenizer = tokenizer(golden.n_vocab);
        let special = tokenizer.special();
        for (name, token) in [
            ("eot", special.eot),
            ("no_speech", special.no_speech),
            ("sot_lm", special.sot_lm),
        ] {
            assert_eq!(golden.special[name], token);
        }
        let english = tokenizer.sot_sequence(Language::ENGLISH, Task::Transcribe).unwrap();
        assert_eq!(english, golden.sot_sequence);

        if tokenizer.is_multilingual() {
            let tokens: Vec<_> = tokenizer
                .languages()
                .iter()
                .map(|&l| tokenizer.language_token(l).unwrap())
                .collect();
            assert_eq!(tokens, golden.languages);
            for (&token, &language) in tokens.iter().zip(tokenizer.languages()) {
                assert_eq!(tokenizer.language_of(token), Some(language));
                assert_eq!(tokenizer.decode(&[token]), format!("<|{}|>", language.code()));
            }
        }
        for id in [0, special.eot.0, special.sot.0, special.translate.0, u32::MAX] {
            assert_eq!(tokenizer.language_of(Token(id)), None);
        }
    }
}

#[test]
fn language_names_match() {
    for (name, code) in golden().language_codes {
        assert_eq!(name.parse::<Language>().unwrap().code(), code);
    }
}

#[test]
fn a_model_says_what_it_cannot_do() {
    let cantonese: Language = "yue".parse().unwrap();
    let german: Language = "de".parse().unwrap();
    let ids = |sequence: Result<Vec<Token>>| sequence.unwrap().iter().map(|token| token.0).collect::<Vec<_>>();
    let english_only = tokenizer(51864);
    assert_eq!(english_only.languages(), [Language::ENGLISH]);
    assert_eq!(english_only.language_token(Language::ENGLISH), None);
    assert_eq!(english_only.language_of(Token(50258)), None);
    assert!(english_only.sot_sequence(german, Task::Transcribe).is_err());
    assert!(english_only.sot_sequence(Language::ENGLISH, Task::Translate).is_err());

    let multilingual = tokenizer(51865);
    assert_eq!(
        ids(multilingual.sot_sequence(german, Task::Translate)),
        [50258, 50261, 50358]
    );
    assert_eq!(multilingual.language_token(cantonese), None);
    let error = multilingual
        .sot_sequence(cantonese, Task::Transcribe)
        .unwrap_err()
        .to_string();
    assert_eq!(error, "this model does not know Cantonese: large-v3 and turbo do");

    assert_eq!(
        ids(tokenizer(51866).sot_sequence(cantonese, Task::Transcribe)),
        [50258, 50358, 50360]
    );
}

#[test]
fn other_sizes_are_refused() {
    for n_vocab in [0, 512, 51863, 51867, usize::MAX] {
        let error = Tokenizer::new(n_vocab).err().unwrap().to_string();
        assert!(
            ["51864", "51865", "51866"].iter().all(|size| error.contains(size)),
            "{error}"
        );
    }
}

#[test]
fn every_token_has_its_bytes() {
    for golden in golden().vocabularies {
        let tokenizer = tokenizer(golden.n_vocab);
        let all = (0..).take(golden.n_vocab).map(|id| tokenizer.token_bytes(Token(id)));
        assert_eq!(checksum(all), golden.bytes);
        assert!(
            tokenizer
                .token_bytes(Token(u32::try_from(golden.n_vocab).unwrap()))
                .is_empty()
        );
    }
}

#[test]
fn encodes_as_mlx_whisper() {
    for (text, gpt2, multilingual) in golden().encode {
        assert_eq!(tokenizer(51864).encode(&text).unwrap(), gpt2, "{text:?}");
        assert_eq!(tokenizer(51865).encode(&text).unwrap(), multilingual, "{text:?}");
        assert_eq!(tokenizer(51866).encode(&text).unwrap(), multilingual, "{text:?}");
        assert_eq!(tokenizer(51866).decode(&multilingual), text);
    }
}

#[test]
fn refuses_the_text_of_special_tokens() {
    for golden in golden().vocabularies {
        let tokenizer = tokenizer(golden.n_vocab);
        for (text, refused) in golden.refused {
            assert_eq!(tokenizer.encode(&text).is_err(), refused, "{text:?} {}", golden.n_vocab);
        }
    }
    let error = tokenizer(51865)
        .encode("a <|x|> <|de|> <|en|>")
        .unwrap_err()
        .to_string();
    assert_eq!(error, "the text contains the special token <|de|>: remove it");
}

#[test]
fn decodes_as_mlx_whisper() {
    for golden in golden().vocabularies {
        let tokenizer = tokenizer(golden.n_vocab);
        for (tokens, text, with_timestamps) in golden.decode {
            assert_eq!(tokenizer.decode(&tokens), text, "{tokens:?}");
            assert_eq!(tokenizer.decode_with_timestamps(&tokens), with_timestamps, "{tokens:?}");
        }
    }
}

/// All sequences of up to four bytes, of every class a decoder tells apart: truncated, overlong, surrogates, too large.
#[test]
fn broken_utf8_is_replaced_as_in_python() {
    let golden = golden().utf8;
    let tokenizer = tokenizer(51865);
    let token_of: HashMap<u8, Token> = (0..256)
        .map(Token)
        .map(|token| (tokenizer.token_bytes(token)[0], token))
        .collect();
    let alphabet: Vec<_> = golden.bytes.iter().map(|byte| token_of[byte]).collect();

    let mut sequences = vec![vec![]];
    let mut all = Vec::new();
    for _ in 0..4 {
        sequences = sequences
            .iter()
            .flat_map(|sequence| alphabet.iter().map(move |&token| [&sequence[..], &[token]].concat()))
            .collect();
        all.extend_from_slice(&sequences);
    }
    assert_eq!(
        checksum(all.iter().map(|sequence| tokenizer.decode(sequence))),
        golden.decoded
    );
}

#[test]
fn timestamps_are_steps_of_20_ms() {
    for tokenizer in all_sizes() {
        let begin = tokenizer.special().timestamp_begin.0;
        for (token, steps) in [
            (begin, Some(0)),
            (begin + 1500, Some(1500)),
            (begin + 1501, None),
            (begin - 1, None),
        ] {
            assert_eq!(tokenizer.timestamp(Token(token)), steps);
        }
        let texts = [
            (0, "<|0.00|>"),
            (54, "<|1.08|>"),
            (505, "<|10.10|>"),
            (1500, "<|30.00|>"),
        ];
        for (steps, text) in texts {
            assert_eq!(tokenizer.decode_with_timestamps(&[Token(begin + steps)]), text);
            assert_eq!(tokenizer.decode(&[Token(begin + steps)]), "");
        }
    }
}

#[test]
fn suppressed_symbols_match() {
    for (golden, count) in golden().vocabularies.into_iter().zip([84, 82, 82]) {
        let tokenizer = tokenizer(golden.n_vocab);
        assert_eq!(tokenizer.non_speech(), golden.non_speech);
        assert_eq!(tokenizer.non_speech().len(), count);

        // None of the six that are suppressed with them is among them: 90, 88 and 88 in all.
        let s = tokenizer.special();
        let with = [s.transcribe, s.translate, s.sot, s.sot_prev, s.sot_lm, s.no_speech];
        assert!(with.iter().all(|token| !tokenizer.non_speech().contains(token)));
        assert_eq!(tokenizer.blank(), [Token(220), s.eot]);
    }
}

#[test]
fn splits_words_as_mlx_whisper() {
    for golden in golden().vocabularies {
        let tokenizer = tokenizer(golden.n_vocab);
        for (language, tokens, expected) in golden.words {
            let words = tokenizer.split_words(&tokens, language.parse().unwrap());
            let found: Vec<_> = words.into_iter().map(|word| (word.text, word.tokens.len())).collect();
            assert_eq!(found, expected, "{language} {tokens:?}");
        }
    }
}

/// A megabyte that is one piece, many equal pairs, or many near special tokens: half a minute if anything were quadratic.
#[test]
fn hostile_text_takes_no_longer() {
    let tokenizer = tokenizer(51865);
    for unit in [
        "a", "ab", " ", "\u{3000}", "!", "<|", "<|en", "|>", "'", "é", "\n ", "qzxjkv",
    ] {
        let text = unit.repeat((1 << 20) / unit.len());
        assert_eq!(tokenizer.decode(&tokenizer.encode(&text).unwrap()), text, "{unit:?}");
    }
}

/// Join the neighbours of the lowest rank, the leftmost first, until none can be joined.
fn naive_bpe(tokenizer: &Tokenizer, piece: &[u8]) -> Vec<Token> {
    let rank = |bytes: &[u8]| {
        (0..tokenizer.special().eot.0)
            .map(Token)
            .find(|&token| tokenizer.token_bytes(token) == bytes)
    };
    if let Some(token) = rank(piece) {
        return vec![token];
    }
    let mut parts: Vec<&[u8]> = piece.chunks(1).collect();
    let mut ends: Vec<usize> = (1..=piece.len()).collect();
    let starts = |ends: &[usize]| [&[0], &ends[..ends.len() - 1]].concat();
    loop {
        let start = starts(&ends);
        let pair = (0..parts.len() - 1)
            .filter_map(|i| Some((rank(&piece[start[i]..ends[i + 1]])?, i)))
            .min();
        let Some((_, i)) = pair else { break };
        parts[i] = &piece[start[i]..ends[i + 1]];
        parts.remove(i + 1);
        ends.remove(i);
    }
    parts.into_iter().map(|part| rank(part).unwrap()).collect()
}

fn any_tokens() -> impl Strategy<Value = Vec<Token>> {
    let id = prop_oneof![0..256u32, 0..52000u32, 50250..51870u32, any::<u32>()];
    prop::collection::vec(id.prop_map(Token), 0..40)
}

proptest! {
    #[test]
    fn decoding_inverts_encoding(text in r"(?s:.{0,40}|[ \n'a-z0-9<|>👍मि]{0,40})") {
        for tokenizer in all_sizes() {
            prop_assert_eq!(tokenizer.decode(&tokenizer.encode(&text).unwrap()), &*text);
        }
    }

    #[test]
    fn any_tokens_decode(tokens in any_tokens()) {
        for tokenizer in all_sizes() {
            let plain = tokenizer.decode(&tokens);
            let with_timestamps = tokenizer.decode_with_timestamps(&tokens);
            prop_assert!(plain.len() <= with_timestamps.len() + 3 * tokens.len());
        }
    }

    #[test]
    fn words_take_every_token_once(tokens in any_tokens(), language in 0..100usize) {
        for tokenizer in all_sizes() {
            let words = tokenizer.split_words(&tokens, Language::all()[language]);
            let mut next = 0;
            for word in words {
                prop_assert_eq!(word.tokens.start, next);
                prop_assert!(word.tokens.end > next);
                next = word.tokens.end;
            }
            prop_assert_eq!(next, tokens.len());
        }
    }

    #[test]
    fn the_heap_joins_as_the_naive_loop(piece in "[abeinorst]{1,12}|[aeé]{1,12}|[!-]{1,9}|[大好]{1,4}") {
        let tokenizer = tokenizer(51865);
        prop_assert_eq!(tokenizer.encode(&piece).unwrap(), naive_bpe(&tokenizer, piece.as_bytes()));
    }
}
