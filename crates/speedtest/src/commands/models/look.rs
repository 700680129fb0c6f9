//! What changes nothing.

use hub::{Cancel, Depth, Report, State};
use indicatif::DecimalBytes;
use serde::Serialize;

use super::{ListArgs, PathArgs, VerifyArgs, asked, on_disk};
use crate::columns::columns;
use crate::commands::Outcome;
use crate::console::Console;
use crate::model_names::NAMES;
use crate::store::{Told, request, why};

/// A repository, as listed.
#[derive(Serialize)]
struct Listed {
    /// The short name, if it has one.
    name: Option<&'static str>,
    repository: String,
    fallback: bool,
    copies: Vec<Copy>,
}

#[derive(Serialize)]
struct Copy {
    cache: String,
    state: String,
    bytes: u64,
}

pub(super) fn list(args: &ListArgs, console: &Console) -> anyhow::Result<Outcome> {
    let store = args.dir.store();
    let caches = store.caches();
    let listed = |name, repository: &str, fallback| -> anyhow::Result<Listed> {
        let repo = repository.parse()?;
        let copies = caches.iter().filter_map(|cache| {
            let state = cache.glance(&request(&repo)).state;
            let used = cache.disk_use(&repo);
            (state != State::Missing).then(|| Copy {
                cache: cache.root().display().to_string(),
                state: state.to_string(),
                bytes: used.own + used.partial + used.shared,
            })
        });
        Ok(Listed {
            name,
            repository: repository.to_owned(),
            fallback,
            copies: copies.collect(),
        })
    };
    let mut rows = Vec::new();
    for named in NAMES {
        rows.push(listed(Some(named.name), named.repository, false)?);
        if let Some(fallback) = named.fallback {
            rows.push(listed(Some(named.name), fallback, true)?);
        }
    }
    let others = |repo: &hub::RepoId| rows.iter().all(|row| row.repository != repo.as_str());
    // Of the cache of all programs only what this one can load.
    let mut rest: Vec<_> = caches
        .iter()
        .flat_map(|cache| cache.repos().into_iter().map(move |repo| (cache, repo)))
        .filter(|(cache, repo)| {
            others(repo) && (*cache == store.own() || cache.glance(&request(repo)).state.is_usable())
        })
        .map(|(_, repo)| repo)
        .collect();
    rest.sort();
    rest.dedup();
    for repo in rest {
        rows.push(listed(None, repo.as_str(), false)?);
    }

    if args.json {
        console.result(&format!("{}\n", serde_json::to_string_pretty(&rows)?))?;
        return Ok(Outcome::Done);
    }
    let mut lines = vec![
        ["name", "repository", "state", "size", "folder"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for row in &rows {
        let name = match (row.name, row.fallback) {
            (Some(name), true) => format!("{name} (fallback)"),
            (name, _) => name.unwrap_or("-").to_owned(),
        };
        let line = |state: &str, size: String, cache: &str| {
            vec![
                name.clone(),
                row.repository.clone(),
                state.to_owned(),
                size,
                cache.to_owned(),
            ]
        };
        if row.copies.is_empty() {
            lines.push(line("missing", String::new(), ""));
        }
        let copies = row.copies.iter();
        lines.extend(copies.map(|copy| line(&copy.state, DecimalBytes(copy.bytes).to_string(), &copy.cache)));
    }
    console.result(&columns(&lines))?;
    let free = store
        .own()
        .free()
        .map_or_else(String::new, |free| format!(", {} free", DecimalBytes(free)));
    console.note(format_args!("downloads go to {}{free}", store.own().root().display()));
    Ok(Outcome::Done)
}

pub(super) fn path(args: &PathArgs, console: &Console) -> anyhow::Result<Outcome> {
    let asked = asked(&args.model)?;
    let caches = args.dir.store().caches();
    let requests = asked.requests();
    for (number, request) in requests.iter().enumerate() {
        if let Some(found) = hub::find(&caches, request) {
            if number > 0 {
                console.warning(format_args!(
                    "{} is not on this machine: this is its fallback, {}",
                    requests[0].repo, found.repo
                ));
            }
            console.result(&format!("{}\n", found.dir.display()))?;
            return Ok(Outcome::Done);
        }
    }
    match args.dir.store().find(&requests[0].repo) {
        Err(not_ready) => Err(anyhow::Error::msg(not_ready.to_string())),
        Ok(found) => anyhow::bail!("{} is here, but not in the revision asked for", found.repo),
    }
}

/// What came of hashing a model.
#[derive(Serialize)]
struct Verified {
    repository: String,
    cache: String,
    state: String,
    commit: Option<String>,
    bytes: u64,
    problems: Vec<String>,
}

impl Verified {
    fn new(report: &Report) -> Verified {
        let problems = report.reason.iter().cloned();
        let of_files = report
            .problems()
            .map(|(file, problem)| format!("{}: {problem}", file.path));
        Verified {
            repository: report.repo.to_string(),
            cache: report.cache.display().to_string(),
            state: report.state.to_string(),
            commit: report.commit.as_ref().map(ToString::to_string),
            bytes: report.size(),
            problems: problems.chain(of_files).collect(),
        }
    }
}

pub(super) fn verify(args: &VerifyArgs, console: &Console) -> anyhow::Result<Outcome> {
    let mut all = Vec::new();
    let mut told = Told::new(console);
    let mut some_failed = false;
    for (cache, request) in on_disk(&args.models, &args.dir)? {
        let report = cache.inspect(&request, Depth::Hash, &Cancel::new(), &mut |event| told.event(event))?;
        some_failed |= !report.state.is_usable();
        if !args.json {
            let (state, repo) = (report.state, &report.repo);
            let place = cache.root().display();
            console.result(&format!("{state:12} {repo} in {place}{}\n", why(&report)))?;
        }
        if let Some(note) = &report.note {
            console.note(format_args!("{}: {note}", report.repo));
        }
        all.push(Verified::new(&report));
    }
    if args.json {
        console.result(&format!("{}\n", serde_json::to_string_pretty(&all)?))?;
    } else if all.is_empty() {
        console.note("no models here");
    }
    Ok(if some_failed {
        Outcome::SomeFailed
    } else {
        Outcome::Done
    })
}
