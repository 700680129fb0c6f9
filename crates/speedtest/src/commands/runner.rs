//! `runner`: how the speed test starts this program's own engine, and programs that do not speak its protocol.

use std::path::PathBuf;

use clap::Args;

use super::Outcome;
use crate::cli::Compute;
use crate::implementations;
use crate::tuning::Way;

/// Serve the protocol of runners: for this program's own engine, or for a program of an implementation
#[derive(Args, Debug)]
pub(crate) struct RunnerArgs {
    /// The implementation, as whisper.cpp
    #[arg(value_name = "ID", requires = "program")]
    id: Option<String>,
    /// Its program, as /usr/bin/whisper-server
    #[arg(value_name = "PROGRAM")]
    program: Option<PathBuf>,
    /// Arithmetic of this program's own engine
    #[arg(long, value_enum, default_value_t, value_name = "TYPE", conflicts_with = "id")]
    compute: Compute,
    /// What this program's own engine runs on: cpu or mlx
    #[arg(long, default_value = "cpu", value_parser = ["cpu", "mlx"], value_name = "DEVICE", conflicts_with = "id")]
    device: String,
    /// How MLX computes [default: as `benchmark --tune` has found best for the model]
    #[arg(long, value_enum, value_name = "WAY", conflicts_with = "id")]
    way: Option<Way>,
}

/// Serves until it is told to leave.
pub(super) fn run(args: &RunnerArgs) -> anyhow::Result<Outcome> {
    match (&args.id, &args.program) {
        (Some(id), Some(program)) => implementations::serve_for(id, program.clone())?,
        _ => implementations::serve(args.compute, args.device == "mlx", args.way)?,
    }
    Ok(Outcome::Done)
}
