//! The tool `whisper-speedtest`: command line, implementations, measurements, reports.
#![forbid(unsafe_code)]

#[allow(dead_code, unused_imports, reason = "the benchmark command asks it")]
mod accuracy;
mod bench;
mod bundled;
mod cli;
mod columns;
mod commands;
mod console;
mod device;
mod engine;
mod files;
#[allow(dead_code, reason = "the implementations that come next use it")]
mod implementation;
mod implementations;
mod inputs;
mod interrupt;
mod model_names;
mod output;
mod report;
mod store;
mod tuning;

use std::io;
use std::process::ExitCode;

use commands::Outcome;
use console::{Causes, Console};

/// Windows come and go by the megabyte: the system's allocator on Linux scatters them until a recording of hours takes
/// three times its memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(usage) => usage.exit(), // help and version, too
    };
    let console = Console::new(&cli.console);
    match commands::run(cli.command, &console) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::SomeFailed) => ExitCode::FAILURE,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS, // the reader has seen enough: `| head -1`
        Err(error) => match error.downcast::<clap::Error>() {
            Ok(usage) => usage.exit(),
            Err(error) => {
                console.error(Causes(&error));
                ExitCode::FAILURE
            }
        },
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
}
