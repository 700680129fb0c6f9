//! `completions`: what a shell offers after Tab.

use std::io::{self, Write};

use clap::Args;
use clap_complete::Shell;

use super::Outcome;
use crate::cli;

/// Print a script that completes this program's commands and options
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  whisper-speedtest completions bash > ~/.local/share/bash-completion/completions/whisper-speedtest"
)]
pub(crate) struct CompletionsArgs {
    /// The shell it is for
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli::command(), "whisper-speedtest", &mut script);
    io::stdout().write_all(&script)?;
    Ok(Outcome::Done)
}
