//! whisper-mps: Whisper on MLX from OpenAI's own files.

use super::python::{Python, on_apple_silicon, requirements, runner};

pub(super) static WHISPER_MPS: Python = Python {
    id: "whisper-mps",
    alias: Some("WhisperMPSImplementation"),
    about: "Whisper on MLX, from OpenAI's files",
    tested: false,
    models: &[], // no repository of the Hub has its files: --model-path
    runner: runner!("whisper_mps"),
    requirements: requirements!("whisper_mps"),
    runs_here: on_apple_silicon,
};
