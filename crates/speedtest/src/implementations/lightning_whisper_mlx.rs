//! lightning-whisper-mlx: Whisper on MLX, windows in batches.

use super::python::{Python, on_apple_silicon, requirements, runner};
use crate::implementation::ModelOf;

pub(super) static LIGHTNING_WHISPER_MLX: Python = Python {
    id: "lightning-whisper-mlx",
    alias: Some("LightningWhisperMLXImplementation"),
    about: "Whisper on MLX, windows in batches",
    tested: false,
    models: MODELS,
    runner: runner!("lightning_whisper_mlx"),
    requirements: requirements!("lightning_whisper_mlx"),
    runs_here: on_apple_silicon,
};

#[rustfmt::skip]
const MODELS: &[ModelOf<'static>] = &[
    ModelOf::new("tiny",     "mlx-community/whisper-tiny"),
    ModelOf::new("base",     "mlx-community/whisper-base-mlx"),
    ModelOf::new("small",    "mlx-community/whisper-small-mlx"),
    ModelOf::new("medium",   "mlx-community/whisper-medium-mlx"),
    ModelOf::new("large-v2", "mlx-community/whisper-large-v2-mlx"),
    ModelOf::new("large-v3", "mlx-community/whisper-large-v3-mlx"),
];
