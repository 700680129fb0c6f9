//! What every implementation of [`Model`] must do, whatever the device: the same checks for all.

use std::path::Path;

use whisper::model::{Feed, Head, MelWindow, Model, Token};

use super::{distance, npy};

/// A network that also gives what its encoder computes.
pub(crate) trait Network: Model {
    /// `[1500, n_audio_state]`
    fn encoded(&self, mel: MelWindow<'_>) -> Vec<f32>;
}

impl Network for whisper::cpu::CpuModel {
    fn encoded(&self, mel: MelWindow<'_>) -> Vec<f32> {
        self.features(mel).unwrap()
    }
}

/// How far float32 may be from golden data: the largest absolute differences.
pub(crate) const FEATURES: f64 = 2e-4;
pub(crate) const LOGITS: f64 = 1e-5;
pub(crate) const ATTENTION: f64 = 5e-5;

/// How far one way to compute something may be from another: 0 is to the bit.
#[derive(Clone, Copy)]
pub(crate) struct SameWithin(pub(crate) f64);

impl SameWithin {
    #[track_caller]
    fn check(self, what: &str, found: &[f32], expected: &[f32]) {
        let expected: Vec<f64> = expected.iter().copied().map(f64::from).collect();
        close(what, found, &expected, self.0);
    }
}

/// A random two-layer Whisper against the numbers of MLX in float32.
pub(crate) fn agrees_with_golden(model: &impl Network, folder: &Path, form: &str, same: SameWithin) {
    let mel = floats(&folder.join("mel.npy"));
    let tokens = tokens(&folder.join("tokens.npy"));
    let golden = |name: &str| npy(&folder.join(form).join(name)).1;
    let mel = MelWindow {
        values: &mel,
        n_mels: model.dims().n_mels,
    };

    let features = every(50, &model.encoded(mel), model.dims().n_audio_state);
    close(
        &format!("{form}: features"),
        &features,
        &golden("features.npy"),
        FEATURES,
    );

    let audio = model.encode(&[mel]).unwrap().remove(0);
    let heads: Vec<Head> = (0..2)
        .flat_map(|layer| (0..2).map(move |head| Head { layer, head }))
        .collect();
    let alignment = model.align(&audio, &tokens, &heads).unwrap();
    close(
        &format!("{form}: logits"),
        &alignment.logits,
        &golden("logits.npy"),
        LOGITS,
    );
    let scores = every(50, &alignment.scores, 1);
    close(
        &format!("{form}: attention"),
        &scores,
        &golden("cross_qk.npy"),
        ATTENTION,
    );

    // One token at a time, and all at once but for the first two.
    let stepped = steps(model, &audio, &tokens);
    close(&format!("{form}: steps"), &stepped, &golden("logits.npy"), LOGITS);
    same.check(&format!("{form}: steps and prefill"), &stepped, &alignment.logits);
    let mut hypothesis = model.begin(&audio).unwrap();
    let rows: Vec<usize> = (0..tokens.len() - 2).collect();
    feed(model, &mut [(&mut hypothesis, &tokens[..2], &[])]);
    let rest = feed(model, &mut [(&mut hypothesis, &tokens[2..], &rows)]);
    let expected = &alignment.logits[2 * model.dims().n_vocab..];
    same.check(&format!("{form}: a second prefill"), &rest, expected);
}

/// tiny.en on real speech: `golden/speech`.
pub(crate) fn hears_speech(model: &impl Network, golden: &Path, what: &str) {
    let mel = floats(&golden.join("jfk.mel80.npy"));
    let mel = MelWindow {
        values: &mel,
        n_mels: 80,
    };
    let features = every(10, &model.encoded(mel), model.dims().n_audio_state);
    let expected = npy(&golden.join("jfk.tiny.en.features.npy")).1;
    close(&format!("{what}: features"), &features, &expected, FEATURES);

    let audio = model.encode(&[mel]).unwrap().remove(0);
    let tokens = [50257, 50363, 843, 523, 616, 5891, 3399].map(Token);
    let logits = model.align(&audio, &tokens, &[]).unwrap().logits;
    let expected = npy(&golden.join("jfk.tiny.en.logits.npy")).1;
    close(&format!("{what}: logits"), &logits, &expected, 1e-4);
    let n_vocab = model.dims().n_vocab;
    for (found, expected) in logits.chunks_exact(n_vocab).zip(expected.chunks_exact(n_vocab)) {
        let expected: Vec<f32> = expected.iter().map(|&x| x as f32).collect();
        assert_eq!(likeliest(found), likeliest(&expected), "{what}");
    }
}

/// Hypotheses in one batch do not see each other; forks and truncated ones go on as if nothing had happened; windows that
/// are encoded together are those encoded alone; what does not exist is refused.
pub(crate) fn hypotheses_are_values(model: &impl Network, mel: &[f32], same: SameWithin) {
    let (first, second) = mel.split_at(mel.len() / 2);
    let windows = [first, second].map(|values| MelWindow { values, n_mels: 80 });
    let audio = model.encode(&windows).unwrap();
    for (window, together) in windows.iter().zip(&audio) {
        let alone = model.encode(&[*window]).unwrap().remove(0);
        let read = |audio| model.align(audio, &[Token(3), Token(4)], &[]).unwrap().logits;
        same.check("windows together and alone", &read(together), &read(&alone));
    }
    assert!(model.encode(&[]).unwrap().is_empty());

    let alone = |window: usize, tokens: &[u32]| {
        let tokens: Vec<Token> = tokens.iter().copied().map(Token).collect();
        let logits = model.align(&audio[window], &tokens, &[]).unwrap().logits;
        logits[logits.len() - model.dims().n_vocab..].to_vec()
    };
    let ids = |tokens: &[u32]| tokens.iter().copied().map(Token).collect::<Vec<_>>();

    // Uneven rows of two windows, and a third hypothesis of the first window that is not beside its like.
    let mut a = model.begin(&audio[0]).unwrap();
    let mut b = model.begin(&audio[1]).unwrap();
    let mut c = model.begin(&audio[0]).unwrap();
    let found = feed(
        model,
        &mut [
            (&mut a, &ids(&[7, 8, 9]), &[2]),
            (&mut b, &ids(&[11]), &[0]),
            (&mut c, &ids(&[20, 21]), &[1]),
        ],
    );
    let expected = [alone(0, &[7, 8, 9]), alone(1, &[11]), alone(0, &[20, 21])].concat();
    same.check("ragged and single", &found, &expected);

    // Two of one window side by side, one of them a fork, one cut; then both once more.
    let mut fork = model.fork(&a).unwrap();
    model.truncate(&mut a, 1);
    let found = feed(
        model,
        &mut [(&mut fork, &ids(&[1]), &[0]), (&mut a, &ids(&[2, 3]), &[1])],
    );
    let expected = [alone(0, &[7, 8, 9, 1]), alone(0, &[7, 2, 3])].concat();
    same.check("a fork and a cut", &found, &expected);
    let found = feed(model, &mut [(&mut a, &ids(&[5]), &[0]), (&mut fork, &ids(&[6]), &[0])]);
    let expected = [alone(0, &[7, 2, 3, 5]), alone(0, &[7, 8, 9, 1, 6])].concat();
    same.check("a fork and a cut, later", &found, &expected);

    // A hypothesis outlives the handle of its window, and what it was forked from.
    drop((a, b, c));
    let mut last = model.begin(&model.encode(&windows[1..]).unwrap().remove(0)).unwrap();
    let found = feed(
        model,
        &mut [(&mut fork, &ids(&[1]), &[0]), (&mut last, &ids(&[2]), &[0])],
    );
    let expected = [alone(0, &[7, 8, 9, 1, 6, 1]), alone(1, &[2])].concat();
    same.check("what is left", &found, &expected);

    // A long one, past every step in which a cache may grow.
    let long: Vec<u32> = (0..200).map(|i| i % 100).collect();
    let mut grown = model.begin(&audio[1]).unwrap();
    let found = steps_of(model, &mut grown, &ids(&long));
    same.check(
        "a long one",
        &found[found.len() - model.dims().n_vocab..],
        &alone(1, &long),
    );

    // Nothing asked for, nothing given; what does not exist is refused, and does no harm.
    assert!(feed(model, &mut [(&mut last, &ids(&[5]), &[])]).is_empty());
    let mut logits = Vec::new();
    for (tokens, rows) in [
        (vec![Token(512)], vec![]),
        (vec![Token(1)], vec![1]),
        (vec![Token(1); 448], vec![]),
    ] {
        let mut batch = [Feed {
            hypothesis: &mut last,
            tokens: &tokens,
            rows: &rows,
        }];
        assert!(model.step(&mut batch, &mut logits).is_err());
    }
    assert!(
        model
            .align(&audio[0], &[Token(1)], &[Head { layer: 2, head: 0 }])
            .is_err()
    );
    assert!(
        model
            .encode(&[MelWindow {
                values: first,
                n_mels: 128
            }])
            .is_err()
    );
    let found = feed(model, &mut [(&mut last, &ids(&[6]), &[0])]);
    same.check("after refusals", &found, &alone(1, &[2, 5, 6]));
}

/// Tokens one at a time: logits of all.
pub(crate) fn steps<M: Model>(model: &M, audio: &std::sync::Arc<M::Audio>, tokens: &[Token]) -> Vec<f32> {
    steps_of(model, &mut model.begin(audio).unwrap(), tokens)
}

fn steps_of<M: Model>(model: &M, hypothesis: &mut M::Hypothesis, tokens: &[Token]) -> Vec<f32> {
    let step = |token: &Token| feed(model, &mut [(&mut *hypothesis, &[*token], &[0])]);
    tokens.iter().flat_map(step).collect()
}

fn feed<M: Model>(model: &M, batch: &mut [(&mut M::Hypothesis, &[Token], &[usize])]) -> Vec<f32> {
    let mut feeds: Vec<Feed<'_, _>> = batch
        .iter_mut()
        .map(|(hypothesis, tokens, rows)| Feed {
            hypothesis: &mut **hypothesis,
            tokens,
            rows,
        })
        .collect();
    let mut logits = vec![f32::NAN; 3]; // what was there goes
    model.step(&mut feeds, &mut logits).unwrap();
    logits
}

#[track_caller]
pub(crate) fn close(what: &str, found: &[f32], expected: &[f64], limit: f64) {
    let distance = distance(found, expected);
    assert!(
        distance <= limit,
        "{what} differ by {distance:.2e}, at most {limit:.0e} is allowed"
    );
}

pub(crate) fn floats(path: &Path) -> Vec<f32> {
    npy(path).1.iter().map(|&x| x as f32).collect()
}

fn tokens(path: &Path) -> Vec<Token> {
    npy(path).1.iter().map(|&x| Token(x as u32)).collect()
}

fn likeliest(logits: &[f32]) -> usize {
    let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    best.map_or(0, |(token, _)| token)
}

/// Every `nth` row of `values` `[rows, width]`.
pub(crate) fn every(nth: usize, values: &[f32], width: usize) -> Vec<f32> {
    values.chunks_exact(width).step_by(nth).flatten().copied().collect()
}
