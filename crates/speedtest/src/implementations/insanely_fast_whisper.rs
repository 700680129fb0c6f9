//! insanely-fast-whisper: Whisper in Transformers on a GPU, chunks in batches.

use super::python::{Python, on_apple_silicon, requirements, runner};
use crate::implementation::ModelOf;

pub(super) static INSANELY_FAST_WHISPER: Python = Python {
    id: "insanely-fast-whisper",
    alias: Some("InsanelyFastWhisperImplementation"),
    about: "Whisper in Transformers on a GPU, chunks in batches",
    tested: false,
    models: MODELS,
    runner: runner!("insanely_fast_whisper"),
    requirements: requirements!("insanely_fast_whisper"),
    runs_here: has_a_gpu,
};

#[rustfmt::skip]
const MODELS: &[ModelOf<'static>] = &[
    ModelOf::new("tiny",      "openai/whisper-tiny"),
    ModelOf::new("base",      "openai/whisper-base"),
    ModelOf::new("small",     "openai/whisper-small"),
    ModelOf::new("medium",    "openai/whisper-medium"),
    ModelOf::new("large",     "openai/whisper-large-v3-turbo"),
    ModelOf::new("turbo",     "openai/whisper-large-v3-turbo"),
    ModelOf::new("large-v2",  "openai/whisper-large-v2"),
    ModelOf::new("large-v3",  "openai/whisper-large-v3"),
    ModelOf::new("tiny.en",   "openai/whisper-tiny.en"),
    ModelOf::new("base.en",   "openai/whisper-base.en"),
    ModelOf::new("small.en",  "openai/whisper-small.en"),
    ModelOf::new("medium.en", "openai/whisper-medium.en"),
];

fn has_a_gpu() -> Result<(), &'static str> {
    let nvidia = cfg!(target_os = "linux") && std::path::Path::new("/proc/driver/nvidia/version").exists();
    if nvidia || on_apple_silicon().is_ok() {
        return Ok(());
    }
    Err("Apple silicon, or Linux with a GPU of NVIDIA")
}
