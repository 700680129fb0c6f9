//! parakeet-mlx: NVIDIA's Parakeet on MLX, which is no Whisper: a model of its own, under its own name.

use super::python::{Python, on_apple_silicon, requirements, runner};
use crate::implementation::ModelOf;

pub(super) static PARAKEET_MLX: Python = Python {
    id: "parakeet-mlx",
    alias: Some("ParakeetMLXImplementation"),
    about: "NVIDIA's Parakeet on MLX, no Whisper",
    tested: false,
    models: MODELS,
    runner: runner!("parakeet_mlx"),
    requirements: requirements!("parakeet_mlx"),
    runs_here: on_apple_silicon,
};

#[rustfmt::skip]
const MODELS: &[ModelOf<'static>] = &[
    ModelOf::new("parakeet", "mlx-community/parakeet-tdt-0.6b-v2"),
];
