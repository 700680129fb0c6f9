//! A Whisper of one layer whose weights come from a formula: the same bits everywhere, all exact in f16.

use serde_json::{Map, Value, json};
use whisper::model::{Dims, MEL_FRAMES};
use whisper::weights::{Checkpoint, Part, parts};

/// How the weights of linear layers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One float each.
    Dense,
    /// Codes, some of which share a scale and a bias.
    Packed {
        /// Of a code.
        bits: usize,
        /// Codes that share.
        group: usize,
    },
}

/// Bands of [`mel`].
pub const N_MELS: usize = 80;

/// A window of values from -1 to 1.
pub fn mel() -> Vec<f32> {
    let mut random = Random(7);
    (0..MEL_FRAMES * N_MELS).map(|_| random.step(1024) / 1024.0).collect()
}

/// The network, as a checkpoint in memory.
pub fn checkpoint(form: Form) -> whisper::Result<Checkpoint> {
    let state = 128;
    let dims = Dims {
        n_mels: N_MELS,
        n_audio_ctx: 1500,
        n_audio_state: state,
        n_audio_head: 2,
        n_audio_layer: 1,
        n_vocab: 256,
        n_text_ctx: 448,
        n_text_state: state,
        n_text_head: 2,
        n_text_layer: 1,
    };
    let mut config = serde_json::to_value(&dims).unwrap_or_default();
    if let Form::Packed { bits, group } = form {
        config["quantization"] = json!({"group_size": group, "bits": bits});
    }
    let mut file = File::default();
    let mut random = Random(1);
    for part in parts(&dims) {
        match (part, form) {
            (Part::Plain { name, shape }, _) => {
                let n = shape.iter().product();
                // Norms scale by about 1; all else is small.
                let middle = if name.contains("ln") && name.ends_with("weight") {
                    1.0
                } else {
                    0.0
                };
                let values = (0..n).map(|_| middle + random.step(128) / 1024.0);
                file.floats(&name, &shape, values);
            }
            (Part::Matrix { path, n, k }, Form::Dense) => {
                let values = (0..n * k).map(|_| random.step(512) / 2048.0);
                file.floats(&format!("{path}.weight"), &[n, k], values);
            }
            (Part::Matrix { path, n, k }, Form::Packed { bits, group }) => {
                // Weights within about 0.25, whatever the width of a code.
                let middle = ((1 << bits) - 1) as f32 / 2.0;
                let unit = 16.0 / (1 << bits) as f32 / 4096.0;
                let words: Vec<u32> = (0..n * k * bits / 32).map(|_| random.next()).collect();
                let codes = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                file.tensor(&format!("{path}.weight"), "U32", &[n, k * bits / 32], codes);
                let scales: Vec<f32> = (0..n * k / group).map(|_| (96.0 + random.step(32)) * unit).collect();
                let shape = [n, k / group];
                file.floats(&format!("{path}.scales"), &shape, scales.iter().copied());
                file.floats(
                    &format!("{path}.biases"),
                    &shape,
                    scales.iter().map(move |scale| scale * -middle),
                );
            }
        }
    }
    Checkpoint::from_bytes("probe", config.to_string().as_bytes(), file.finish())
}

/// Numerical Recipes' generator, the upper half of 64 bits.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 32).unwrap_or_default()
    }

    /// A whole number from `-most` to `most`, less one.
    fn step(&mut self, most: u16) -> f32 {
        let below = self.next() >> 16;
        let number = u16::try_from((below * u32::from(2 * most)) >> 16).unwrap_or_default();
        f32::from(number) - f32::from(most)
    }
}

/// A safetensors file that is being made.
#[derive(Default)]
struct File {
    header: Map<String, Value>,
    bytes: Vec<u8>,
}

impl File {
    fn floats(&mut self, name: &str, shape: &[usize], values: impl Iterator<Item = f32>) {
        self.tensor(name, "F32", shape, values.flat_map(f32::to_le_bytes).collect());
    }

    fn tensor(&mut self, name: &str, dtype: &str, shape: &[usize], bytes: Vec<u8>) {
        let start = self.bytes.len();
        self.bytes.extend(bytes);
        let entry = json!({"dtype": dtype, "shape": shape, "data_offsets": [start, self.bytes.len()]});
        self.header.insert(name.into(), entry);
    }

    fn finish(self) -> Vec<u8> {
        let header = Value::Object(self.header).to_string();
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &self.bytes].concat()
    }
}
