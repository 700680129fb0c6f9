//! faster-whisper: Whisper on CTranslate2.

use super::python::{Python, requirements, runner};
use crate::implementation::ModelOf;

pub(super) static FASTER_WHISPER: Python = Python {
    id: "faster-whisper",
    alias: Some("FasterWhisperImplementation"),
    about: "Whisper on CTranslate2; 8-bit integers on CPUs",
    tested: true,
    models: MODELS,
    runner: runner!("faster_whisper"),
    requirements: requirements!("faster_whisper"),
    runs_here: || Ok(()),
};

#[rustfmt::skip]
const MODELS: &[ModelOf<'static>] = &[
    ModelOf::new("tiny",      "Systran/faster-whisper-tiny"),
    ModelOf::new("base",      "Systran/faster-whisper-base"),
    ModelOf::new("small",     "Systran/faster-whisper-small"),
    ModelOf::new("medium",    "Systran/faster-whisper-medium"),
    ModelOf::new("large",     "mobiuslabsgmbh/faster-whisper-large-v3-turbo"),
    ModelOf::new("turbo",     "mobiuslabsgmbh/faster-whisper-large-v3-turbo"),
    ModelOf::new("large-v2",  "Systran/faster-whisper-large-v2"),
    ModelOf::new("large-v3",  "Systran/faster-whisper-large-v3"),
    ModelOf::new("tiny.en",   "Systran/faster-whisper-tiny.en"),
    ModelOf::new("base.en",   "Systran/faster-whisper-base.en"),
    ModelOf::new("small.en",  "Systran/faster-whisper-small.en"),
    ModelOf::new("medium.en", "Systran/faster-whisper-medium.en"),
];
