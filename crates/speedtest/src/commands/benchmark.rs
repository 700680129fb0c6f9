//! `benchmark`: which implementation is fastest on this machine, and is it right?

mod args;
mod install;
mod processes;
mod record;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};

use self::args::Asked;
use self::processes::Processes;
use super::Outcome;
use crate::accuracy::{self, Reference, References};
use crate::bench::machine::{self, Machine};
use crate::bench::measurement::{Agreement, Results, Settings};
use crate::bench::noise::{self, Ticks};
use crate::bench::plan::{Candidate, Plan, Sound, Sounds};
use crate::bench::runner;
use crate::bench::stats::ENOUGH;
use crate::bundled::{RECORDING, RECORDING_NAME, RECORDING_TEXT};
use crate::cli::{Compute, usage_error};
use crate::console::{Causes, Console};
use crate::device::{self, Device};
use crate::engine::{self, Origin};
use crate::implementation::{Here, Implementation};
use crate::inputs::{self, Input};
use crate::report::{self, Form};
use crate::tuning::{self, Way};
use crate::{files, implementations, interrupt};

pub(crate) use args::BenchmarkArgs;
pub(crate) use args::Places;

pub(super) fn run(args: &BenchmarkArgs, console: &Console) -> anyhow::Result<Outcome> {
    let usage = |problem| usage_error("benchmark", problem);
    let asked = args.asked().map_err(usage)?;
    let exports = exports(&args.export).map_err(usage)?;
    let here = args.here();
    if args.device == Device::Mlx {
        device::ready(console)?;
    }
    let named = named(&asked, &args.device, &here, console).map_err(usage)?;
    if args.install && named.is_empty() {
        return Err(usage("--install: name what to install, with --implementation".into()).into());
    }
    if args.tune && args.compute != Compute::Auto {
        return Err(usage("--tune is to find the best arithmetic: leave --compute out".into()).into());
    }
    interrupt::end_on_ctrl_c()?;
    install::missing(args, &named, &here, console)?;
    let mut candidates = candidates(&asked, &named, &args.device, &here, console);

    let (sounds, some_failed) = sounds(args, console)?;
    if args.tune {
        candidates = with_all_ways(candidates, sounds.ready())?;
    }
    let plan = Plan {
        settings: settings(args, &asked),
        sounds: sounds.ready().to_vec(),
        candidates,
    };
    if plan.candidates.iter().all(|candidate| candidate.ready.is_err()) {
        for candidate in &plan.candidates {
            let why = candidate
                .ready
                .as_ref()
                .err()
                .map_or(String::new(), ToString::to_string);
            console.error(format_args!("{} {}: {why}", candidate.implementation, candidate.model));
        }
        bail!("nothing to measure: `whisper-speedtest implementations` says what is ready here");
    }

    let idle = quiet_moment();
    let before = Ticks::now();
    let mut world = Processes::new(console, &exports);
    let started = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let mut results = runner::run(&plan, Machine::here(), started, &mut world);
    let host = before
        .zip(Ticks::now())
        .and_then(|(before, after)| noise::of_host(before, after));
    results.warnings.extend(idle.into_iter().chain(host));
    agree(&mut results, &plan.sounds);
    drop(world);

    save(&results, &exports)?;
    if args.json {
        console.result(&Form::Json.render(&results))?;
    } else {
        console.coloured_result(&report::table(&results, console.colours_results()))?;
    }
    if args.tune {
        let ready = plan.candidates.iter().map(|candidate| candidate.ready.as_ref().ok());
        let weights: Vec<_> = ready
            .map(|ready| ready.and_then(|(_, weights)| weights.path.clone()))
            .collect();
        let said = tuning::keep(&results, &weights).context("--tune")?;
        said.iter().for_each(|line| console.note(line));
    }
    let failed = some_failed || results.entries.iter().any(|entry| entry.obstacle().is_some());
    Ok(if failed { Outcome::SomeFailed } else { Outcome::Done })
}

/// Where results go, in which form.
fn exports(paths: &[PathBuf]) -> Result<Vec<(PathBuf, Form)>, String> {
    paths.iter().map(|path| Ok((path.clone(), Form::of(path)?))).collect()
}

fn save(results: &Results, exports: &[(PathBuf, Form)]) -> anyhow::Result<()> {
    for (path, form) in exports {
        files::write_whole(path, &form.render(results))
            .with_context(|| format!("{}: cannot be written", path.display()))?;
    }
    Ok(())
}

/// The implementations named; none means all that are ready.
fn named(
    asked: &Asked,
    device: &Device,
    here: &Here,
    console: &Console,
) -> Result<Vec<&'static dyn Implementation>, String> {
    let names = asked.implementations.iter();
    names.map(|name| find(name, device, here, console)).collect()
}

