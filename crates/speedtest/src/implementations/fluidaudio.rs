//! FluidAudio: NVIDIA's Parakeet on Core ML, through its command-line program. No Whisper: a model of its own name.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::adapter::{self, Adapter, Engine, Sound};
use super::process::Start;
use super::protocol::{Heard, Load, Loaded};
use super::python::on_apple_silicon;
use crate::implementation::{Here, Implementation, ModelOf, Unavailable};

/// FluidAudio.
pub(crate) struct FluidAudio;

pub(super) const ID: &str = "fluidaudio";
const PROGRAM: &str = "fluidaudio";
const MODELS: &[ModelOf<'static>] = &[ModelOf::new("parakeet", "FluidInference/parakeet-tdt-0.6b-v2-coreml")];

impl Implementation for FluidAudio {
    fn id(&self) -> &str {
        ID
    }

    fn alias(&self) -> Option<&'static str> {
        Some("FluidAudioCoreMLImplementation")
    }

    fn about(&self) -> &'static str {
        "NVIDIA's Parakeet on Core ML, no Whisper; fluidaudio"
    }

    fn tested(&self) -> bool {
        false
    }

    fn models(&self) -> &[ModelOf<'static>] {
        MODELS
    }

    fn start(&self, here: &Here) -> Result<Start, Unavailable> {
        on_apple_silicon().map_err(Unavailable::not_on_this_system)?;
        adapter::start(ID, &adapter::program(ID, PROGRAM, here)?)
    }
}

/// The adapter for its program.
pub(super) fn adapter(program: PathBuf) -> anyhow::Result<Adapter> {
    let version = adapter::version_of(&program, "--version", "")?;
    Adapter::new(ID, version, Box::new(Cli { program }))
}

/// A process for each recording.
struct Cli {
    program: PathBuf,
}

impl Engine for Cli {
    fn load(&mut self, _: &Load, _: &Path) -> anyhow::Result<Loaded> {
        Ok(Loaded {
            device: Some("neural engine".into()),
            differs: vec!["another model: Parakeet".into(), adapter::A_PROCESS_EACH.into()],
            ..Loaded::default()
        })
    }

    fn transcribe(&mut self, sound: &Sound) -> anyhow::Result<Heard> {
        let mut command = Command::new(&self.program);
        command
            .arg("transcribe")
            .arg(&sound.path)
            .args(["--model-version", "v2"]);
        let said = adapter::output(&mut command)?;
        // The text is the last line; what it says of its progress comes before.
        let text = said.trim().lines().last().unwrap_or_default().trim().to_owned();
        Ok(Heard {
            text,
            ..Heard::default()
        })
    }
}
