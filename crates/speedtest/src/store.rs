//! Models on this machine: in this program's own cache, or in the one that all programs of Hugging Face share.
//!
//! Nothing here or in the types used here can open a connection: what asks the Hub is in [`download`].

pub(crate) mod download;
mod progress;

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use hub::{Cache, Env, Files, RepoId, Report, Request, Snapshot, State};
use indicatif::DecimalBytes;

pub(crate) use progress::Told;

/// Where this program's own models are.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Models")]
pub(crate) struct ModelsDir {
    /// The folder of models [default: $WHISPER_SPEEDTEST_MODELS, ./models if there are some in it, else the user's data folder]
    #[arg(long, alias = "model-dir", value_name = "DIR")] // as whisper calls it
    models_dir: Option<PathBuf>,
}

/// The caches that are looked into.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    own: Cache,
    shared: Cache,
}

/// Why a model cannot be used, and what changes that.
#[derive(Debug)]
pub(crate) struct NotReady {
    pub(crate) report: Report,
}

impl ModelsDir {
    /// What the command line and the environment say.
    pub(crate) fn store(&self) -> Store {
        let env = Env::process();
        let current = std::env::current_dir().unwrap_or_default();
        let own = self.models_dir.clone().unwrap_or_else(|| env.models_dir(&current));
        Store {
            own: Cache::new(own),
            shared: env.huggingface_cache(),
        }
    }
}

impl Default for Store {
    fn default() -> Store {
        ModelsDir::default().store()
    }
}

impl Store {
    /// This program's own cache: downloads go there.
    pub(crate) fn own(&self) -> &Cache {
        &self.own
    }

    /// The cache that all programs share: read, never written.
    pub(crate) fn shared(&self) -> &Cache {
        &self.shared
    }

    /// Both, our own first; one if they are the same.
    pub(crate) fn caches(&self) -> Vec<Cache> {
        let mut caches = vec![self.own.clone(), self.shared.clone()];
        caches.dedup();
        caches
    }

    /// A model that is complete on this machine, wherever. Never fetches anything.
    ///
    /// An MLX Whisper needs its two files; of any other kind of model it counts what its own program has downloaded.
    ///
    /// # Errors
    /// It is not; the text says what there is of it and which command gets the rest.
    pub(crate) fn find(&self, repository: &RepoId) -> Result<Snapshot, Box<NotReady>> {
        let caches = self.caches();
        let of = |files| Request {
            files,
            ..request(repository)
        };
        if let Some(found) = hub::find(&caches, &of(Files::Model)).or_else(|| hub::find(&caches, &of(Files::Held))) {
            return Ok(found);
        }
        let reports = caches.iter().map(|cache| cache.glance(&of(Files::Model)));
        let report = reports.max_by_key(|report| (report.state != State::Missing, report.cache == self.own.root()));
        Err(Box::new(NotReady {
            report: report.expect("there is a cache"),
        }))
    }
}

/// What is asked of a cache when a model is to be used.
pub(crate) fn request(repository: &RepoId) -> Request {
    Request {
        repo: repository.clone(),
        revision: None,
        files: Files::Model,
    }
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { repo, state, cache, .. } = &self.report;
        match state {
            State::Missing => write!(f, "{repo} is not on this machine")?,
            _ => write!(f, "{repo} is {state} in {}{}", cache.display(), why(&self.report))?,
        }
        let verb = if *state == State::Corrupt { "repair" } else { "pull" };
        write!(f, "; `whisper-speedtest models {verb} {repo}` gets it")
    }
}

impl std::error::Error for NotReady {}

/// `: weights.npz: expected 5 bytes, found 3; 1.2 GB missing`, or nothing.
pub(crate) fn why(report: &Report) -> String {
    let mut reasons: Vec<String> = report.reason.iter().cloned().collect();
    reasons.extend(
        report
            .problems()
            .map(|(file, problem)| format!("{}: {problem}", file.path)),
    );
    if let Some(missing) = report.missing.filter(|missing| *missing > 0) {
        reasons.push(format!("{} missing", DecimalBytes(missing)));
    }
    if report.partial > 0 {
        reasons.push(format!("{} of an unfinished download", DecimalBytes(report.partial)));
    }
    if reasons.is_empty() {
        return String::new();
    }
    format!(": {}", reasons.join("; "))
}
