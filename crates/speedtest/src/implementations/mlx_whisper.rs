//! mlx-whisper: Apple's own port of Whisper to MLX, from the checkpoints that our engine takes.

use super::python::{Python, requirements, runner};
use crate::model_names::NAMES;

pub(super) static MLX_WHISPER: Python = Python {
    id: "mlx-whisper",
    alias: None, // mac-whisper-speedtest's class stands for our engine, which takes its place
    about: "Whisper on MLX, in Python; the row's time counts where there is a GPU",
    tested: true,
    models: NAMES,
    runner: runner!("mlx_whisper"),
    requirements: requirements!("mlx_whisper"),
    runs_here: || match (std::env::consts::OS, std::env::consts::ARCH) {
        ("macos", "aarch64") | ("linux", "x86_64" | "aarch64") => Ok(()),
        _ => Err("Apple silicon, or Linux"),
    },
};
