//! `implementations`: what can be measured, and whether it is ready here.

use clap::Args;

use super::Outcome;
use super::benchmark::Places;
use crate::console::Console;
use crate::implementations;

/// List the implementations that can be measured, and say what is missing here
#[derive(Args, Debug)]
#[command(after_help = HELP)]
pub(crate) struct ImplementationsArgs {
    /// Install what these Python implementations need into this tool's cache: pinned packages, checked by hash, by way of uv
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    install: Vec<String>,
    /// Never use the network
    #[arg(long, conflicts_with = "install")]
    offline: bool,
    #[command(flatten)]
    places: Places,
}

const HELP: &str = "\
Examples:
  whisper-speedtest implementations --install faster-whisper,mlx-whisper
  whisper-speedtest implementations --program faster-whisper=venv/bin/python";

/// Lists all of them.
pub(super) fn run(args: &ImplementationsArgs, console: &Console) -> anyhow::Result<Outcome> {
    let here = args.places.here();
    let mut all_installed = Outcome::Done;
    for name in &args.install {
        let implementation = implementations::find(name).map_err(anyhow::Error::msg)?;
        let installed = match implementation.as_python() {
            Some(python) => python.install(&here),
            None => Err(anyhow::anyhow!("it is not a Python package: install it by hand")),
        };
        if let Err(error) = installed {
            console.error(format_args!("{name}: {error:#}"));
            all_installed = Outcome::SomeFailed;
        }
    }
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
    Ok(all_installed)
}
