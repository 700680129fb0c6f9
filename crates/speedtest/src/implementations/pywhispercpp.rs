//! pywhispercpp: whisper.cpp in a Python package, built for any processor.

use super::python::{Python, requirements, runner};

pub(super) static PYWHISPERCPP: Python = Python {
    id: "pywhispercpp",
    alias: None,
    about: "whisper.cpp in a Python package",
    tested: true,
    models: super::whisper_cpp::MODELS,
    runner: runner!("pywhispercpp"),
    requirements: requirements!("pywhispercpp"),
    runs_here: || Ok(()),
};
