//! A network for tests that says what a script tells it to.

use std::sync::{Arc, Mutex};

use crate::Result;
use crate::model::{AUDIO_FRAMES, Alignment, Dims, Feed, Head, MelWindow, Model, Token};
use crate::tokenizer::{Special, Tokenizer};

/// Where a row of logits is wanted.
pub(crate) struct Place<'a> {
    /// Windows are counted as they are begun: one that is read again is another.
    pub(crate) window: usize,
    /// The tokens after `<|startoftranscript|>`: language, task and `<|notimestamps|>` as far as there are, then text.
    pub(crate) tokens: &'a [Token],
}

/// Logits of a script: whatever it does not set is -20.
type Script = Box<dyn Fn(&Place<'_>, &mut [f32]) + Send + Sync>;

/// A network without weights.
pub(crate) struct ScriptedModel {
    dims: Dims,
    pub(crate) special: &'static Special,
    script: Script,
    /// Where it looks while it reads, by chance from this seed.
    attention: u64,
    names_heads: bool,
    /// What was asked of it.
    pub(crate) seen: Mutex<Seen>,
}

#[derive(Default)]
pub(crate) struct Seen {
    /// Frames of each window that was encoded.
    pub(crate) encoded: Vec<usize>,
    /// Hypotheses that were begun, and the first tokens of each.
    pub(crate) begun: usize,
    pub(crate) prompts: Vec<Vec<Token>>,
    /// Calls of `step`, and rows projected in all of them.
    pub(crate) steps: usize,
    pub(crate) rows: usize,
    /// Calls of `align`.
    pub(crate) aligned: usize,
}

pub(crate) struct Hypothesis {
    window: usize,
    tokens: Vec<Token>,
}

impl ScriptedModel {
    pub(crate) fn new(n_vocab: usize, script: impl Fn(&Place<'_>, &mut [f32]) + Send + Sync + 'static) -> Self {
        let dims = Dims {
            n_mels: 80,
            n_audio_ctx: 1500,
            n_audio_state: 8,
            n_audio_head: 1,
            n_audio_layer: 1,
            n_vocab,
            n_text_ctx: 448,
            n_text_state: 8,
            n_text_head: 1,
            n_text_layer: 1,
        };
        let special = Tokenizer::new(n_vocab).unwrap().special();
        Self {
            dims,
            special,
            script: Box::new(script),
            attention: 0,
            names_heads: true,
            seen: Mutex::default(),
        }
    }

    /// An `.en` network.
    pub(crate) fn english(script: impl Fn(&Place<'_>, &mut [f32]) + Send + Sync + 'static) -> Self {
        Self::new(51864, script)
    }

    /// An `.en` network that says `windows[w][i]` as the i-th token of window w, then the end of text. Each entry holds
    /// first what it would like to say most, then what it says where that is forbidden, and so on.
    pub(crate) fn saying(windows: Vec<Vec<Vec<Token>>>) -> Self {
        let eot = Tokenizer::new(51864).unwrap().special().eot;
        Self::english(move |place, logits| {
            let wishes = windows
                .get(place.window)
                .and_then(|window| window.get(place.tokens.len()));
            for (rank, token) in wishes.unwrap_or(&vec![eot]).iter().enumerate() {
                logits[token.0 as usize] = 20.0 - 10.0 * rank as f32;
            }
        })
    }

    /// An `.en` network that speaks by chance, such that every rule is needed. `tools/golden/scripted.py` has the same.
    pub(crate) fn erratic(seed: u64) -> Self {
        Self::english(move |place, logits| erratic_row(seed, 200, place, logits))
    }

    /// [`erratic`](ScriptedModel::erratic), but its text is seldom broken UTF-8, and it reads by chance, too.
    pub(crate) fn erratic_words(seed: u64) -> Self {
        Self {
            attention: seed,
            ..Self::english(move |place, logits| erratic_row(seed, 300, place, logits))
        }
    }

    /// [`erratic`](ScriptedModel::erratic), but says the same of every window, in whatever order they are begun.
    pub(crate) fn erratic_alike(seed: u64) -> Self {
        Self::english(move |place, logits| erratic_row(seed, 200, &Place { window: 0, ..*place }, logits))
    }

    /// The same network, with something more to say.
    pub(crate) fn and(self, more: impl Fn(&Place<'_>, &mut [f32]) + Send + Sync + 'static) -> Self {
        let script = self.script;
        let both = move |place: &Place<'_>, logits: &mut [f32]| {
            script(place, logits);
            more(place, logits);
        };
        Self {
            script: Box::new(both),
            ..self
        }
    }

    pub(crate) fn with_dims(mut self, change: impl FnOnce(&mut Dims)) -> Self {
        change(&mut self.dims);
        self
    }

    pub(crate) fn without_alignment_heads(mut self) -> Self {
        self.names_heads = false;
        self
    }

    fn project(&self, window: usize, tokens: &[Token], logits: &mut Vec<f32>) {
        let start = logits.len();
        logits.resize(start + self.dims.n_vocab, -20.0);
        let sot = tokens.iter().rposition(|&token| token == self.special.sot).unwrap();
        let place = Place {
            window,
            tokens: &tokens[sot + 1..],
        };
        (self.script)(&place, &mut logits[start..]);
    }
}

impl Model for ScriptedModel {
    type Audio = ();
    type Hypothesis = Hypothesis;

    fn dims(&self) -> &Dims {
        &self.dims
    }

    fn encode(&self, mel: &[MelWindow<'_>]) -> Result<Vec<Arc<()>>> {
        let mut seen = self.seen.lock().unwrap();
        let encode = |window: &MelWindow<'_>| {
            seen.encoded.push(window.values.len() / window.n_mels);
            Arc::new(())
        };
        Ok(mel.iter().map(encode).collect())
    }

    fn begin(&self, _: &Arc<()>) -> Result<Hypothesis> {
        let mut seen = self.seen.lock().unwrap();
        seen.begun += 1;
        let tokens = Vec::with_capacity(self.dims.n_text_ctx);
        Ok(Hypothesis {
            window: seen.begun - 1,
            tokens,
        })
    }

    fn fork(&self, from: &Hypothesis) -> Result<Hypothesis> {
        let mut tokens = Vec::with_capacity(self.dims.n_text_ctx);
        tokens.extend_from_slice(&from.tokens);
        Ok(Hypothesis {
            window: from.window,
            tokens,
        })
    }

    fn truncate(&self, hypothesis: &mut Hypothesis, len: usize) {
        hypothesis.tokens.truncate(len);
    }

    fn step(&self, batch: &mut [Feed<'_, Hypothesis>], logits: &mut Vec<f32>) -> Result<()> {
        let mut seen = self.seen.lock().unwrap();
        seen.steps += 1;
        logits.clear();
        for feed in batch {
            let hypothesis = &mut *feed.hypothesis;
            if hypothesis.tokens.is_empty() {
                seen.prompts.push(feed.tokens.to_vec());
            }
            let before = hypothesis.tokens.len();
            hypothesis.tokens.extend_from_slice(feed.tokens);
            assert!(
                hypothesis.tokens.len() <= self.dims.n_text_ctx,
                "more tokens than the context holds"
            );
            for &row in feed.rows {
                seen.rows += 1;
                self.project(hypothesis.window, &hypothesis.tokens[..=before + row], logits);
            }
        }
        Ok(())
    }

    fn alignment_heads(&self) -> Option<&[Head]> {
        self.names_heads
            .then_some(&[Head { layer: 0, head: 0 }, Head { layer: 1, head: 0 }])
    }

    fn align(&self, _: &Arc<()>, tokens: &[Token], heads: &[Head]) -> Result<Alignment> {
        let mut seen = self.seen.lock().unwrap();
        seen.aligned += 1;
        let chance = [self.attention, seen.begun as u64 - 1];
        Ok(Alignment {
            logits: logits_of_reading(chance, tokens, self.dims.n_vocab),
            scores: scores_of_reading(chance, tokens.len(), heads.len()),
        })
    }
}

/// SplitMix64 of several numbers.
pub(crate) fn mix(parts: &[u64]) -> u64 {
    parts.iter().fold(0, |z: u64, part| {
        let z = z.wrapping_add(*part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// Each token more or less probable than another; in a third of the windows none is.
fn logits_of_reading([seed, window]: [u64; 2], tokens: &[Token], n_vocab: usize) -> Vec<f32> {
    let step = if mix(&[seed, window, 4]).is_multiple_of(3) {
        0.0625
    } else {
        0.25
    };
    let mut logits = vec![-40.0; tokens.len() * n_vocab];
    for (i, row) in logits.chunks_exact_mut(n_vocab).enumerate() {
        row[299] = 0.0;
        if let Some(token) = tokens.get(i + 1) {
            row[token.0 as usize] = -4.0 + (mix(&[seed, window, i as u64, 3]) % 64) as f32 * step;
        }
    }
    logits
}

/// At each token a while, now and then for long or not at all, with some noise.
#[expect(clippy::cast_possible_truncation, reason = "small numbers")]
fn scores_of_reading([seed, window]: [u64; 2], n_tokens: usize, n_heads: usize) -> Vec<f32> {
    let mut looks = vec![0..0; n_tokens];
    let mut begin = (mix(&[seed, window, 1]) % 4 * 40) as usize;
    for (i, look) in (1..).zip(&mut looks[..n_tokens - 1]) {
        let r = mix(&[seed, window, i, 2]);
        let length = if r.is_multiple_of(16) {
            [1, 2, 90, 140][(r / 16 % 4) as usize]
        } else {
            4 + (r / 16 % 24) as usize
        };
        *look = begin..begin + length;
        begin += length;
    }
    let mut scores = Vec::with_capacity(n_heads * n_tokens * AUDIO_FRAMES);
    for head in 0..n_heads {
        for (token, look) in looks.iter().enumerate() {
            scores.extend((0..AUDIO_FRAMES).map(|frame| {
                let noise = ((token * 7919 + frame * 104_729 + head * 1_299_709) % 1009) as f64 / 1009.0;
                let seen = if look.contains(&frame) { 9.0 } else { 0.0 };
                (noise + seen) as f32
            }));
        }
    }
    scores
}

#[expect(clippy::cast_possible_truncation, reason = "indices of a small vocabulary")]
fn erratic_row(seed: u64, first_text: u64, place: &Place<'_>, logits: &mut [f32]) {
    const EOT: u64 = 50256;
    const BEGIN: u64 = 50363;
    const NO_SPEECH: usize = 50361;
    let sampled: Vec<u64> = place.tokens.iter().map(|token| u64::from(token.0)).collect();
    let n_sampled = sampled.len() as u64;
    let window = place.window as u64;

    let is_timestamp = |token: &u64| *token >= BEGIN;
    let text_is_due = match sampled[..] {
        [] => false,
        [last] => is_timestamp(&last),
        [.., before, last] => is_timestamp(&before) && is_timestamp(&last),
    };
    let latest = sampled.iter().copied().rev().find(is_timestamp).unwrap_or(BEGIN);
    for i in 0..6 {
        let r = mix(&[seed, window, n_sampled, i]);
        let (kind, pick) = (r % 16, (r >> 8) & 0xffff);
        let mut logit = ((r >> 40) % 64) as f32 * 0.25 + i as f32 / 32.0; // no ties
        let token = match kind {
            0..8 => {
                if text_is_due && !seed.is_multiple_of(3) {
                    logit += 10.0;
                }
                first_text + pick % 3000
            }
            8..12 => (latest + pick % 120).min(BEGIN + 1500),
            12 => BEGIN + pick % 1501,
            13 => BEGIN + u64::from(pick.is_multiple_of(5)),
            14 => {
                if n_sampled > 3 + seed % 3 * 15 {
                    EOT
                } else {
                    300
                }
            }
            _ => [50362, 50290, 220, 50290][pick as usize % 4],
        };
        let slot = &mut logits[token as usize];
        *slot = slot.max(logit);
    }
    if sampled.is_empty() {
        logits[NO_SPEECH] = (mix(&[seed, window]) % 64) as f32 * 0.25 + 4.0;
    }
}
