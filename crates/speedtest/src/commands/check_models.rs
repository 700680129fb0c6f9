//! `check-models`: is everything here that a measurement needs? Looks, and never fetches: no type with which one could is
//! named in this file, and what is asked to be fetched is handed over as plain data.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hub::{Cache, Cancel, Depth, RepoId, Report, Request, State};
use indicatif::DecimalBytes;
use serde::Serialize;

use super::Outcome;
use crate::cli::{Compute, ComputeArgs, usage_error};
use crate::columns::columns;
use crate::console::Console;
use crate::engine::{Engine, Origin};
use crate::implementation::{Implementation, ModelOf};
use crate::model_names::{self, Source};
use crate::store::{ModelsDir, Store, Told, request, why};
use crate::{implementations, interrupt};

/// Check which models are on disk for which implementation, without a network
///
/// Exit code 0 says that all asked about is ready.
#[derive(Args, Debug)]
#[command(after_help = HELP)]
pub(crate) struct CheckModelsArgs {
    /// A name or a repository; may be repeated [default: all names]
    #[arg(short, long, value_name = "MODEL", value_delimiter = ',')]
    model: Vec<String>,
    /// Implementations, by name or by their class in mac-whisper-speedtest
    #[arg(short, long, value_name = "LIST", value_delimiter = ',', default_value = "native")]
    implementations: Vec<String>,
    /// How closely to look
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    verify: Verify,
    #[command(flatten)]
    pub(super) dir: ModelsDir,
    /// Then download what is missing
    #[arg(long)]
    download: bool,
    /// Then fetch again what is wrong
    #[arg(long)]
    repair: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Examples:
  whisper-speedtest check-models --model large
  whisper-speedtest check-models --model medium --implementations MLXWhisperImplementation
  whisper-speedtest check-models --model tiny --verify hash --json";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Verify {
    /// Links, sizes and the form of each file: milliseconds
    #[default]
    Structure,
    /// Also every byte: about a second a gigabyte
    Hash,
    /// Also load the model; of other implementations than our own, as hash
    Load,
}

/// What would make all ready: handed over, not done here.
#[derive(Debug, Default)]
pub(crate) struct Todo {
    pub(super) download: Vec<Request>,
    pub(super) repair: Vec<(Cache, Request)>,
    /// Something is not ready that nobody has asked to be made so.
    pub(super) left: bool,
}

/// An implementation with a repository.
#[derive(Serialize)]
struct Row {
    implementation: String,
    model: String,
    repository: String,
    fallback: bool,
    huggingface_cache: Cell,
    local_cache: Cell,
    /// Bytes that have to be fetched; absent where nobody here knows.
    needed_bytes: Option<u64>,
    ready: bool,
}

/// A repository in a cache.
#[derive(Clone, Serialize)]
struct Cell {
    cache: PathBuf,
    state: String,
    bytes: u64,
    partial_bytes: u64,
    missing_bytes: Option<u64>,
    reason: Option<String>,
    #[serde(skip)]
    found: State,
}

#[derive(Serialize)]
struct Checked {
    ready: bool,
    rows: Vec<Row>,
    disk_usage_bytes: u64,
    needed_bytes: u64,
    /// Models to be fetched whose size nobody here knows.
    of_unknown_size: usize,
    /// Where downloads go.
    models_dir: PathBuf,
    free_bytes: Option<u64>,
}

