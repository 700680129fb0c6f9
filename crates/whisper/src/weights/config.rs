//! `config.json`: the sizes of the network, and how its layers are quantized.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::json::Object;
use super::shown;
use crate::model::{AUDIO_FRAMES, Dims};

/// The most bytes a `config.json` may have. Those in the wild have a few kilobytes.
pub const MAX_CONFIG_BYTES: usize = 1 << 20;

/// MLX affine quantization of a matrix: `weight = scale * code + bias`, one scale and bias for each group of codes
/// along a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Quantization {
    /// Bits of a code: 2, 3, 4, 5, 6 or 8.
    pub bits: usize,
    /// Codes that share a scale and a bias: 32, 64 or 128.
    pub group_size: usize,
}

/// What a `config.json` says.
#[derive(Clone, Debug)]
pub struct Config {
    /// The sizes of the network.
    pub dims: Dims,
    /// How quantized layers are packed, unless `layers` knows better.
    pub quantization: Option<Quantization>,
    /// What is said about single layers, by path (`decoder.blocks.0.mlp1`); `None`: not quantized.
    pub layers: BTreeMap<String, Option<Quantization>>,
}

impl Config {
    /// Reads a `config.json` of at most [`MAX_CONFIG_BYTES`].
    ///
    /// Sizes may stand under MLX's names or Hugging Face's (`d_model`, `encoder_layers`, ...); MLX's win. Other keys
    /// are none of our business. A quantization mode other than `affine` is an error that names it.
    ///
    /// # Errors
    /// What is wrong, in words: no JSON, a size that is missing or that no Whisper can have, an unknown mode.
    pub fn parse(json: &[u8]) -> Result<Config, String> {
        if json.len() > MAX_CONFIG_BYTES {
            return Err(format!(
                "expected at most {MAX_CONFIG_BYTES} bytes, found {}",
                json.len()
            ));
        }
        let Object(keys): Object<Value> =
            serde_json::from_slice(json).map_err(|e| format!("not a Whisper's config.json: {e}"))?;
        let dims = dims(&keys)?;
        let (quantization, layers) = match keys.get("quantization").or(keys.get("quantization_config")) {
            None | Some(Value::Null) => (None, BTreeMap::new()),
            Some(Value::Object(entries)) => quantization(entries)?,
            Some(other) => return Err(format!("quantization: expected an object, found {}", found(other))),
        };
        Ok(Config {
            dims,
            quantization,
            layers,
        })
    }

    /// How `layer` is packed where it has scales; `None`: it must not have any.
    pub(super) fn quantization_of(&self, layer: &str) -> Option<Quantization> {
        self.layers.get(layer).copied().unwrap_or(self.quantization)
    }
}

/// The sizes, each within what a Whisper of any make could have, so that no product of two of them overflows.
fn dims(keys: &BTreeMap<String, Value>) -> Result<Dims, String> {
    let size = |name: &str, hugging_face: &str, range: RangeInclusive<usize>| {
        let (name, value) = [name, hugging_face]
            .into_iter()
            .find_map(|name| Some((name, keys.get(name)?)))
            .ok_or_else(|| format!("{name} (Hugging Face: {hugging_face}): missing"))?;
        let number = value.as_u64().and_then(|n| usize::try_from(n).ok());
        match number {
            Some(n) if range.contains(&n) => Ok(n),
            _ if range.start() == range.end() => {
                Err(format!("{name}: expected {}, found {}", range.start(), found(value)))
            }
            _ => Err(format!(
                "{name}: expected {} to {}, found {}",
                range.start(),
                range.end(),
                found(value)
            )),
        }
    };
    let dims = Dims {
        n_mels: size("n_mels", "num_mel_bins", 80..=128)?,
        n_audio_ctx: size("n_audio_ctx", "max_source_positions", AUDIO_FRAMES..=AUDIO_FRAMES)?,
        n_audio_state: size("n_audio_state", "d_model", 16..=8192)?,
        n_audio_head: size("n_audio_head", "encoder_attention_heads", 1..=512)?,
        n_audio_layer: size("n_audio_layer", "encoder_layers", 1..=256)?,
        n_vocab: size("n_vocab", "vocab_size", 1..=1 << 20)?,
        n_text_ctx: size("n_text_ctx", "max_target_positions", 8..=4096)?,
        n_text_state: size("n_text_state", "d_model", 16..=8192)?,
        n_text_head: size("n_text_head", "decoder_attention_heads", 1..=512)?,
        n_text_layer: size("n_text_layer", "decoder_layers", 1..=256)?,
    };
    if ![80, 128].contains(&dims.n_mels) {
        return Err(format!("n_mels: expected 80 or 128, found {}", dims.n_mels));
    }
    if dims.n_audio_state != dims.n_text_state {
        return Err(format!(
            "n_text_state: expected {} as n_audio_state, found {}",
            dims.n_audio_state, dims.n_text_state
        ));
    }
    for (name, state, heads) in [
        ("n_audio_head", dims.n_audio_state, dims.n_audio_head),
        ("n_text_head", dims.n_text_state, dims.n_text_head),
    ] {
        if state % heads != 0 || (state / heads) % 16 != 0 {
            return Err(format!(
                "{name}: {state} channels do not divide into {heads} heads of a multiple of 16"
            ));
        }
    }
    Ok(dims)
}

/// MLX's `{"group_size": 64, "bits": 4, "mode": "affine"}`, between which newer converters write single layers:
/// `"decoder.blocks.0.mlp1": {"group_size": 64, "bits": 8}`, or `false` for one that is dense.
fn quantization(
    entries: &Map<String, Value>,
) -> Result<(Option<Quantization>, BTreeMap<String, Option<Quantization>>), String> {
    let default = parameters("quantization", entries)?;
    let mut layers = BTreeMap::new();
    for (layer, entry) in entries {
        match entry {
            Value::Object(own) => layers.insert(
                layer.clone(),
                Some(parameters(&format!("quantization of {}", shown(layer)), own)?),
            ),
            Value::Bool(false) => layers.insert(layer.clone(), None),
            _ => continue, // the parameters themselves, `true` ("as the others"), remarks of converters
        };
    }
    Ok((Some(default), layers))
}

/// `bits`, `group_size` and `mode` of an object; what is not said is as in MLX: 4 bits, groups of 64, affine.
fn parameters(place: &str, entries: &Map<String, Value>) -> Result<Quantization, String> {
    match entries.get("mode") {
        None => {}
        Some(Value::String(mode)) if mode == "affine" => {}
        Some(mode) => {
            return Err(format!(
                "{place}: mode {} is not supported, only affine; convert the model again with `-q --q-bits 4`",
                found(mode)
            ));
        }
    }
    let one_of = |name: &str, allowed: &[usize], default: usize| match entries.get(name) {
        None => Ok(default),
        Some(value) => allowed
            .iter()
            .copied()
            .find(|&n| value.as_u64() == Some(n as u64))
            .ok_or_else(|| format!("{place}: {name}: expected one of {allowed:?}, found {}", found(value))),
    };
    Ok(Quantization {
        bits: one_of("bits", &[2, 3, 4, 5, 6, 8], 4)?,
        group_size: one_of("group_size", &[32, 64, 128], 64)?,
    })
}

/// A value as an error shows it.
fn found(value: &Value) -> String {
    match value {
        Value::Array(_) => "an array".into(),
        Value::Object(_) => "an object".into(),
        Value::String(text) => shown(text),
        other => other.to_string(),
    }
}
