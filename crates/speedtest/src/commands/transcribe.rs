//! `transcribe`: recordings in, text out.

pub(crate) mod args;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::Outcome;
use crate::bundled::BUNDLED;
use crate::cli::usage_error;
use crate::console::{Console, Progress, clock};
use crate::engine::{self, Engine, Heard, Listener};
use crate::inputs::{self, Input};
use crate::output::{Format, ModelUsed};
use crate::{files, interrupt, model_names};
use whisper::transcript::Segment;

pub(crate) use args::{OutputFormat, TranscribeArgs};

/// Transcribes every recording; one that fails does not stop the rest.
pub(crate) fn run(args: &TranscribeArgs, console: &Console) -> anyhow::Result<Outcome> {
    let (inputs, problems) = inputs::expand(&args.audio);
    let plan = Plan::new(args, inputs)?;
    let source = model_names::resolve(&args.model).map_err(|problem| usage_error("transcribe", problem))?;
    engine::options(args).map_err(|problem| usage_error("transcribe", format!("{problem:#}")))?;
    interrupt::end_on_ctrl_c()?;

    for problem in &problems {
        console.error(format_args!("{problem:#}"));
    }
    if plan.jobs.is_empty() {
        return Ok(Outcome::SomeFailed);
    }
    if let Target::Folder(folder) = &plan.target {
        fs::create_dir_all(folder).with_context(|| format!("{}: cannot make this folder", folder.display()))?;
    }
    if args.model == model_names::DEFAULT {
        console.note(default_model_note());
    }
    let engine = Engine::load(&source, &args.computing)?;
    let rows = transcribe_all(&plan, engine.used(), console, |input, listener| {
        engine.transcribe(input, args, listener)
    })?;

    if rows.len() > 1 {
        console.note(table(&rows).trim_end());
    }
    let failed = !problems.is_empty() || rows.iter().any(|row| matches!(row.end, End::Failed));
    Ok(if failed { Outcome::SomeFailed } else { Outcome::Done })
}

fn default_model_note() -> &'static str {
    match BUNDLED {
        Some(_) => "model: bundled (Whisper base, 5 bits); `--model large` hears far better",
        None => "model: base (this program was built without the bundled model); `--model large` hears far better",
    }
}

/// What is to be written where.
struct Plan {
    jobs: Vec<Job>,
    formats: Vec<Format>,
    target: Target,
    overwrite: bool,
    strict: bool,
}

struct Job {
    input: Input,
    /// Of its files, without extension.
    name: String,
}

enum Target {
    StandardOutput,
    Folder(PathBuf),
}

impl Plan {
    fn new(args: &TranscribeArgs, inputs: Vec<Input>) -> Result<Plan, clap::Error> {
        let needs_folder = |what: &str| {
            usage_error(
                "transcribe",
                format!("{what} needs --output-dir, a folder for the files"),
            )
        };
        let formats = formats(args.output_format);
        let target = match &args.output_dir {
            Some(folder) => Target::Folder(folder.clone()),
            None if formats.len() > 1 => return Err(needs_folder("--output-format all")),
            None if inputs.len() > 1 => return Err(needs_folder("more than one recording")),
            None => Target::StandardOutput,
        };
        let mut names = files::names(&inputs);
        if let Some(name) = &args.output_name {
            if inputs.len() > 1 {
                return Err(usage_error(
                    "transcribe",
                    "--output-name is for one recording: several would overwrite each other",
                ));
            }
            names = vec![name.clone(); inputs.len()];
        }
        let jobs = inputs
            .into_iter()
            .zip(names)
            .map(|(input, name)| Job { input, name })
            .collect();
        Ok(Plan {
            jobs,
            formats,
            target,
            overwrite: !args.no_overwrite,
            strict: args.sound.strict,
        })
    }
}

fn formats(asked: OutputFormat) -> Vec<Format> {
    match asked {
        OutputFormat::Txt => vec![Format::Txt],
        OutputFormat::Vtt => vec![Format::Vtt],
        OutputFormat::Srt => vec![Format::Srt],
        OutputFormat::Tsv => vec![Format::Tsv],
        OutputFormat::Json => vec![Format::Json],
        OutputFormat::Lrc => vec![Format::Lrc],
        OutputFormat::Csv => vec![Format::Csv],
        OutputFormat::All => Format::ALL.to_vec(),
    }
}

/// How it went with a recording.
struct Row {
    input: String,
    took: Duration,
    end: End,
}

enum End {
    Written { duration_s: f64, language: &'static str },
    Skipped,
    Failed,
}

/// Each recording in turn. An error of standard output ends everything; any other is that recording's.
fn transcribe_all(
    plan: &Plan,
    model: &ModelUsed,
    console: &Console,
    mut transcribe: impl FnMut(&Input, &mut dyn Listener) -> anyhow::Result<Heard>,
) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (index, job) in plan.jobs.iter().enumerate() {
        let began = Instant::now();
        let end = match one(plan, job, index, model, console, &mut transcribe) {
            Ok(end) => end,
            Err(error) if error.chain().any(|cause| cause.is::<StandardOutput>()) => return Err(error),
            Err(error) => {
                console.error(format_args!("{error:#}"));
                End::Failed
            }
        };
        rows.push(Row {
            input: job.input.to_string(),
            took: began.elapsed(),
            end,
        });
    }
    Ok(rows)
}