/// Looks, prints, and says what would have to be done.
pub(super) fn run(args: &CheckModelsArgs, console: &Console) -> anyhow::Result<(Outcome, Todo)> {
    let usage = |problem: String| usage_error("check-models", problem);
    let chosen = args.implementations.iter().map(|name| implementations::find(name));
    let chosen = chosen.collect::<Result<Vec<_>, _>>().map_err(usage)?;
    let mut asked = Vec::new();
    for implementation in chosen {
        for (model, source) in models(implementation, &args.model).map_err(usage)? {
            asked.push((implementation, model, source));
        }
    }
    interrupt::end_on_ctrl_c()?;

    let store = args.dir.store();
    let (mut rows, mut todo) = (Vec::new(), Todo::default());
    let mut ready = true;
    for (implementation, model, source) in &asked {
        let Source::Repository { primary, fallback } = source else {
            continue; // inside the program, or a folder of the user's own
        };
        let look = |repository: &String, is_fallback| {
            let repo = repository.parse()?;
            row(
                implementation.id(),
                model,
                &repo,
                is_fallback,
                args.verify,
                &store,
                console,
            )
        };
        let mut first = look(primary, false)?;
        let second = fallback.as_ref().map(|fallback| look(fallback, true)).transpose()?;
        let is_ready = first.ready || second.as_ref().is_some_and(|second| second.ready);
        if is_ready {
            first.needed_bytes = Some(0); // its fallback does
        } else {
            todo.add(&first, &store)?;
        }
        ready &= is_ready;
        rows.push(first);
        rows.extend(second);
    }
    let checked = Checked::new(rows, ready, &store);
    if args.json {
        console.result(&format!("{}\n", serde_json::to_string_pretty(&checked)?))?;
    } else {
        console.result(&checked.table())?;
    }
    if !args.download {
        todo.left |= !std::mem::take(&mut todo.download).is_empty();
    }
    if !args.repair {
        todo.left |= !std::mem::take(&mut todo.repair).is_empty();
    }
    Ok((if ready { Outcome::Done } else { Outcome::SomeFailed }, todo))
}

/// The models asked about, as the implementation knows them.
fn models(implementation: &dyn Implementation, names: &[String]) -> Result<Vec<(String, Source)>, String> {
    let own = implementation.models();
    let of = |known: &ModelOf<'_>| {
        let source = Source::Repository {
            primary: known.repository.to_owned(),
            fallback: known.fallback.map(str::to_owned),
        };
        (known.name.to_owned(), source)
    };
    let known = if own.is_empty() { model_names::NAMES } else { own };
    if names.is_empty() {
        return Ok(known.iter().map(of).collect());
    }
    let named = names
        .iter()
        .map(|name| match known.iter().find(|known| known.name == name) {
            Some(known) => Ok(of(known)),
            None => match model_names::resolve(name)? {
                Source::Repository { .. } if !own.is_empty() && !name.contains('/') => {
                    Err(format!("{} knows no model {name:?}", implementation.id()))
                }
                source => Ok((name.clone(), source)),
            },
        });
    named.collect()
}

fn row(
    implementation: &str,
    model: &str,
    repo: &RepoId,
    fallback: bool,
    verify: Verify,
    store: &Store,
    console: &Console,
) -> anyhow::Result<Row> {
    let local = cell(store.own(), repo, verify, console)?;
    let shared = if store.shared() == store.own() {
        local.clone()
    } else {
        cell(store.shared(), repo, verify, console)?
    };
    let ready = local.found.is_usable() || shared.found.is_usable();
    Ok(Row {
        implementation: implementation.to_owned(),
        model: model.to_owned(),
        repository: repo.to_string(),
        fallback,
        needed_bytes: if ready { Some(0) } else { local.missing_bytes },
        huggingface_cache: shared,
        local_cache: local,
        ready,
    })
}

fn cell(cache: &Cache, repo: &RepoId, verify: Verify, console: &Console) -> anyhow::Result<Cell> {
    let depth = match verify {
        Verify::Structure => Depth::Structure,
        Verify::Hash | Verify::Load => Depth::Hash,
    };
    let mut told = Told::new(console);
    let mut look = |files| {
        let request = Request { files, ..request(repo) };
        cache.inspect(&request, depth, &Cancel::new(), &mut |event| told.event(event))
    };
    let mut report = look(hub::Files::Model)?;
    if matches!(report.state, State::Incomplete) {
        let held = look(hub::Files::Held)?; // the form of another program
        if held.state.is_usable() {
            report = held;
        }
    } else if verify == Verify::Load && report.state.is_usable() {
        load(&mut report);
    }
    let used = cache.disk_use(repo);
    let reason = why(&report);
    Ok(Cell {
        cache: cache.root().to_owned(),
        state: report.state.to_string(),
        bytes: used.own + used.partial + used.shared,
        partial_bytes: report.partial,
        missing_bytes: report.missing,
        reason: reason.strip_prefix(": ").map(str::to_owned),
        found: report.state,
    })
}

