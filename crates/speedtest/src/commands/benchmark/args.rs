//! What may be asked of `benchmark`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};
use whisper::language::Language;

use crate::cli::Compute;
use crate::device::Device;
use crate::files;
use crate::implementation::{Here, Named};
use crate::model_names;
use crate::store::ModelsDir;

/// Measure which Whisper implementation is fastest on this machine, and whether it is right
///
/// Every implementation runs in a process of its own and hears the same samples: greedy, at temperature 0, with as many threads.
/// Runs take turns in random order. Models are never downloaded, and code only with --install or a yes at the terminal.
#[derive(Args, Debug)]
#[command(after_help = HELP)]
#[command(group = ArgGroup::new("own_recording").args(["audio", "record"]).multiple(true))]
pub(crate) struct BenchmarkArgs {
    /// The model, as --model
    #[arg(value_name = "MODEL")]
    positional_model: Option<String>,
    /// The number of runs, as --runs
    #[arg(value_name = "RUNS")]
    positional_runs: Option<NonZeroUsize>,
    /// The implementations, as --implementation
    #[arg(value_name = "IMPLEMENTATIONS")]
    positional_implementations: Option<String>,

    /// Models, with commas between them: bundled, tiny, base, small, ..., or a folder [default: bundled; others than our own take base]
    #[arg(short, long, value_name = "MODELS", value_delimiter = ',')]
    model: Vec<String>,
    /// Runs that count, of each implementation on each recording [default: at least 5 and 3 s, at most 60 s once 3 are done]
    #[arg(short = 'n', long, value_name = "N")]
    runs: Option<NonZeroUsize>,
    /// Implementations, with commas between them: names that `implementations` lists, or paths to runners [default: all that are ready]
    #[arg(short, long, value_name = "NAMES", value_delimiter = ',')]
    implementation: Vec<String>,

    /// Recordings or folders of them [default: eleven seconds of speech inside the program]
    #[arg(short, long, value_name = "AUDIO", num_args = 1.., help_heading = "Recordings")]
    pub(super) audio: Vec<PathBuf>,
    /// Record with the microphone, from Enter to Enter; the recording is kept
    #[arg(long, help_heading = "Recordings")]
    pub(super) record: bool,
    /// What is said: a text, a file with it, or a table `file, reference[, language]` with tabs
    #[arg(
        long,
        value_name = "TEXT|FILE",
        help_heading = "Recordings",
        requires = "own_recording"
    )]
    pub(super) reference: Option<String>,
    /// The language spoken, as code or English name [default: that of the table of references, else detected]
    #[arg(
        long,
        value_name = "LANGUAGE",
        help_heading = "Recordings",
        requires = "own_recording"
    )]
    pub(super) language: Option<Language>,

    /// Write the results to a file after each row: .json (everything), .csv, .md or .html; may be repeated
    #[arg(short, long, value_name = "FILE", help_heading = "Results")]
    pub(super) export: Vec<PathBuf>,
    /// Print everything as JSON, no table
    #[arg(long, help_heading = "Results")]
    pub(super) json: bool,
    /// Points of word error rate by which a winner may be worse than the best
    #[arg(long, value_name = "POINTS", default_value_t = 1.0, value_parser = not_negative, help_heading = "Results")]
    pub(super) wer_margin: f64,

    /// Threads of each implementation [default: one for each core]
    #[arg(short, long, value_name = "N", help_heading = "Measuring")]
    pub(super) threads: Option<NonZeroUsize>,
    /// Arithmetic of this program's own engine: the fastest that is as accurate, float32 throughout, or whole numbers
    #[arg(long, value_enum, default_value_t, value_name = "TYPE", help_heading = "Measuring")]
    pub(super) compute: Compute,
    /// What this program's own engine runs on, where no implementation is named: all that is ready, the processor, or MLX
    #[arg(long, value_parser = Device::parse, default_value = "auto", value_name = "auto|cpu|mlx", help_heading = "Measuring")]
    pub(super) device: Device,
    /// Also measure native-mlx in every other way to compute on MLX, at least 8 runs of each, and keep the fastest for `transcribe`;
    /// with native beside it, --device auto takes the faster of both from then on
    #[arg(long, help_heading = "Measuring")]
    pub(super) tune: bool,
    /// Runs before those that count
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Measuring")]
    pub(super) warmup: usize,
    /// Without --runs: at least so many runs
    #[arg(long, value_name = "N", default_value_t = 5, help_heading = "Measuring")]
    pub(super) min_runs: usize,
    /// Without --runs: at least so many seconds of runs
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = not_negative, help_heading = "Measuring")]
    pub(super) min_seconds: f64,
    /// Without --runs: at most so many seconds of runs of an implementation, once each recording has 3
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = not_negative, help_heading = "Measuring")]
    pub(super) max_seconds: f64,
    /// Rest before each run
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = not_negative, help_heading = "Measuring")]
    pub(super) cool_down: f64,
    /// Kill an implementation that takes longer for one reply
    #[arg(long, value_name = "SECONDS", default_value_t = 600.0, value_parser = not_negative, help_heading = "Measuring")]
    pub(super) timeout: f64,
    /// Seed of the order of runs
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Measuring")]
    pub(super) seed: u64,
    /// Measure one implementation after the other, so that only one model at a time is in memory
    #[arg(long, help_heading = "Measuring")]
    pub(super) no_interleave: bool,

    /// Install the implementations named that are Python and missing: pinned packages, checked by hash, by way of uv
    #[arg(long, help_heading = "Places", conflicts_with = "offline")]
    pub(super) install: bool,
    /// Install nothing, and do not ask whether to [also: HF_HUB_OFFLINE=1]
    #[arg(long, help_heading = "Places")]
    pub(super) offline: bool,
    #[command(flatten)]
    pub(super) places: Places,
}

