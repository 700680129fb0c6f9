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
    #[command(flatten)]
    places: Places,
}

const HELP: &str = "\
Example:
  whisper-speedtest implementations --program faster-whisper=venv/bin/python";

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
