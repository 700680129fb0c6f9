//! openai-whisper: the original, on PyTorch.

use super::python::{Python, requirements, runner};

pub(super) static OPENAI_WHISPER: Python = Python {
    id: "openai-whisper",
    alias: None,
    about: "the original, on PyTorch",
    tested: false,
    models: &[], // no repository of the Hub has its files: --model-path
    runner: runner!("openai_whisper"),
    requirements: requirements!("openai_whisper"),
    runs_here: || Ok(()),
};