fn one(
    plan: &Plan,
    job: &Job,
    index: usize,
    model: &ModelUsed,
    console: &Console,
    transcribe: &mut impl FnMut(&Input, &mut dyn Listener) -> anyhow::Result<Heard>,
) -> anyhow::Result<End> {
    let files = match &plan.target {
        Target::StandardOutput => Vec::new(),
        Target::Folder(folder) => plan
            .formats
            .iter()
            .map(|&format| (format, file(folder, &job.name, format)))
            .collect(),
    };
    if !plan.overwrite && files.iter().all(|(_, path)| path.exists()) {
        console.note(format_args!("{}: skipped, its files exist", job.input));
        return Ok(End::Skipped);
    }

    let began = Instant::now();
    let label = if plan.jobs.len() > 1 {
        format!("[{}/{}] {}", index + 1, plan.jobs.len(), job.input)
    } else {
        job.input.to_string()
    };
    let mut listener = Live {
        format: matches!(plan.target, Target::StandardOutput).then(|| plan.formats[0]),
        found: 0,
        console,
        progress: console.progress(&label),
    };
    listener.begin()?;
    let Heard {
        transcript,
        duration_s,
        damaged,
    } = transcribe(&job.input, &mut listener)?;
    if let Some(format) = listener.format {
        console
            .result(&end_of_line(format.tail(&transcript, model)))
            .map_err(StandardOutput)?;
    }
    drop(listener);

    for (format, path) in files.iter().filter(|(_, path)| plan.overwrite || !path.exists()) {
        files::write_whole(path, &format.render(&transcript, model))
            .with_context(|| format!("{}: cannot be written", path.display()))?;
        console.detail(format_args!("{} -> {}", job.input, path.display()));
    }
    let took = began.elapsed().as_secs_f64();
    console.detail(format_args!(
        "{}: {duration_s:.1} s in {took:.1} s ({:.1}x)",
        job.input,
        duration_s / took
    ));
    if damaged && plan.strict {
        bail!(
            "{}: damaged, which --strict does not forgive; what could be read is written",
            job.input
        );
    }
    Ok(End::Written {
        duration_s,
        language: transcript.language.code(),
    })
}

/// `NAME.EXT`; what looks like an extension in the name stays: `talk.v1.txt`, `talk.v2.txt`.
fn file(folder: &Path, name: &str, format: Format) -> PathBuf {
    folder.join(format!("{name}.{}", format.extension()))
}

/// Shows segments and progress as they come.
struct Live<'a> {
    /// The form on standard output, if any.
    format: Option<Format>,
    found: usize,
    console: &'a Console,
    progress: Progress<'a>,
}

impl Live<'_> {
    fn begin(&self) -> anyhow::Result<()> {
        match self.format {
            Some(format) => self.print(format.head()),
            None => Ok(()),
        }
    }

    fn print(&self, text: &str) -> anyhow::Result<()> {
        Ok(self.console.result(text).map_err(StandardOutput)?)
    }
}

impl Listener for Live<'_> {
    fn segment(&mut self, segment: &Segment) -> anyhow::Result<()> {
        if let Some(format) = self.format {
            self.print(&format.segment(self.found, segment))?;
        }
        self.found += 1;
        Ok(())
    }

    fn progress(&mut self, done_s: f64, total_s: f64) {
        self.progress.set(done_s, total_s);
    }

    fn warning(&mut self, warning: &str) {
        self.console.warning(warning);
    }
}

/// mlx_whisper's json files have no end of line; on a terminal the prompt should not follow the brace.
fn end_of_line(text: String) -> String {
    if text.is_empty() { text } else { text + "\n" }
}

/// Standard output cannot be written: no fault of a recording.
#[derive(Debug)]
struct StandardOutput(io::Error);

impl std::fmt::Display for StandardOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("standard output")
    }
}

impl std::error::Error for StandardOutput {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// How it went with all of them.
fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.input.chars().count()).max().unwrap_or(0);
    let mut table = format!(
        "{:width$}  {:>8}  {:>8}  {:>6}  language\n",
        "recording", "audio", "took", "speed"
    );
    for row in rows {
        let took = row.took.as_secs_f64();
        let rest = match &row.end {
            End::Written { duration_s, language } => {
                let speed = format!("{:.1}x", duration_s / took.max(1e-3));
                format!("{:>8}  {took:>6.1} s  {speed:>6}  {language}", clock(*duration_s))
            }
            End::Skipped => format!("{:>8}", "skipped"),
            End::Failed => format!("{:>8}", "failed"),
        };
        table += &format!("{:width$}  {rest}\n", row.input);
    }
    let failed = rows.iter().filter(|row| matches!(row.end, End::Failed)).count();
    table + &format!("{} of {} done, {failed} failed\n", rows.len() - failed, rows.len())
}

#[cfg(test)]
mod tests;
