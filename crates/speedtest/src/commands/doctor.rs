//! `doctor`: what this program finds on this machine.

use std::collections::BTreeMap;

use clap::Args;
use hub::{Cache, Env, Files, RepoId, Request};
use indicatif::DecimalBytes;
use mlx::{Candidate, Enabled};
use serde_json::{Value, json};

use super::Outcome;
use super::benchmark::Places;
use crate::bench::machine::Machine;
use crate::bundled::BUNDLED;
use crate::columns::columns;
use crate::console::Console;
use crate::device;
use crate::implementations;
use crate::store::download::{Downloader, Network};
use crate::store::{Store, request};

/// Say what is found on this machine: processor, memory, disk, models, decoders, implementations
#[derive(Args, Debug)]
#[command(after_help = HELP)]
pub(crate) struct DoctorArgs {
    /// Also ask the Hub whether it can be reached
    #[arg(long)]
    online: bool,
    /// Compile the connection to the MLX that is installed, try it, and use its GPU from now on
    #[arg(long, value_parser = ["mlx"], value_name = "WHAT")]
    enable: Option<String>,
    #[command(flatten)]
    places: Places,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Examples:
  whisper-speedtest doctor --online
  whisper-speedtest doctor --enable mlx";

/// Looks at everything; exit code 1 where the Hub was to be reached and is not.
pub(super) fn run(args: &DoctorArgs, console: &Console) -> anyhow::Result<Outcome> {
    if args.enable.is_some() {
        let enabled = device::enable(console)?;
        console.note(format_args!("ready: {}", mlx_in_words(&enabled)));
    }
    let here = args.places.here();
    let store = here.models.store();
    let found_mlx = mlx::Places::here().candidates();
    let enabled = device::enabled();
    let machine = Machine::here();
    let ffmpeg = here.on_path("ffmpeg");
    let rivals: Vec<(&str, Result<(), String>)> = implementations::ALL
        .iter()
        .map(|one| (one.id(), one.start(&here).map(drop).map_err(|why| why.to_string())))
        .collect();
    let hub = args.online.then(|| online(args, console));
    let reached = hub.as_ref().is_none_or(Result::is_ok);

    let caches: Vec<(&str, Cache)> = match &store.caches()[..] {
        [only] => vec![("models", only.clone())],
        _ => vec![
            ("models", store.own().clone()),
            ("models of all programs", store.shared().clone()),
        ],
    };
    if args.json {
        let caches: Vec<Value> = caches
            .iter()
            .map(|(name, cache)| cache_json(name, cache, &store))
            .collect();
        let rivals: Vec<Value> = rivals
            .iter()
            .map(|(id, ready)| json!({"implementation": id, "ready": ready.is_ok(), "reason": ready.as_ref().err()}))
            .collect();
        let all = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "machine": machine,
            "bundled_model": BUNDLED.is_some(),
            "caches": caches,
            "decoders": DECODERS,
            "ffmpeg": ffmpeg,
            "mlx": {
                "ready": enabled.as_ref().map(|ready| json!({"folder": ready.installation.folder, "about": ready.about})),
                "found": found_mlx.iter().map(candidate_json).collect::<Vec<_>>(),
            },
            "implementations": rivals,
            "hub": hub.as_ref().map(|hub| match hub {
                Ok(text) => json!({"reached": true, "answer": text}),
                Err(error) => json!({"reached": false, "reason": error}),
            }),
        });
        console.result(&format!("{}\n", serde_json::to_string_pretty(&all)?))?;
    } else {
        let mut lines: Vec<[String; 2]> = vec![
            ["version".into(), env!("CARGO_PKG_VERSION").into()],
            [
                "processor".into(),
                format!("{}, {} threads", machine.cpu, machine.logical_cores),
            ],
            ["instruction set".into(), machine.instruction_set.clone()],
            ["memory".into(), DecimalBytes(machine.memory_bytes).to_string()],
            ["system".into(), machine.system.clone()],
            [
                "bundled model".into(),
                if BUNDLED.is_some() { "yes" } else { "no" }.into(),
            ],
        ];
        for (name, cache) in &caches {
            lines.push([(*name).to_owned(), describe(cache, &store)]);
        }
        lines.push(["decoders".into(), DECODERS.join(", ")]);
        let found = ffmpeg.map_or("not found: only a few rare formats need it".into(), |path| {
            path.display().to_string()
        });
        lines.push(["ffmpeg".into(), found]);
        lines.extend(mlx_lines(enabled.as_ref(), &found_mlx));
        for (id, ready) in &rivals {
            lines.push([
                (*id).to_owned(),
                ready.as_ref().map_or_else(Clone::clone, |()| "ready".to_owned()),
            ]);
        }
        lines.push(["Hub".into(), asked_how()]);
        match &hub {
            None => lines.push(["network".into(), "not asked (--online asks the Hub)".into()]),
            Some(Ok(text) | Err(text)) => lines.push(["network".into(), text.clone()]),
        }
        console.result(&columns(&lines))?;
    }
    Ok(if reached { Outcome::Done } else { Outcome::SomeFailed })
}