/// Every implementation with every model; of those that nobody has named, only what is ready.
fn candidates(
    asked: &Asked,
    named: &[&'static dyn Implementation],
    device: &Device,
    here: &Here,
    console: &Console,
) -> Vec<Candidate> {
    let (ours, left_out) = match device {
        Device::Mlx => ("native-mlx", "native"),
        Device::Cpu => ("native", "native-mlx"),
        Device::Auto | Device::Foreign(_) => ("native", ""),
    };
    let ready: Vec<_> = implementations::ALL
        .iter()
        .copied()
        .filter(|implementation| implementation.id() != left_out)
        .collect();
    let all = if named.is_empty() { &ready } else { named };
    let mut candidates = Vec::new();
    for model in &asked.models {
        for implementation in all {
            let candidate = Candidate::new(*implementation, model, here);
            match &candidate.ready {
                Err(why) if named.is_empty() && implementation.id() != ours => {
                    console.detail(format_args!(
                        "{} {} is left out: {why}",
                        candidate.implementation, candidate.model
                    ));
                }
                _ => candidates.push(candidate),
            }
        }
    }
    candidates
}

/// Each native-mlx that is ready is followed by itself in every other way to compute.
///
/// # Errors
/// There is none; its weights are no Whisper's.
fn with_all_ways(candidates: Vec<Candidate>, sounds: &[Sound]) -> anyhow::Result<Vec<Candidate>> {
    const LONG: f64 = 60.0; // from here on there are several windows
    let is_ours = |candidate: &Candidate| candidate.implementation == "native-mlx";
    if !candidates.iter().any(is_ours) {
        bail!(
            "--tune compares ways to compute on MLX, and native-mlx is not measured; `{}` makes it ready",
            device::ENABLE
        );
    }
    let is_long = sounds.iter().any(|sound| sound.recording.seconds >= LONG);
    let mut all = Vec::new();
    for candidate in candidates {
        let Some((start, weights)) = candidate.ready.as_ref().ok().filter(|_| is_ours(&candidate)) else {
            all.push(candidate);
            continue;
        };
        let origin = weights.path.as_deref().map_or(Origin::Bundled, Origin::Folder);
        let (_, checkpoint) = engine::open(origin)?;
        let enabled = device::enabled().context("MLX is not ready any more")?;
        let others = tuning::ways(&checkpoint, enabled.about.device, is_long);
        for way in [Way::Usual].into_iter().chain(others) {
            let mut start = start.clone();
            start.arguments.extend(["--way".into(), way.name().into()]);
            all.push(Candidate {
                implementation: way.row(),
                ready: Ok((start, weights.clone())),
                ..candidate.clone()
            });
        }
    }
    Ok(all)
}

/// The implementation that a name means. The class of mac-whisper-speedtest that ran MLX is our engine: on the GPU where that is
/// ready, or on MLX where `--device` says so, else on the processor, and a line says which.
fn find(name: &str, device: &Device, here: &Here, console: &Console) -> Result<&'static dyn Implementation, String> {
    let meant = implementations::find(name)?;
    if meant.alias() != Some(name) || meant.id() != "native" {
        return Ok(meant);
    }
    let on_gpu = device::enabled().is_some_and(|enabled| enabled.about.device != mlx::Device::Cpu);
    let is_wanted = *device == Device::Mlx || *device != Device::Cpu && on_gpu;
    let on_mlx = implementations::find("native-mlx")?;
    let taken = if is_wanted && on_mlx.start(here).is_ok() {
        on_mlx
    } else {
        meant
    };
    console.note(format_args!("{name}: {}, {}", taken.id(), taken.about()));
    Ok(taken)
}

fn settings(args: &BenchmarkArgs, asked: &Asked) -> Settings {
    Settings {
        runs: asked.runs,
        // Fewer do not tell who is faster.
        min_runs: if args.tune {
            args.min_runs.max(ENOUGH)
        } else {
            args.min_runs
        },
        min_seconds: args.min_seconds,
        max_seconds: args.max_seconds,
        warmup: args.warmup,
        cool_down: args.cool_down,
        timeout: args.timeout,
        interleaved: !args.no_interleave,
        seed: args.seed,
        threads: args.threads.map_or_else(machine::threads, Into::into),
        wer_margin: args.wer_margin,
    }
}

