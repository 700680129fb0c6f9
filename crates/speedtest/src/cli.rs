//! The command line: what can be asked, and its help.

mod python;
pub(crate) mod values;

use std::ffi::OsString;
use std::fmt::Display;
use std::num::NonZeroUsize;

use clap::builder::FalseyValueParser;
use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::commands::{
    BenchmarkArgs, CheckModelsArgs, CompareArgs, CompletionsArgs, DoctorArgs, ImplementationsArgs, ManArgs, ModelsArgs,
    RunnerArgs, TranscribeArgs,
};
use crate::device::{Device, MlxProbeArgs};
use crate::tuning::Way;

/// Transcribes speech with OpenAI's Whisper from MLX checkpoints, and measures which implementation is fastest here
///
/// Works on a fresh machine without any network: a small Whisper is inside the program.
#[derive(Debug, Parser)]
#[command(name = "whisper-speedtest", version, long_version = VERSION, after_help = PROGRAM_HELP)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) console: ConsoleArgs,
}

const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\nfeatures: ",
    env!("BUILT_WITH"),
    "\ntarget:   ",
    env!("TARGET"),
);

const PROGRAM_HELP: &str = "\
Examples:
  whisper-speedtest transcribe talk.mp3
  whisper-speedtest transcribe talk.mp3 -f srt -o subtitles
  whisper-speedtest benchmark

Every long option can come from the environment: WHISPER_SPEEDTEST_LANGUAGE=de stands for --language de.
Results go to standard output, everything else to standard error.
Exit codes: 0 all done, 1 something failed (what succeeded is written), 2 the command line is wrong.";

/// What the terminal shows.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Messages")]
pub(crate) struct ConsoleArgs {
    /// Say nothing but errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Say more about what is done
    #[arg(short, long, global = true, value_name = "BOOL")]
    #[arg(action = ArgAction::Set, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", default_value = "false")]
    #[arg(value_parser = values::boolean, hide_default_value = true)]
    pub(crate) verbose: bool,
    /// No colours (also where NO_COLOR is set, and where there is no terminal)
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
}

/// How a model computes.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Computing")]
pub(crate) struct ComputeArgs {
    /// Arithmetic: the fastest that is as accurate, float32 throughout, or whole numbers
    #[arg(long, value_enum, default_value_t, value_name = "TYPE")]
    pub(crate) compute: Compute,
    /// Threads to compute with [default: one for each core]
    #[arg(short, long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// What computes: a GPU through MLX where `doctor --enable mlx` has made it ready, else the processor; the processor; or MLX
    #[arg(long, value_parser = Device::parse, default_value = "auto", value_name = "auto|cpu|mlx")]
    pub(crate) device: Device,
    /// The most memory that MLX may use, as 4G or 800M
    #[arg(long, value_parser = values::bytes, value_name = "BYTES")]
    pub(crate) max_memory: Option<u64>,
    /// How MLX computes; by default as was found best for the model, if that was measured.
    #[arg(skip)]
    pub(crate) way: Option<Way>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compute {
    /// As accurate as f32 on real speech, and the fastest that is
    #[default]
    Auto,
    /// Weights widened, float32 throughout; what --compat mlx takes for auto
    F32,
    /// 8-bit whole numbers on both sides of every product of weights
    Int8,
}

/// What can be asked: the arguments of each command stand beside it.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Transcribe(Box<TranscribeArgs>),
    Benchmark(Box<BenchmarkArgs>),
    Compare(CompareArgs),
    Implementations(ImplementationsArgs),
    CheckModels(CheckModelsArgs),
    Models(ModelsArgs),
    Doctor(DoctorArgs),
    #[command(hide = true)]
    Runner(RunnerArgs),
    #[command(hide = true)]
    MlxProbe(MlxProbeArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// What was asked on the command line and in the environment.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&command().try_get_matches_from(python::spelling(args))?)
}

/// A fault of the command line that only the command itself can see.
pub(crate) fn usage_error(name: &str, problem: impl Display) -> clap::Error {
    let mut program = command();
    program.build();
    let command = program.find_subcommand_mut(name).cloned();
    command.unwrap_or(program).error(ErrorKind::ValueValidation, problem)
}

/// The whole command line, for parsing, completions and manual pages.
pub(crate) fn command() -> clap::Command {
    from_environment(Cli::command())
}

/// Lets every long option come from `WHISPER_SPEEDTEST_<NAME>`.
fn from_environment(command: clap::Command) -> clap::Command {
    command.mut_subcommands(from_environment).mut_args(|arg| {
        let Some(long) = arg.get_long() else { return arg };
        let variable = format!("WHISPER_SPEEDTEST_{}", long.to_uppercase().replace('-', "_"));
        let arg = arg.env(variable).hide_env(true);
        match arg.get_action() {
            ArgAction::SetTrue => arg.value_parser(FalseyValueParser::new()),
            _ => arg,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_long_option_has_its_variable() {
        let mut command = command();
        command.build();
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            for arg in sub
                .get_arguments()
                .filter(|arg| !matches!(arg.get_id().as_str(), "help" | "version"))
            {
                assert_eq!(
                    arg.get_long().is_some(),
                    arg.get_env().is_some(),
                    "{} {arg}",
                    sub.get_name()
                );
            }
        }
    }
}