/// What is decoded without ffmpeg: see docs/formats.md.
const DECODERS: [&str; 9] = [
    "WAV",
    "AIFF",
    "CAF",
    "FLAC",
    "MP3",
    "AAC and ALAC in MP4",
    "Vorbis",
    "Opus",
    "AVI",
];

/// What is ready, then every place where an MLX was looked for and found, and what speaks against it.
fn mlx_lines(enabled: Option<&Enabled>, found: &[Candidate]) -> Vec<[String; 2]> {
    let ready = match (enabled, found.iter().any(|candidate| candidate.verdict.is_ok())) {
        (Some(enabled), _) => format!("ready: {}", mlx_in_words(enabled)),
        (None, true) => format!("not in use: `{}` makes it ready", device::ENABLE),
        (None, false) => format!("none is installed: {}", mlx::HOW_TO_INSTALL),
    };
    let mut lines = vec![["MLX".to_owned(), ready]];
    for candidate in found {
        let verdict = match &candidate.verdict {
            Ok(installation) => format!("version {}", installation.version),
            Err(problem) => format!("refused: {problem}"),
        };
        let text = format!("{} ({}): {verdict}", candidate.folder.display(), candidate.source);
        lines.push([String::new(), text]);
    }
    lines
}

/// `MLX 0.32.4 on metal, in /opt/homebrew/opt/mlx`
fn mlx_in_words(enabled: &Enabled) -> String {
    let about = &enabled.about;
    let device = match (about.device, &about.openblas) {
        (mlx::Device::Metal, _) => "the GPU".to_owned(),
        (mlx::Device::Cuda, _) => "a GPU of NVIDIA".to_owned(),
        (mlx::Device::Cpu, Some(blas)) => format!("the processor, with {}", blas.display()),
        (mlx::Device::Cpu, None) if cfg!(target_os = "macos") => "the processor".to_owned(),
        (mlx::Device::Cpu, None) => "the processor, without OpenBLAS".to_owned(),
    };
    format!(
        "MLX {} on {device}, in {}",
        about.version,
        enabled.installation.folder.display()
    )
}

fn candidate_json(candidate: &Candidate) -> Value {
    json!({
        "source": candidate.source,
        "folder": candidate.folder,
        "version": candidate.verdict.as_ref().ok().map(|installation| installation.version.to_string()),
        "refused": candidate.verdict.as_ref().err(),
    })
}

/// How many models of a cache are in which state; those of other programs, whole in their own form, apart.
fn describe(cache: &Cache, store: &Store) -> String {
    let mut counts = BTreeMap::new();
    for repo in cache.repos() {
        *counts.entry(state(cache, &repo)).or_insert(0) += 1;
    }
    let mut said: Vec<String> = counts.iter().map(|(state, n)| format!("{n} {state}")).collect();
    if said.is_empty() {
        said.push("no models".to_owned());
    }
    if let Some(free) = cache.free().filter(|_| cache == store.own()) {
        said.push(format!("{} free", DecimalBytes(free)));
    }
    format!("{}: {}", cache.root().display(), said.join(", "))
}

fn state(cache: &Cache, repo: &RepoId) -> String {
    let request = request(repo);
    let state = cache.glance(&request).state;
    let files = Files::Held;
    if !state.is_usable() && cache.glance(&Request { files, ..request }).state.is_usable() {
        return "of other programs".to_owned();
    }
    state.to_string()
}

fn cache_json(name: &str, cache: &Cache, store: &Store) -> Value {
    let models: Vec<Value> = cache
        .repos()
        .iter()
        .map(|repo| json!({"repository": repo.to_string(), "state": state(cache, repo)}))
        .collect();
    json!({
        "name": name,
        "folder": cache.root(),
        "own": cache == store.own(),
        "free_bytes": cache.free(),
        "models": models,
    })
}

/// Which Hub would be asked, and as whom; no token is shown.
fn asked_how() -> String {
    let env = Env::process();
    let token = match env.token() {
        Ok(Some(_)) => "with a token".to_owned(),
        Ok(None) => "without a token".to_owned(),
        Err(error) => error.to_string(),
    };
    let offline = if env.is_offline() {
        "; HF_HUB_OFFLINE forbids it"
    } else {
        ""
    };
    format!("{}, {token}{offline}", hub::printable(&env.endpoint()))
}

/// Whether the Hub answers; anything but an outage is an answer.
fn online(args: &DoctorArgs, console: &Console) -> Result<String, String> {
    let here = args.places.here();
    let downloader =
        Downloader::new(&here.models, &Network::default(), console).map_err(|error| format!("{error:#}"))?;
    let repo = "mlx-community/whisper-large-v3-turbo";
    match downloader.newest(&request(&repo.parse().map_err(|error: hub::Error| error.to_string())?)) {
        Ok(commit) => Ok(format!("the Hub answers: {repo} is at {commit}")),
        Err(error) if error.is_outage() => Err(error.to_string()),
        Err(error) => Ok(format!("the Hub answers, but: {error}")),
    }
}