/// Loads it as it would be for work: every tensor, of the right shape, and none too many.
fn load(report: &mut Report) {
    let computing = ComputeArgs {
        compute: Compute::default(),
        ..ComputeArgs::default()
    };
    if let Err(error) = Engine::load(Origin::Folder(&report.dir), &computing, whisper::Compat::OpenAi, None) {
        report.state = State::Corrupt;
        report.reason = Some(format!("{error:#}"));
    }
}

impl Todo {
    /// Whether there is nothing to be done.
    pub(super) fn is_empty(&self) -> bool {
        self.download.is_empty() && self.repair.is_empty()
    }

    fn add(&mut self, row: &Row, store: &Store) -> anyhow::Result<()> {
        let request = request(&row.repository.parse()?);
        match row.local_cache.found {
            State::Corrupt => self.repair.push((store.own().clone(), request)),
            _ => self.download.push(request),
        }
        Ok(())
    }
}

impl Checked {
    fn new(rows: Vec<Row>, ready: bool, store: &Store) -> Checked {
        // A repository counts once, however many rows it has; a fallback is fetched only where the first cannot be.
        let mut seen = Vec::new();
        let (mut disk_usage_bytes, mut needed_bytes, mut of_unknown_size) = (0, 0, 0);
        for row in &rows {
            if seen.contains(&&row.repository) {
                continue;
            }
            seen.push(&row.repository);
            disk_usage_bytes += row.local_cache.bytes;
            if store.own() != store.shared() {
                disk_usage_bytes += row.huggingface_cache.bytes;
            }
            if !row.fallback {
                needed_bytes += row.needed_bytes.unwrap_or(0);
                of_unknown_size += usize::from(row.needed_bytes.is_none());
            }
        }
        Checked {
            ready,
            disk_usage_bytes,
            needed_bytes,
            of_unknown_size,
            models_dir: store.own().root().to_owned(),
            free_bytes: store.own().free(),
            rows,
        }
    }

    fn table(&self) -> String {
        let head = ["Implementation", "Model", "HF Hub cache", "Local cache", "Disk usage"];
        let mut lines = vec![head.map(str::to_owned).to_vec()];
        let mut reasons = String::new();
        for row in &self.rows {
            let fallback = if row.fallback { ", fallback" } else { "" };
            let bytes = match row.huggingface_cache.cache == row.local_cache.cache {
                true => row.local_cache.bytes,
                false => row.local_cache.bytes + row.huggingface_cache.bytes,
            };
            lines.push(vec![
                row.implementation.clone(),
                format!("{} ({}{fallback})", row.model, row.repository),
                row.huggingface_cache.state.clone(),
                row.local_cache.state.clone(),
                DecimalBytes(bytes).to_string(),
            ]);
            for cell in [&row.huggingface_cache, &row.local_cache] {
                if let Some(reason) = &cell.reason {
                    let line = format!("{} in {}: {reason}\n", row.repository, cell.cache.display());
                    if !reasons.contains(&line) {
                        reasons += &line;
                    }
                }
            }
        }
        let needed = match (self.needed_bytes, self.of_unknown_size) {
            (bytes, 0) => DecimalBytes(bytes).to_string(),
            (0, 1) => "a model of unknown size".to_owned(),
            (0, n) => format!("{n} models of unknown size"),
            (bytes, n) => format!("{} and {n} of unknown size", DecimalBytes(bytes)),
        };
        let free = self
            .free_bytes
            .map_or("unknown".to_owned(), |free| DecimalBytes(free).to_string());
        columns(&lines)
            + &reasons
            + &format!(
                "on disk: {}; to be downloaded: {needed}; free in {}: {free}\n",
                DecimalBytes(self.disk_usage_bytes),
                self.models_dir.display()
            )
    }
}

#[cfg(test)]
mod tests {
    /// The compiler would not stop it: the crate has network types elsewhere.
    #[test]
    fn nothing_here_can_download() {
        let file = include_str!("check_models.rs")
            .split("#[cfg(test)]")
            .next()
            .unwrap_or_default();
        for name in ["download::", "Downloader", "Hub,", "hub::Hub", "Settings", "ureq"] {
            assert!(!file.contains(name), "{name}");
        }
    }
}
