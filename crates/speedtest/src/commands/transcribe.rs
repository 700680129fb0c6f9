//! `transcribe`: recordings in, text out.

pub(crate) mod args;
mod live;
mod plan;
mod table;
#[cfg(test)]
mod tests;

use std::fs;
use std::time::Instant;

use anyhow::{Context, bail};

use super::Outcome;
use crate::bundled::BUNDLED;
use crate::cli::usage_error;
use crate::console::{Causes, Console};
use crate::engine::{self, Engine, Heard, Listener, Network, Origin};
use crate::inputs::{self, Input};
use crate::model_names::Source;
use crate::output::{ModelUsed, Writer};
use crate::store::download::first_that_works;
use crate::{device, files, interrupt, model_names};

pub(crate) use args::TranscribeArgs;
use live::{Live, StandardOutput};
use plan::{Job, Plan, Target};
use table::{End, Row, table};

/// Transcribes every recording; one that fails does not stop the rest.
pub(crate) fn run(args: &TranscribeArgs, console: &Console) -> anyhow::Result<Outcome> {
    let (inputs, problems) = inputs::expand(&args.audio);
    let plan = Plan::new(args, inputs)?;
    let source = model_names::resolve(&args.model).map_err(|problem| usage_error("transcribe", problem))?;
    let options = engine::options(args).and_then(|options| Ok(options.check()?));
    options.map_err(|problem| usage_error("transcribe", format!("{problem:#}")))?;
    interrupt::end_on_ctrl_c()?;

    for warning in args.foreign.warnings().into_iter().chain(args.words.warnings()) {
        console.warning(warning);
    }
    for problem in &problems {
        console.error(Causes(problem));
    }
    if plan.jobs.is_empty() {
        return Ok(Outcome::SomeFailed);
    }
    if let Target::Folder(folder) = &plan.target {
        fs::create_dir_all(folder).with_context(|| format!("{}: cannot make this folder", folder.display()))?;
        files::try_folder(folder).with_context(|| format!("{}: cannot write into this folder", folder.display()))?;
        if args.output_dir.is_none() {
            console.note("files go into the current folder; --output-dir names another");
        }
    }
    if args.model == model_names::DEFAULT {
        console.note(default_model_note());
    }
    let engine = load(&source, args, console)?;
    console.detail(format_args!(
        "device: {}, {}",
        engine.used().device,
        engine.used().compute
    ));
    let rows = transcribe_all(&plan, engine.used(), console, |input, listener| {
        engine.transcribe(input, args, listener)
    })?;

    if rows.len() > 1 {
        console.note(table(&rows).trim_end());
    }
    let failed = !problems.is_empty() || rows.iter().any(|row| matches!(row.end, End::Failed));
    Ok(if failed { Outcome::SomeFailed } else { Outcome::Done })
}

/// The engine with the model asked for, which is downloaded where it is missing.
fn load(source: &Source, args: &TranscribeArgs, console: &Console) -> anyhow::Result<Engine> {
    let (computing, compat) = (&args.computing, engine::compat(args));
    let mlx = device::choose(computing, console)?;
    let mlx = mlx.as_ref();
    let engine = match source {
        Source::Bundled => Engine::load(Origin::Bundled, computing, compat, mlx)?,
        Source::Folder(folder) => Engine::load(Origin::Folder(folder), computing, compat, mlx)?,
        Source::Repository { primary, fallback } => {
            let (engine, fallback) =
                first_that_works(primary, fallback.as_deref(), &args.sources, console, |snapshot| {
                    Engine::load(Origin::Snapshot(&snapshot), computing, compat, mlx)
                })?;
            engine.with_fallback(fallback)
        }
    };
    if mlx.is_some() && matches!(engine.network(), Network::Cpu(_)) {
        console.note("the processor computes: `benchmark --tune` found it faster for this model than the GPU");
    }
    Ok(engine)
}

fn default_model_note() -> &'static str {
    match BUNDLED {
        Some(_) => "model: bundled (Whisper base, 5 bits); `--model large` hears far better",
        None => "model: base (this program was built without the bundled model); `--model large` hears far better",
    }
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
                console.error(Causes(&error));
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
    let files = plan.files(job);
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
    let printed = matches!(plan.target, Target::StandardOutput).then(|| Writer::new(plan.formats[0], plan.layout));
    let mut live = Live::begin(printed, console, console.progress(&label))?;
    let Heard {
        transcript,
        duration_s,
        damaged,
    } = transcribe(&job.input, &mut live)?;
    live.end(&transcript, model)?;

    for (format, path) in files.iter().filter(|(_, path)| plan.overwrite || !path.exists()) {
        files::write_whole(path, &format.render(plan.layout, &transcript, model))
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
