//! WhisperKit: Whisper on Core ML, through its command-line program.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::adapter::{self, Adapter, Engine, Sound};
use super::process::Start;
use super::protocol::{Heard, Load, Loaded};
use super::python::on_apple_silicon;
use crate::implementation::{Here, Implementation, ModelOf, Unavailable};

/// WhisperKit.
pub(crate) struct WhisperKit;

pub(super) const ID: &str = "whisperkit";
const PROGRAM: &str = "whisperkit-cli";

impl Implementation for WhisperKit {
    fn id(&self) -> &str {
        ID
    }

    fn alias(&self) -> Option<&'static str> {
        Some("WhisperKitImplementation")
    }

    fn about(&self) -> &'static str {
        "Whisper on Core ML; whisperkit-cli"
    }

    fn tested(&self) -> bool {
        false
    }

    /// The repository holds a folder for each model, which has to be named.
    fn models(&self) -> &[ModelOf<'static>] {
        &[]
    }

    fn start(&self, here: &Here) -> Result<Start, Unavailable> {
        on_apple_silicon().map_err(Unavailable::not_on_this_system)?;
        adapter::start(ID, &adapter::program(ID, PROGRAM, here)?)
    }
}

/// The adapter for its program.
pub(super) fn adapter(program: PathBuf) -> anyhow::Result<Adapter> {
    let version = adapter::version_of(&program, "--version", "")?;
    Adapter::new(ID, version, Box::new(Cli { program, model: None }))
}

/// A process for each recording.
struct Cli {
    program: PathBuf,
    model: Option<PathBuf>,
}

impl Engine for Cli {
    fn load(&mut self, _: &Load, model: &Path) -> anyhow::Result<Loaded> {
        ensure!(model.is_dir(), "{}: no such folder", model.display());
        self.model = Some(model.to_owned());
        Ok(Loaded {
            device: Some("neural engine".into()),
            differs: vec![adapter::A_PROCESS_EACH.into()],
            ..Loaded::default()
        })
    }

    fn transcribe(&mut self, sound: &Sound) -> anyhow::Result<Heard> {
        let model = self.model.as_ref().context("`transcribe` before `load`")?;
        let mut command = Command::new(&self.program);
        command
            .arg("transcribe")
            .arg("--model-path")
            .arg(model)
            .arg("--audio-path")
            .arg(&sound.path);
        command.args([
            "--temperature",
            "0",
            "--temperature-fallback-count",
            "0",
            "--chunking-strategy",
            "none",
        ]);
        if let Some(language) = &sound.language {
            command.args(["--language", language]);
        }
        let text = adapter::output(&mut command)?.trim().to_owned();
        Ok(Heard {
            text,
            ..Heard::default()
        })
    }
}
