//! One file a command.

mod benchmark;
mod check_models;
mod compare;
mod completions;
mod doctor;
mod implementations;
mod man;
mod models;
mod runner;
pub(crate) mod transcribe;

pub(crate) use benchmark::BenchmarkArgs;
pub(crate) use check_models::CheckModelsArgs;
pub(crate) use compare::CompareArgs;
pub(crate) use completions::CompletionsArgs;
pub(crate) use doctor::DoctorArgs;
pub(crate) use implementations::ImplementationsArgs;
pub(crate) use man::ManArgs;
pub(crate) use models::ModelsArgs;
pub(crate) use runner::RunnerArgs;
pub(crate) use transcribe::TranscribeArgs;

use crate::cli::Command;
use crate::console::Console;
use crate::device;

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
        Command::Benchmark(args) => benchmark::run(&args, console),
        Command::Compare(args) => compare::run(&args, console),
        Command::Implementations(args) => implementations::run(&args, console),
        Command::Runner(args) => runner::run(args),
        Command::MlxProbe(args) => device::probe(&args, console).map(|()| Outcome::Done),
        Command::CheckModels(args) => match check_models::run(&args, console)? {
            (outcome, todo) if todo.is_empty() => Ok(outcome),
            (_, todo) => models::catch_up(&todo, &args.dir, console),
        },
        Command::Models(args) => models::run(&args, console),
        Command::Doctor(args) => doctor::run(&args, console),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}
