//! What changes something: each step is told before it is done.

use anyhow::{Context, bail};
use hub::{Cancel, Error, Files, Freshness, Request, Snapshot, Waste};
use indicatif::DecimalBytes;
use serde_json::json;

use super::{Asked, Consent, ExportArgs, ImportArgs, PruneArgs, PullArgs, RemoveArgs, asked, on_disk};
use crate::commands::Outcome;
use crate::commands::check_models::Todo;
use crate::console::Console;
use crate::store::download::{Downloader, Network};
use crate::store::{ModelsDir, Told, why};

pub(super) fn pull(args: &PullArgs, console: &Console) -> anyhow::Result<Outcome> {
    let wanted = args
        .models
        .iter()
        .map(|name| asked(name))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let downloader = Downloader::new(&args.sources.dir, &args.sources.network, console)?;
    let mut pulled = Vec::new();
    let mut outcome = Outcome::Done;
    for asked in &wanted {
        match newest(asked, args, &downloader, console) {
            Ok((snapshot, fallback)) => {
                if snapshot.fetched == 0 {
                    let Snapshot { repo, commit, .. } = &snapshot;
                    console.note(format_args!("{repo}: nothing to fetch, {commit} is here"));
                }
                if !args.json {
                    console.result(&format!("{}\n", snapshot.dir.display()))?;
                }
                pulled.push(json!({
                    "model": asked.name,
                    "repository": snapshot.repo.to_string(),
                    "revision": snapshot.commit.to_string(),
                    "fallback": fallback,
                    "folder": snapshot.dir,
                    "fetched_bytes": snapshot.fetched,
                }));
            }
            Err(error) => {
                console.error(format_args!("{}: {error:#}", asked.name));
                outcome = Outcome::SomeFailed;
            }
        }
    }
    if args.json {
        console.result(&format!("{}\n", serde_json::to_string_pretty(&pulled)?))?;
    }
    Ok(outcome)
}

fn newest(
    asked: &Asked,
    args: &PullArgs,
    downloader: &Downloader<'_>,
    console: &Console,
) -> anyhow::Result<(Snapshot, bool)> {
    let files = if args.all_files { Files::All } else { Files::Model };
    let request = |request: &Request| Request {
        files,
        ..request.clone()
    };
    let first = fetch(&request(&asked.request), downloader, console);
    let error = match first {
        Ok(snapshot) => return Ok((snapshot, false)),
        Err(error) => error,
    };
    let hopeless = error.is_outage() || error.is_disk_full();
    match &asked.fallback {
        Some(fallback) if args.sources.allows_fallback() && !hopeless => {
            console.warning(format_args!("{error}; taking the fallback, {fallback}"));
            let snapshot = fetch(&request(&crate::store::request(fallback)), downloader, console)?;
            Ok((snapshot, true))
        }
        _ => Err(error.into()),
    }
}

/// What the Hub has now; of a model that is not in MLX form, for another program, all files.
fn fetch(request: &Request, downloader: &Downloader<'_>, console: &Console) -> hub::Result<Snapshot> {
    match downloader.get(request, Freshness::Newest) {
        Err(Error::NotAModel { repo, .. }) if request.files == Files::Model => {
            console.note(format_args!("{repo} is not in MLX form: all its files are taken"));
            let files = Files::All;
            downloader.get(
                &Request {
                    files,
                    ..request.clone()
                },
                Freshness::Newest,
            )
        }
        got => got,
    }
}

pub(super) fn repair(
    names: &[String],
    dir: &ModelsDir,
    network: &Network,
    console: &Console,
) -> anyhow::Result<Outcome> {
    let downloader = Downloader::new(dir, network, console)?;
    let mut outcome = Outcome::Done;
    for (cache, request) in on_disk(names, dir)? {
        let repo = &request.repo;
        match downloader.repair(&cache, &request) {
            Ok(report) => {
                let place = cache.root().display();
                console.result(&format!("{:12} {repo} in {place}{}\n", report.state, why(&report)))?;
                if !report.state.is_usable() {
                    outcome = Outcome::SomeFailed;
                }
            }
            Err(error) => {
                console.error(format_args!("{repo}: {error}"));
                outcome = Outcome::SomeFailed;
            }
        }
    }
    Ok(outcome)
}

pub(super) fn catch_up(todo: &Todo, dir: &ModelsDir, console: &Console) -> anyhow::Result<Outcome> {
    let downloader = Downloader::new(dir, &Network::default(), console)?;
    let mut outcome = if todo.left { Outcome::SomeFailed } else { Outcome::Done };
    let mut tell = |repo: &hub::RepoId, error: Option<Error>| match error {
        None => console.note(format_args!("{repo}: ready")),
        Some(error) => {
            console.error(format_args!("{repo}: {error}"));
            outcome = Outcome::SomeFailed;
        }
    };
    for (cache, request) in &todo.repair {
        tell(&request.repo, downloader.repair(cache, request).err());
    }
    for request in &todo.download {
        tell(&request.repo, fetch(request, &downloader, console).err());
    }
    Ok(outcome)
}

