//! `implementations`: what can be measured, and whether it is ready here.

use std::path::PathBuf;

use clap::Args;

use super::Outcome;
use crate::console::Console;
use crate::implementation::{Here, Named};
use crate::implementations;

/// List the implementations that can be measured, and say what is missing here
#[derive(Args, Debug)]
#[command(after_help = HELP)]
pub(crate) struct ImplementationsArgs {
    #[command(flatten)]
    places: Places,
}

const HELP: &str = "\
Example:
  whisper-speedtest implementations --program faster-whisper=venv/bin/python";

/// Where implementations and their weights are.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Places")]
pub(crate) struct Places {
    /// Weights on disk: of an implementation, or of one of its models
    #[arg(long, value_name = "ID[:MODEL]=FOLDER")]
    pub(crate) model_path: Vec<Named>,
    /// The interpreter or binary to take for an implementation
    #[arg(long, value_name = "ID=FILE")]
    pub(crate) program: Vec<Named>,
}

impl Places {
    pub(crate) fn here(&self) -> Here {
        Here {
            model_paths: self.model_path.clone(),
            programs: self.program.clone(),
            cache: cache(),
        }
    }
}

/// The folder for what can be made again: `$XDG_CACHE_HOME`, or the system's.
fn cache() -> Option<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let home = || std::env::home_dir().filter(|home| home.is_absolute());
    let root = match std::env::consts::OS {
        "windows" => variable("LOCALAPPDATA"),
        "macos" => home().map(|home| home.join("Library/Caches")),
        _ => variable("XDG_CACHE_HOME").or_else(|| home().map(|home| home.join(".cache"))),
    };
    root.map(|root| root.join("whisper-speedtest"))
}

/// Lists all of them.
pub(super) fn run(args: &ImplementationsArgs, console: &Console) -> anyhow::Result<Outcome> {
    let here = args.places.here();
    let mut list = String::new();
    for implementation in implementations::ALL {
        let state = match implementation.start(&here) {
            Ok(_) => "ready".to_owned(),
            Err(unavailable) => unavailable.to_string(),
        };
        let untested = if implementation.tested() { "" } else { ", untested" };
        list += &format!("{:22} {}{untested}\n", implementation.id(), implementation.about());
        if let Some(alias) = implementation.alias() {
            list += &format!("{:22} also called {alias}\n", "");
        }
        list += &format!("{:22} {state}\n", "");
    }
    console.result(&list)?;
    Ok(Outcome::Done)
}
