//! Every implementation that can be measured: one table, a line each.

mod adapter;
mod faster_whisper;
mod fluidaudio;
mod insanely_fast_whisper;
mod lightning_whisper_mlx;
mod mlx_whisper;
mod native;
mod openai_whisper;
mod parakeet_mlx;
pub(crate) mod process;
pub(crate) mod protocol;
pub(crate) mod python;
mod pywhispercpp;
mod runner;
pub(crate) mod usage;
mod whisper_cpp;
mod whisper_mps;
mod whisperkit;

use crate::implementation::{Implementation, Own};

pub(crate) use adapter::serve as serve_for;
pub(crate) use native::{OwnArgs, serve};

/// Every implementation this tool can measure, ours first.
pub(crate) static ALL: &[&dyn Implementation] = &[
    &native::Native,
    &native::NativeMlx,
    &whisper_cpp::WhisperCpp,
    &pywhispercpp::PYWHISPERCPP,
    &faster_whisper::FASTER_WHISPER,
    &mlx_whisper::MLX_WHISPER,
    &openai_whisper::OPENAI_WHISPER,
    &lightning_whisper_mlx::LIGHTNING_WHISPER_MLX,
    &insanely_fast_whisper::INSANELY_FAST_WHISPER,
    &parakeet_mlx::PARAKEET_MLX,
    &whisper_mps::WHISPER_MPS,
    &whisperkit::WhisperKit,
    &fluidaudio::FluidAudio,
];

/// The implementation that `name` means: an id, the name of a class of mac-whisper-speedtest, or a path to a runner.
///
/// # Errors
/// It means none; the text lists the ids, and a near one first.
pub(crate) fn find(name: &str) -> Result<&'static dyn Implementation, String> {
    let is_meant = |known: &&&dyn Implementation| known.id() == name || known.alias() == Some(name);
    if let Some(known) = ALL.iter().find(is_meant) {
        return Ok(*known);
    }
    if let Some(own) = Own::new(name) {
        return Ok(Box::leak(Box::new(own))); // as the others, it is there until the program ends
    }
    let ids: Vec<_> = ALL.iter().map(|known| known.id()).collect();
    let near = ids
        .iter()
        .find(|id| strsim::osa_distance(id, &name.to_lowercase()) <= 3);
    let hint = near.map_or(String::new(), |near| format!(" Did you mean {near}?"));
    Err(format!(
        "unknown implementation {name:?}.{hint} Known are {}; or give the path of a runner, as ./my-runner",
        ids.join(", ")
    ))
}
