//! `models`: what is on disk, and everything that can be done with it.

mod change;
mod look;

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Subcommand};
use hub::{Cache, RepoId, Request};

use super::Outcome;
use super::check_models::Todo;
use crate::cli::usage_error;
use crate::console::Console;
use crate::interrupt;
use crate::model_names::{self, Source};
use crate::store::ModelsDir;
use crate::store::download::{Network, Sources};

/// Download, list, verify, mend and remove models
///
/// They lie in the layout of Hugging Face's cache, which either program reads.
#[derive(Args, Debug)]
#[command(after_help = HELP)]
pub(crate) struct ModelsArgs {
    #[command(subcommand)]
    action: Action,
}

const HELP: &str = "\
Examples:
  whisper-speedtest models list
  whisper-speedtest models pull large tiny.en
  whisper-speedtest models export large /media/stick/large
  whisper-speedtest models import /media/stick/large";

#[derive(Debug, Subcommand)]
enum Action {
    /// List the names, their repositories, and what of them is on disk
    List(ListArgs),
    /// Download models, or what is new of them
    Pull(PullArgs),
    /// Hash every byte of models on disk; uses no network
    Verify(VerifyArgs),
    /// Fetch again what is wrong of models on disk, and nothing else
    Repair(RepairArgs),
    /// Remove models from this program's folder
    Remove(RemoveArgs),
    /// Print the folder of a model on disk
    Path(PathArgs),
    /// Remove what interrupted downloads and replaced versions have left
    Prune(PruneArgs),
    /// Take over a model that `export` has written, or a models--ORG--NAME of another cache
    Import(ImportArgs),
    /// Copy a model into a folder, for a machine without network
    Export(ExportArgs),
}

#[derive(Args, Debug)]
struct ListArgs {
    #[command(flatten)]
    dir: ModelsDir,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct PullArgs {
    /// Names, or repositories as ORG/NAME or ORG/NAME@REVISION
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<String>,
    /// All files of the repository, not only those that a model needs
    #[arg(long)]
    all_files: bool,
    #[command(flatten)]
    sources: Sources,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct VerifyArgs {
    /// Names or repositories [default: all in this program's folder]
    #[arg(value_name = "MODEL")]
    models: Vec<String>,
    #[command(flatten)]
    dir: ModelsDir,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct RepairArgs {
    /// Names or repositories [default: all in this program's folder]
    #[arg(value_name = "MODEL")]
    models: Vec<String>,
    #[command(flatten)]
    dir: ModelsDir,
    #[command(flatten)]
    network: Network,
}

#[derive(Args, Debug)]
struct RemoveArgs {
    /// Names or repositories
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<String>,
    #[command(flatten)]
    dir: ModelsDir,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Args, Debug)]
struct PathArgs {
    /// A name or a repository
    #[arg(value_name = "MODEL")]
    model: String,
    #[command(flatten)]
    dir: ModelsDir,
}

#[derive(Args, Debug)]
struct PruneArgs {
    #[command(flatten)]
    dir: ModelsDir,
    #[command(flatten)]
    consent: Consent,
}

/// Nothing is removed without it.
#[derive(Args, Clone, Copy, Debug)]
struct Consent {
    /// Do it without asking
    #[arg(short, long)]
    yes: bool,
}

#[derive(Args, Debug)]
struct ImportArgs {
    /// What `export` has written, or a models--ORG--NAME of another cache
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    #[command(flatten)]
    dir: ModelsDir,
}

#[derive(Args, Debug)]
struct ExportArgs {
    /// A name or a repository
    #[arg(value_name = "MODEL")]
    model: String,
    /// Where to; it is made
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    #[command(flatten)]
    dir: ModelsDir,
}

pub(super) fn run(args: &ModelsArgs, console: &Console) -> anyhow::Result<Outcome> {
    interrupt::end_on_ctrl_c()?;
    match &args.action {
        Action::List(args) => look::list(args, console),
        Action::Verify(args) => look::verify(args, console),
        Action::Path(args) => look::path(args, console),
        Action::Pull(args) => change::pull(args, console),
        Action::Repair(args) => change::repair(&args.models, &args.dir, &args.network, console),
        Action::Remove(args) => change::remove(args, console),
        Action::Prune(args) => change::prune(args, console),
        Action::Import(args) => change::import(args, console),
        Action::Export(args) => change::export(args, console),
    }
}

/// What `check-models --download --repair` hands over.
pub(super) fn catch_up(todo: &Todo, dir: &ModelsDir, console: &Console) -> anyhow::Result<Outcome> {
    change::catch_up(todo, dir, console)
}

/// A model that the user has named.
struct Asked {
    name: String,
    request: Request,
    fallback: Option<RepoId>,
}

impl Asked {
    /// The repositories, that of the name first.
    fn requests(&self) -> Vec<Request> {
        let fallback = self.fallback.as_ref().map(crate::store::request);
        std::iter::once(self.request.clone()).chain(fallback).collect()
    }
}

/// What `name` means, with a revision after `@` for a repository.
///
/// # Errors
/// Nothing, or something that is in no cache.
fn asked(name: &str) -> anyhow::Result<Asked> {
    let (plain, revision) = match name.split_once('@') {
        Some((plain, revision)) => (plain, Some(revision.parse()?)),
        None => (name, None),
    };
    match model_names::resolve(plain).map_err(|problem| usage_error("models", problem))? {
        Source::Bundled => bail!("{name} is inside the program: there is nothing to download, check or remove"),
        Source::Folder(folder) => bail!("{}: a folder is no model of the store", folder.display()),
        Source::Repository { primary, fallback } => Ok(Asked {
            name: name.to_owned(),
            request: Request {
                revision,
                ..crate::store::request(&primary.parse()?)
            },
            fallback: fallback.map(|fallback| fallback.parse()).transpose()?,
        }),
    }
}

/// The models named, each in every cache that has something of it; without names all of this program's own.
///
/// # Errors
/// As [`asked`].
fn on_disk(names: &[String], dir: &ModelsDir) -> anyhow::Result<Vec<(Cache, Request)>> {
    let store = dir.store();
    if names.is_empty() {
        let own = store.own();
        let all = own.repos();
        return Ok(all
            .iter()
            .map(|repo| (own.clone(), crate::store::request(repo)))
            .collect());
    }
    let mut found = Vec::new();
    for name in names {
        let requests = asked(name)?.requests();
        let before = found.len();
        for cache in store.caches() {
            for request in &requests {
                if cache.glance(request).state != hub::State::Missing {
                    found.push((cache.clone(), request.clone()));
                }
            }
        }
        if found.len() == before {
            found.push((store.own().clone(), requests[0].clone())); // so that it is said to be missing
        }
    }
    Ok(found)
}