const HELP: &str = "\
Examples:
  whisper-speedtest benchmark
  whisper-speedtest benchmark medium 1 MLXWhisperImplementation
  whisper-speedtest benchmark -m tiny.en -i native,faster-whisper -a talk.wav --reference talk.txt -e result.html
  whisper-speedtest benchmark -a recordings/ --reference recordings/manifest.tsv -n 3 -e result.json
  whisper-speedtest benchmark -i native,./my-runner --model-path my-runner=weights/
  whisper-speedtest benchmark large -i native,native-mlx,mlx-whisper --tune -e mac.md

A run counts from the request to the reply. A winner is named only from 8 runs on, where the 95 % interval of the ratio allows it.
Exit code 1: something that was asked for could not be measured (the rest was).";

/// Where implementations and their weights are.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Places")]
pub(crate) struct Places {
    /// Weights on disk: of an implementation, or of one of its models; may be repeated
    #[arg(long, value_name = "ID[:MODEL]=FOLDER")]
    model_path: Vec<Named>,
    /// The interpreter or binary to take for an implementation; may be repeated
    #[arg(long, value_name = "ID=FILE")]
    program: Vec<Named>,
    #[command(flatten)]
    models: ModelsDir,
}

impl Places {
    pub(crate) fn here(&self) -> Here {
        Here {
            model_paths: self.model_path.clone(),
            programs: self.program.clone(),
            cache: files::cache_folder(),
            models: self.models.clone(),
            computing: Vec::new(),
        }
    }
}

/// What is to be measured, in either spelling.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) models: Vec<String>,
    pub(super) runs: Option<usize>,
    /// Empty: all that are ready.
    pub(super) implementations: Vec<String>,
}

impl BenchmarkArgs {
    /// What is on this machine, and what our own engine is told.
    pub(super) fn here(&self) -> Here {
        let compute = self
            .compute
            .to_possible_value()
            .map(|value| value.get_name().to_owned());
        Here {
            computing: compute.map_or_else(Vec::new, |compute| vec!["--compute".into(), compute]),
            ..self.places.here()
        }
    }

    /// # Errors
    /// Something is asked for by its place and by its option.
    pub(super) fn asked(&self) -> Result<Asked, String> {
        let models = one_of(
            "MODEL",
            "--model",
            list(self.positional_model.as_deref()),
            self.model.clone(),
        )?;
        let positional = list(self.positional_implementations.as_deref());
        let implementations = one_of(
            "IMPLEMENTATIONS",
            "--implementation",
            positional,
            self.implementation.clone(),
        )?;
        let runs = |runs: Option<NonZeroUsize>| runs.into_iter().map(usize::from).collect();
        let runs = one_of("RUNS", "--runs", runs(self.positional_runs), runs(self.runs))?;
        Ok(Asked {
            models: if models.is_empty() {
                vec![model_names::DEFAULT.into()]
            } else {
                each_once(models)
            },
            runs: runs.first().copied(),
            implementations: each_once(implementations),
        })
    }
}

fn list(text: Option<&str>) -> Vec<String> {
    text.map_or_else(Vec::new, |text| text.split(',').map(str::to_owned).collect())
}

fn one_of<T>(place: &str, option: &str, positional: Vec<T>, named: Vec<T>) -> Result<Vec<T>, String> {
    match (positional.is_empty(), named.is_empty()) {
        (false, false) => Err(format!("{place} and {option} say the same: give one of them")),
        (false, true) => Ok(positional),
        _ => Ok(named),
    }
}

fn each_once(names: Vec<String>) -> Vec<String> {
    let mut once: Vec<String> = Vec::new();
    for name in names.into_iter().filter(|name| !name.is_empty()) {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    once
}

fn not_negative(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "expected a number")?;
    if (0.0..=1e6).contains(&number) {
        Ok(number)
    } else {
        Err("expected 0 to 1000000".into())
    }
}
