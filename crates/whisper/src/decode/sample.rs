//! The next token, and how probable it was.

use std::sync::LazyLock;

use kernels::Isa;

use crate::model::Token;
use crate::{Error, Result};

/// Takes tokens from rows of logits: the most probable one, or one by chance from a seed.
pub(crate) struct Sampler {
    random: SplitMix64,
}

impl Sampler {
    /// Numbers that follow from `origin`: two that differ anywhere are strangers.
    pub(crate) fn new(origin: &[u64]) -> Self {
        let mixed = |seed: u64, &part: &u64| SplitMix64(seed ^ part).next();
        Self {
            random: SplitMix64(origin.iter().fold(0, mixed)),
        }
    }

    /// A token of `logits` (one row, filtered) and its log-probability; `None` where every token is forbidden.
    ///
    /// At temperature 0 the highest logit, of equal ones the first. Above, by `softmax(logits / temperature)`; the
    /// log-probability is that at temperature 1 all the same, as in OpenAI's.
    ///
    /// # Errors
    /// The row holds NaN or infinity.
    pub(crate) fn choose(&mut self, logits: &[f32], temperature: f64) -> Result<Option<(Token, f32)>> {
        let log_total = log_sum_exp(logits);
        if log_total == f32::NEG_INFINITY && !logits.iter().any(|x| x.is_nan()) {
            return Ok(None);
        }
        if !log_total.is_finite() {
            return Err(broken_logits());
        }
        let index = if temperature == 0.0 {
            argmax(logits)
        } else {
            self.draw(logits, temperature)
        };
        let token = Token(u32::try_from(index).map_err(|_| broken_logits())?);
        Ok(Some((token, logits[index] - log_total)))
    }

    /// An index with the probabilities `softmax(logits / temperature)`. At least one logit is finite, none is NaN.
    fn draw(&mut self, logits: &[f32], temperature: f64) -> usize {
        let max = max(logits);
        #[expect(clippy::cast_possible_truncation, reason = "a factor for float32 logits")]
        let sharpness = (1.0 / temperature).min(1e30) as f32;
        let weight = |logit: f32| f64::from(exp((logit - max) * sharpness));
        let mut left = self.random.uniform() * logits.iter().map(|&logit| weight(logit)).sum::<f64>();
        for (index, &logit) in logits.iter().enumerate() {
            left -= weight(logit);
            if left < 0.0 {
                return index;
            }
        }
        argmax(logits) // rounding has eaten the last token
    }
}

/// What a network says that is damaged or ran out of range.
pub(crate) fn broken_logits() -> Error {
    Error::Model(
        "the network gave NaN or infinity instead of logits: verify the checkpoint, or try --compute f32".to_owned(),
    )
}

/// The index of the highest value, of equal ones the first; 0 where there is none. NaN counts for nothing.
pub(crate) fn argmax(row: &[f32]) -> usize {
    const CHUNK: usize = 64;
    let max = max(row);
    // Whether a chunk has it, not where: what the compiler vectorises.
    let has_max = |chunk: &[f32]| chunk.iter().fold(false, |found, &x| found | (x == max));
    let first = row.chunks(CHUNK).position(has_max).unwrap_or(0) * CHUNK;
    row[first..].iter().position(|&x| x == max).map_or(0, |i| first + i)
}

/// The highest value, minus infinity where there is none. NaN counts for nothing.
pub(crate) fn max(row: &[f32]) -> f32 {
    kernels::greatest(*ISA, row)
}

/// `ln(sum(exp(row)))`, minus infinity for an empty row: see [`kernels::log_sum_exp`].
pub(crate) fn log_sum_exp(row: &[f32]) -> f32 {
    kernels::log_sum_exp(*ISA, row)
}

/// Logits are looked at here whatever computes them, so this is not the instruction set of a model.
static ISA: LazyLock<Isa> = LazyLock::new(|| Isa::from_environment().unwrap_or_else(|_| Isa::detect()));

/// `e^x` for `x <= 0`, relative error below 2e-7; 0 below -87.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2; a Taylor polynomial for e^r, and n goes into the exponent. Plain arithmetic
/// that the compiler vectorises, unlike a call of `exp`.
fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
    const LN_2_HIGH: f32 = 0.693_359_4; // n times this is exact
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let series = 1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0 + r / 5040.0));
    let series = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * series)));
    let power = f32::from_bits(shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23);
    if x < -87.0 { 0.0 } else { series * power }
}

