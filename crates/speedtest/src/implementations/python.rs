//! Implementations in Python: a runner in one file, and an environment of pinned packages in the tool's cache.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use super::process::Start;
use crate::implementation::{Here, Implementation, ModelOf, Unavailable};

/// An implementation in Python.
pub(crate) struct Python {
    pub(super) id: &'static str,
    /// The name of its class in mac-whisper-speedtest.
    pub(super) alias: Option<&'static str>,
    pub(super) about: &'static str,
    pub(super) tested: bool,
    pub(super) models: &'static [ModelOf<'static>],
    /// The text of its runner.
    pub(super) runner: &'static str,
    /// Every package that it needs, with version and hashes.
    pub(super) requirements: &'static str,
    /// The systems that it runs on: what it needs is the error.
    pub(super) runs_here: fn() -> Result<(), &'static str>,
}

/// The text of a runner: its own file, then what speaks the protocol.
macro_rules! runner {
    ($name:literal) => {
        concat!(
            include_str!(concat!("../../runners/", $name, ".py")),
            "\n",
            include_str!("../../runners/serve.py")
        )
    };
}

/// The packages of a runner.
macro_rules! requirements {
    ($name:literal) => {
        include_str!(concat!("../../runners/", $name, ".txt"))
    };
}

pub(super) use {requirements, runner};

/// A file in an environment: the requirements that it was made from.
const MADE_FROM: &str = "requirements.txt";

/// Where the interpreter lies in an environment.
const INTERPRETER: &str = if cfg!(windows) {
    "Scripts/python.exe"
} else {
    "bin/python"
};

impl Implementation for Python {
    fn id(&self) -> &str {
        self.id
    }

    fn alias(&self) -> Option<&'static str> {
        self.alias
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn tested(&self) -> bool {
        self.tested
    }

    fn models(&self) -> &[ModelOf<'static>] {
        self.models
    }

    fn start(&self, here: &Here) -> Result<Start, Unavailable> {
        (self.runs_here)().map_err(Unavailable::not_on_this_system)?;
        // Isolated: neither the current folder nor the user's packages nor PYTHON* variables come in.
        let arguments = ["-I", "-X", "utf8", "-c", self.runner];
        Ok(Start {
            program: self.interpreter(here)?,
            arguments: arguments.map(Into::into).into(),
            environment: Vec::new(),
        })
    }

    fn as_python(&self) -> Option<&Python> {
        Some(self)
    }
}

impl Python {
    /// The interpreter named with `--program`, else that of the environment in the cache.
    fn interpreter(&self, here: &Here) -> Result<PathBuf, Unavailable> {
        if let Some(named) = here.program(self.id) {
            return Ok(named.to_owned());
        }
        let id = self.id;
        let remedy = format!(
            "`whisper-speedtest implementations --install {id}` installs it; or --program {id}=PYTHON names an interpreter that has it"
        );
        let environment = environments(here).map(|folder| folder.join(id));
        let environment = environment.filter(|folder| folder.join(INTERPRETER).is_file());
        let environment = environment.ok_or_else(|| Unavailable::new("not installed", &remedy))?;
        match fs::read_to_string(environment.join(MADE_FROM)) {
            Ok(made_from) if made_from == self.requirements => Ok(environment.join(INTERPRETER)),
            _ => Err(Unavailable::new("what is installed is of other versions", &remedy)),
        }
    }

    /// Whether it could be installed here and is not.
    pub(crate) fn is_missing(&self, here: &Here) -> bool {
        (self.runs_here)().is_ok() && self.interpreter(here).is_err()
    }

    /// What would be installed, to be asked about.
    pub(crate) fn offer(&self, here: &Here) -> String {
        let folder = environments(here).map_or_else(String::new, |folder| format!(" into {}", folder.display()));
        format!(
            "{} is not installed: install its pinned packages, checked by hash, with uv{folder}",
            self.id
        )
    }

    /// Installs its packages into the tool's cache: an environment appears there whole or not at all.
    ///
    /// Needs `uv`. What it downloads comes from the package index that uv is set up for, and is refused where its hash is not
    /// that of the requirements.
    ///
    /// # Errors
    /// There is no uv or no cache; uv fails, and has said why.
    pub(crate) fn install(&self, here: &Here) -> anyhow::Result<()> {
        let id = self.id;
        (self.runs_here)().map_err(|needs| anyhow::anyhow!("{id} needs {needs}"))?;
        let missing =
            "uv is needed to install Python packages, and is not on PATH: see docs.astral.sh/uv, or `pip install uv`";
        let uv = here.on_path("uv").context(missing)?;
        let environments = environments(here).context("no folder for a cache: set HOME or XDG_CACHE_HOME")?;
        fs::create_dir_all(&environments).with_context(|| environments.display().to_string())?;

        let new = tempfile::Builder::new()
            .prefix(&format!(".{id}-"))
            .tempdir_in(&environments)?;
        let folder = new.path().join(id);
        let interpreter = folder.join(INTERPRETER);
        let requirements = new.path().join(MADE_FROM);
        fs::write(&requirements, self.requirements)?;
        let uv = |arguments: &[&OsStr]| {
            let status = Command::new(&uv)
                .args(arguments)
                .env_remove("VIRTUAL_ENV")
                .current_dir(new.path()) // no configuration of a project nearby
                .stdin(Stdio::null())
                .stdout(Stdio::from(std::io::stderr()))
                .status()?;
            let what = arguments.first().copied().unwrap_or_default().display();
            ensure!(status.success(), "uv {what} failed ({status})");
            anyhow::Ok(())
        };
        let venv = [
            "venv",
            "--relocatable",
            "--no-python-downloads",
            "--python",
            ">=3.11,<3.14",
        ];
        uv(&[&venv.map(OsStr::new)[..], &[folder.as_os_str()]].concat())?;
        // The list is complete, and leaves out on purpose what a package asks for and its code does not need.
        let install = ["pip", "install", "--no-deps", "--require-hashes", "--python"];
        let files = [interpreter.as_os_str(), OsStr::new("-r"), requirements.as_os_str()];
        uv(&[&install.map(OsStr::new)[..], &files].concat())?;
        fs::rename(&requirements, folder.join(MADE_FROM))?;
        replace(&environments.join(id), &folder, new.path())
    }
}

/// Puts `new` in the place of `old`, which goes to `away`.
fn replace(old: &Path, new: &Path, away: &Path) -> anyhow::Result<()> {
    if old.exists() {
        fs::rename(old, away.join("old"))?;
    }
    fs::rename(new, old).with_context(|| old.display().to_string())
}

/// Whether this is a Mac of Apple's own processors.
///
/// # Errors
/// This is another machine.
pub(super) fn on_apple_silicon() -> Result<(), &'static str> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("macos", "aarch64") => Ok(()),
        _ => Err("Apple silicon"),
    }
}

fn environments(here: &Here) -> Option<PathBuf> {
    here.cache.as_ref().map(|cache| cache.join("environments"))
}
