//! Whether an MLX computes what it should: two small Whispers inside this program, one of them quantized, against stored
//! numbers. A library that is damaged or cut short ends the process that opens it, so this runs in a child.

use whisper::model::{MelWindow, Model, Token};
use whisper::weights::Float;

use crate::ffi::{Device, Fault};
use crate::find::Installation;
use crate::network::{self, Form};
use crate::worker::{About, Mlx};
use crate::{Error, MlxModel, Options};

/// What the CPU engine computes in float32: features of some frames, then logits of the last of [`TOKENS`].
const STORED: [(Form, [f32; 8], [f32; 8]); 2] = [
    (
        Form::Dense,
        [
            1.2119327,
            -0.03196755,
            -0.87941074,
            -1.7220005,
            -2.8315752,
            -0.7047954,
            -0.022439202,
            0.27713412,
        ],
        [
            2.1579878, -1.2622066, -1.1865337, 2.456631, -1.5259001, -1.6378239, -3.2176714, -1.5873358,
        ],
    ),
    (
        Form::Packed { bits: 4, group: 64 },
        [
            -1.5330553,
            -0.93579173,
            -0.08458298,
            -0.49372625,
            0.41320175,
            1.2877545,
            0.19033219,
            -0.15524001,
        ],
        [
            0.9391678,
            -0.123756714,
            -1.217819,
            1.5836252,
            1.1617528,
            -0.62480956,
            0.5396706,
            -0.74371713,
        ],
    ),
];

const TOKENS: [Token; 4] = [Token(1), Token(200), Token(77), Token(3)];

/// Opens an MLX and lets it compute. To be called in a child.
///
/// # Errors
/// It cannot be opened; it does not report what it is asked in vain; its numbers are wrong.
pub fn probe(shim: &std::path::Path, installation: &Installation, cpu: bool) -> Result<About, Error> {
    let mlx = Mlx::open(shim, installation, cpu)?;
    let wrong = |problem: String| {
        Error::new(
            format!(
                "MLX {} in {} does not work: {problem}",
                installation.version,
                installation.folder.display()
            ),
            "install it again, or name another with WHISPER_MLX",
        )
    };
    for evaluating in [false, true] {
        match mlx.worker.run(move |state| state.api.fail(evaluating)) {
            Ok(Err(Fault::Mlx(_))) => {}
            other => return Err(wrong(format!("an error comes back as {other:?}"))),
        }
    }
    for (form, features, logits) in STORED {
        let exact = Options {
            float: Some(Float::F32),
            ..Options::default()
        };
        // A GPU sums in another order, and NVIDIA's rounds factors.
        let tight = if mlx.about().device == Device::Cpu { 1e-4 } else { 2e-3 };
        for (options, limit) in [(exact, tight), (Options::default(), 5e-2)] {
            let found = numbers(&mlx, form, &options).map_err(|error| wrong(error.to_string()))?;
            let distance = distance(&found, &[features, logits].concat());
            if distance.is_nan() || distance > limit {
                return Err(wrong(format!(
                    "numbers of the {form:?} model differ by {distance:.1e}, expected at most {limit:.0e}"
                )));
            }
        }
    }
    Ok(mlx.about().clone())
}

/// The largest absolute difference; values are of the order of 1.
fn distance(found: &[f32], expected: &[f32]) -> f32 {
    let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |most, next| if next.is_nan() { next } else { most.max(next) })
}

fn numbers(mlx: &Mlx, form: Form, options: &Options) -> whisper::Result<Vec<f32>> {
    let model = MlxModel::load(mlx, network::checkpoint(form)?, options)?;
    let mel = network::mel();
    let window = MelWindow {
        values: &mel,
        n_mels: network::N_MELS,
    };
    let features = model.features(window)?;
    let audio = model.encode(&[window])?.remove(0);
    sample(&model, &features, &audio)
}

/// The numbers that are stored.
fn sample<M: Model>(model: &M, features: &[f32], audio: &std::sync::Arc<M::Audio>) -> whisper::Result<Vec<f32>> {
    let spread = features.len() / 8 + 1;
    let mut sample: Vec<f32> = features.iter().copied().step_by(spread).collect();
    let mut hypothesis = model.begin(audio)?;
    let mut logits = Vec::new();
    let (read, last) = TOKENS.split_at(TOKENS.len() - 1);
    for (tokens, rows) in [(read, &[][..]), (last, &[0][..])] {
        let mut feed = [whisper::model::Feed {
            hypothesis: &mut hypothesis,
            tokens,
            rows,
        }];
        model.step(&mut feed, &mut logits)?;
    }
    let spread = logits.len() / 8 + 1;
    sample.extend(logits.iter().copied().step_by(spread));
    Ok(sample)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is stored is what the CPU engine computes.
    #[test]
    fn stored_numbers_are_the_cpu_engines() {
        for (form, features, logits) in STORED {
            let cpu = whisper::cpu::Cpu::new(Some(1)).unwrap();
            let model = whisper::cpu::CpuModel::load(network::checkpoint(form).unwrap(), cpu).unwrap();
            let mel = network::mel();
            let window = MelWindow {
                values: &mel,
                n_mels: network::N_MELS,
            };
            let audio = model.encode(&[window]).unwrap().remove(0);
            let found = sample(&model, &model.features(window).unwrap(), &audio).unwrap();
            let distance = distance(&found, &[features, logits].concat());
            assert!(
                found.len() == 16 && distance < 2e-5,
                "{form:?}: {found:?} differ by {distance}"
            );
            let size = found.iter().fold(0.0f32, |size, x| size.max(x.abs()));
            assert!((0.3..20.0).contains(&size), "{size}");
        }
    }
}