/// Steele, Lea and Flood: Fast splittable pseudorandom number generators (2014).
struct SplitMix64(u64);

impl SplitMix64 {
    /// Any of 64 bits.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in 0..1, 53 bits.
    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logits as a Whisper gives them: a vocabulary's worth between -30 and 30, not a multiple of any vector.
    #[expect(clippy::cast_possible_truncation, reason = "any number will do")]
    fn logits(seed: u64) -> Vec<f32> {
        let mut random = SplitMix64(seed);
        (0..51_865).map(|_| (random.uniform() * 60.0 - 30.0) as f32).collect()
    }

    #[test]
    fn exp_is_exact_enough() {
        for i in 0..870_000 {
            let x = -(i as f32) / 10_000.0;
            let expected = f64::from(x).exp();
            let error = (f64::from(exp(x)) - expected).abs() / expected;
            assert!(error < 2e-7, "exp({x}): {error}");
        }
        assert_eq!((exp(0.0), exp(-87.5), exp(f32::NEG_INFINITY)), (1.0, 0.0, 0.0));
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn log_sum_exp_is_that_of_float64() {
        for seed in 0..20_u8 {
            let mut row = logits(u64::from(seed));
            row[usize::from(seed)..10_000].fill(f32::NEG_INFINITY);
            let expected = row.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
            assert!((f64::from(log_sum_exp(&row)) - expected).abs() < 4e-6);
        }
        assert_eq!(log_sum_exp(&[]), f32::NEG_INFINITY);
        assert_eq!(log_sum_exp(&[f32::NEG_INFINITY; 40]), f32::NEG_INFINITY);
        assert_eq!(log_sum_exp(&[0.0, f32::INFINITY]), f32::INFINITY);
        assert!(log_sum_exp(&[0.0, f32::NAN]).is_nan());
    }

    #[test]
    fn greedy_takes_the_first_of_equals() {
        let mut row = vec![1.0; 100];
        for best in [63, 17, 99] {
            row[best] = 4.0;
        }
        let (token, logprob) = Sampler::new(&[0]).choose(&row, 0.0).unwrap().unwrap();
        assert_eq!(token, Token(17));
        let expected = 4.0 - (97.0 * 1_f64.exp() + 3.0 * 4_f64.exp()).ln();
        assert!((f64::from(logprob) - expected).abs() < 1e-6);
    }

    #[test]
    fn nothing_allowed_is_no_token_and_nan_is_an_error() {
        let mut sampler = Sampler::new(&[0]);
        for temperature in [0.0, 0.7] {
            assert_eq!(sampler.choose(&[f32::NEG_INFINITY; 50], temperature).unwrap(), None);
            for broken in [f32::NAN, f32::INFINITY] {
                for others in [0.0, f32::NEG_INFINITY] {
                    let mut row = [others; 50];
                    row[33] = broken;
                    assert!(matches!(sampler.choose(&row, temperature), Err(Error::Model(_))));
                }
            }
        }
    }

    #[test]
    fn samples_have_the_probabilities_of_the_softmax() {
        let row = [f32::NEG_INFINITY, 0.0, 1.0, f32::NEG_INFINITY, 2.0];
        let temperature = 0.5;
        let mut counts = [0_u32; 5];
        let mut sampler = Sampler::new(&[1]);
        for _ in 0..100_000 {
            let (token, logprob) = sampler.choose(&row, temperature).unwrap().unwrap();
            counts[token.0 as usize] += 1;
            assert_eq!(logprob, row[token.0 as usize] - log_sum_exp(&row));
        }
        let total: f64 = row.iter().map(|&x| (f64::from(x) / temperature).exp()).sum();
        for (&count, &x) in counts.iter().zip(&row) {
            let p = (f64::from(x) / temperature).exp() / total;
            let deviations = (f64::from(count) - 1e5 * p).abs() / (1e5 * p * (1.0 - p)).sqrt().max(1e-9);
            assert!(deviations < 4.0, "{counts:?}");
        }
    }

    #[test]
    fn a_seed_gives_its_samples_again() {
        let row = logits(3);
        let draw = |seed| {
            let mut sampler = Sampler::new(&[seed]);
            (0..10)
                .map(|_| sampler.choose(&row, 30.0).unwrap().unwrap().0)
                .collect::<Vec<_>>()
        };
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5), draw(6));
    }
}