/// The recordings asked for, decoded; and whether one of them could not be.
fn sounds(args: &BenchmarkArgs, console: &Console) -> anyhow::Result<(Sounds, bool)> {
    let mut sounds = Sounds::new()?;
    let recorded = if args.record {
        vec![record::record(console)?]
    } else {
        Vec::new()
    };
    let audio: Vec<PathBuf> = args.audio.iter().cloned().chain(recorded).collect();
    if audio.is_empty() {
        add_bundled(&mut sounds)?;
        return Ok((sounds, false));
    }
    let language = args.language.map(|language| language.code().to_owned());
    let references = references(args, language.as_deref().unwrap_or("en"))?;
    let (inputs, problems) = inputs::expand(&audio);
    if inputs.len() > 1 && matches!(references, Some(References::Text(_))) {
        let problem = format!(
            "--reference is one text, and there are {} recordings: give a table, `file, reference[, language]` with tabs",
            inputs.len()
        );
        return Err(usage_error("benchmark", problem).into());
    }
    let mut failed = !problems.is_empty();
    for problem in problems {
        console.error(Causes(&problem));
    }
    for input in inputs {
        let path = match &input {
            Input::File(path) => path.clone(),
            Input::Stdin => PathBuf::from("-"),
        };
        let reference = references.as_ref().and_then(|references| references.of(&path)).cloned();
        let of_manifest = reference
            .as_ref()
            .filter(|_| matches!(references, Some(References::Manifest(_))));
        let language = language
            .clone()
            .or_else(|| of_manifest.map(|reference| reference.language.clone()));
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        match sounds.add(&name, &path, reference, language) {
            Ok(warnings) => warnings
                .iter()
                .for_each(|warning| console.warning(format_args!("{input}: {warning}"))),
            Err(error) => {
                failed = true;
                console.error(Causes(&error));
            }
        }
    }
    if sounds.ready().is_empty() {
        bail!("no recording to measure with");
    }
    Ok((sounds, failed))
}

fn add_bundled(sounds: &mut Sounds) -> anyhow::Result<()> {
    let recording = RECORDING.context("this program was built without its recording: name one with --audio")?;
    let file = tempfile::Builder::new().suffix(".flac").tempfile()?;
    fs::write(file.path(), recording)?;
    let reference = Reference {
        text: RECORDING_TEXT.into(),
        language: "en".into(),
    };
    sounds.add(RECORDING_NAME, file.path(), Some(reference), Some("en".into()))?;
    Ok(())
}

/// `--reference` is a file, a manifest or a text; or the text itself, where there is no such file.
fn references(args: &BenchmarkArgs, language: &str) -> anyhow::Result<Option<References>> {
    let Some(reference) = &args.reference else {
        return Ok(None);
    };
    let path = Path::new(reference);
    if path.is_file() {
        return References::read(path, language).map(Some);
    }
    if looks_like_a_file(reference) {
        let problem = format!("--reference {reference}: no such file; what was said, if that is meant, has more words");
        return Err(usage_error("benchmark", problem).into());
    }
    Ok(Some(References::Text(Reference {
        text: reference.clone(),
        language: language.to_owned(),
    })))
}

/// One word with a slash, or with a dot and an ending: rather a name with a mistake in it than something said.
fn looks_like_a_file(text: &str) -> bool {
    let has_ending = Path::new(text).extension().is_some_and(|ending| ending.len() <= 5);
    !text.contains(char::is_whitespace) && (text.contains(['/', '\\']) || has_ending)
}

/// Whether somebody else is at work; takes a moment.
fn quiet_moment() -> Option<String> {
    let before = Ticks::now()?;
    thread::sleep(Duration::from_millis(300));
    noise::of_idle(before, Ticks::now()?)
}

/// Where it is not known what was said, the first text that there is becomes the measure of the others.
fn agree(results: &mut Results, sounds: &[Sound]) {
    for (number, _) in sounds.iter().enumerate().filter(|(_, sound)| sound.reference.is_none()) {
        let texts = results.entries.iter().filter_map(|entry| {
            let row = entry.rows.get(number)?;
            Some((entry.implementation.clone(), row.text.clone()?, row.language.clone()))
        });
        let Some((with, text, language)) = texts.into_iter().next() else {
            continue;
        };
        let reference = Reference {
            text,
            language: language.unwrap_or_else(|| "en".into()),
        };
        let mut is_first = true;
        for row in results
            .entries
            .iter_mut()
            .filter_map(|entry| entry.rows.get_mut(number))
        {
            let Some(text) = &row.text else { continue };
            if !std::mem::take(&mut is_first)
                && let Ok(differences) = accuracy::accuracy(&reference, text)
            {
                row.agreement = Some(Agreement {
                    with: with.clone(),
                    differences,
                });
            }
        }
    }
}
