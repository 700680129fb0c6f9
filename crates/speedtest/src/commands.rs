//! One file a command.

mod transcribe;

use std::io::{self, Write};

use crate::cli::{self, Command};
use crate::console::Console;

/// How a command ended that did what it could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// The user has been told what did not succeed.
    SomeFailed,
}

/// Does what was asked. A `clap::Error` within the error means that the command line is wrong.
pub(crate) fn run(command: Command, console: &Console) -> anyhow::Result<Outcome> {
    match command {
        Command::Transcribe(args) => transcribe::run(&args, console),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut cli::command(), "whisper-speedtest", &mut script);
            io::stdout().write_all(&script)?;
            Ok(Outcome::Done)
        }
        Command::Man { command } => {
            io::stdout().write_all(&manual_page(command.as_deref())?)?;
            Ok(Outcome::Done)
        }
    }
}

fn manual_page(name: Option<&str>) -> anyhow::Result<Vec<u8>> {
    let mut program = cli::command();
    program.build();
    let described = match name {
        None => &program,
        Some(name) => program
            .find_subcommand(name)
            .ok_or_else(|| cli::usage_error("man", format!("there is no command {name:?}")))?,
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(described.clone()).render(&mut page)?;
    Ok(page)
}
