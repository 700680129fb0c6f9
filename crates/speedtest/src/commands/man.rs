//! `man`: manual pages.

use std::io::{self, Write};

use clap::Args;

use super::Outcome;
use crate::cli;

/// Print the manual page
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  whisper-speedtest man transcribe | man -l -")]
pub(crate) struct ManArgs {
    /// The command to describe, instead of the program
    command: Option<String>,
}

pub(super) fn run(args: &ManArgs) -> anyhow::Result<Outcome> {
    let mut program = cli::command();
    program.build();
    let described = match &args.command {
        None => &program,
        Some(name) => program
            .find_subcommand(name)
            .ok_or_else(|| cli::usage_error("man", format!("there is no command {name:?}")))?,
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(described.clone()).render(&mut page)?;
    io::stdout().write_all(&page)?;
    Ok(Outcome::Done)
}