pub(super) fn remove(args: &RemoveArgs, console: &Console) -> anyhow::Result<Outcome> {
    let store = args.dir.store();
    let own = store.own();
    let wanted = args
        .models
        .iter()
        .map(|name| asked(name))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let here: Vec<_> = wanted
        .iter()
        .flat_map(Asked::requests)
        .map(|request| request.repo)
        .filter(|repo| own.root().join(repo.folder()).exists())
        .collect();
    let mut outcome = Outcome::Done;
    for asked in &wanted {
        if !asked.requests().iter().any(|request| here.contains(&request.repo)) {
            console.error(format_args!(
                "{} is not in {}",
                asked.request.repo,
                own.root().display()
            ));
            outcome = Outcome::SomeFailed;
        }
    }
    let mut total = 0;
    for repo in &here {
        let used = own.disk_use(repo);
        total += used.own + used.partial;
        console.note(format_args!("{repo}: {}", DecimalBytes(used.own + used.partial)));
    }
    match &here[..] {
        [] => return Ok(outcome),
        [repo] => args
            .consent
            .get(&format!("remove {repo}, {}", DecimalBytes(total)), console)?,
        _ => args.consent.get(
            &format!("remove these {} models, {} together", here.len(), DecimalBytes(total)),
            console,
        )?,
    }
    for repo in &here {
        match own.remove(repo) {
            Ok(freed) => console.result(&format!("removed {repo}: {}\n", DecimalBytes(freed)))?,
            Err(error) => {
                console.error(error);
                outcome = Outcome::SomeFailed;
            }
        }
    }
    Ok(outcome)
}

pub(super) fn prune(args: &PruneArgs, console: &Console) -> anyhow::Result<Outcome> {
    let store = args.dir.store();
    let own = store.own();
    let all: Vec<_> = own.repos().into_iter().map(|repo| (own.garbage(&repo), repo)).collect();
    let total: u64 = all
        .iter()
        .flat_map(|(garbage, _)| garbage)
        .map(|garbage| garbage.bytes)
        .sum();
    if all.iter().all(|(garbage, _)| garbage.is_empty()) {
        console.note(format_args!("nothing to remove in {}", own.root().display()));
        return Ok(Outcome::Done);
    }
    for garbage in all.iter().flat_map(|(garbage, _)| garbage) {
        let kind = match garbage.kind {
            Waste::Partial => "unfinished download",
            Waste::Orphan => "of no version",
            Waste::Temporary => "left over",
        };
        console.note(format_args!(
            "{:>10}  {kind:20} {}",
            DecimalBytes(garbage.bytes).to_string(),
            garbage.path.display()
        ));
    }
    let files: usize = all.iter().map(|(garbage, _)| garbage.len()).sum();
    let files = if files == 1 {
        "this file".to_owned()
    } else {
        format!("these {files} files")
    };
    args.consent
        .get(&format!("remove {files}, {} together", DecimalBytes(total)), console)?;
    let mut freed = 0;
    for (garbage, repo) in &all {
        freed += own.sweep(repo, garbage)?;
    }
    console.result(&format!("removed {}\n", DecimalBytes(freed)))?;
    Ok(Outcome::Done)
}

impl Consent {
    /// # Errors
    /// It is not given.
    fn get(self, what: &str, console: &Console) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        match console.ask(what)? {
            Some(true) => Ok(()),
            Some(false) => bail!("nothing was removed"),
            None => bail!("nothing was removed: --yes does it, as there is no terminal to ask at"),
        }
    }
}

pub(super) fn import(args: &ImportArgs, console: &Console) -> anyhow::Result<Outcome> {
    let mut told = Told::new(console);
    let store = args.dir.store();
    let snapshot = store
        .own()
        .import(&args.folder, &Cancel::new(), &mut |event| told.event(event))?;
    drop(told);
    console.note(format_args!("imported {}", snapshot.repo));
    console.result(&format!("{}\n", snapshot.dir.display()))?;
    Ok(Outcome::Done)
}

pub(super) fn export(args: &ExportArgs, console: &Console) -> anyhow::Result<Outcome> {
    let asked = asked(&args.model)?;
    let store = args.dir.store();
    let found = hub::find(&store.caches(), &asked.request);
    let Some(found) = found else {
        let missing = store.find(&asked.request.repo).err();
        bail!(missing.map_or_else(|| "not in this revision here".to_owned(), |missing| missing.to_string()));
    };
    let mut told = Told::new(console);
    hub::Cache::new(&found.cache)
        .export(&asked.request, &args.folder, &Cancel::new(), &mut |event| {
            told.event(event)
        })
        .with_context(|| format!("{} into {}", found.repo, args.folder.display()))?;
    drop(told);
    console.result(&format!("{}\n", args.folder.display()))?;
    Ok(Outcome::Done)
}
