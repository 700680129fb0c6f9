//! `runner`: how the speed test starts this program's own engine, and programs that do not speak its protocol.

use std::path::PathBuf;

use clap::Args;

use super::Outcome;
use crate::implementations::{self, OwnArgs};

/// Serve the protocol of runners: for this program's own engine, or for a program of an implementation
#[derive(Args, Debug)]
pub(crate) struct RunnerArgs {
    /// The implementation, as whisper.cpp
    #[arg(value_name = "ID", requires = "program")]
    id: Option<String>,
    /// Its program, as /usr/bin/whisper-server
    #[arg(value_name = "PROGRAM")]
    program: Option<PathBuf>,
    #[command(flatten)]
    own: OwnArgs,
}

/// Serves until it is told to leave.
pub(super) fn run(args: RunnerArgs) -> anyhow::Result<Outcome> {
    match (args.id, args.program) {
        (Some(id), Some(program)) => implementations::serve_for(&id, program)?,
        _ => implementations::serve(args.own)?,
    }
    Ok(Outcome::Done)
}
