//! Models from the Hub: the only place of this program that opens connections.

use anyhow::Context;
use clap::Args;
use hub::{Cancel, Env, Error, Event, Freshness, Hub, RepoId, Request, Settings, Snapshot};

use super::{ModelsDir, Store, Told, request};
use crate::console::Console;

/// Where a model may come from.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Models")]
pub(crate) struct Sources {
    #[command(flatten)]
    pub(crate) dir: ModelsDir,
    #[command(flatten)]
    pub(crate) network: Network,
    /// Fail where the model's repository cannot be had or loaded, rather than take its unquantized one
    #[arg(long)]
    no_fallback: bool,
}

impl Sources {
    /// Whether another repository may be taken for the one of the name.
    pub(crate) fn allows_fallback(&self) -> bool {
        !self.no_fallback
    }
}

/// Whether the Hub may be asked.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Models")]
pub(crate) struct Network {
    /// Never use the network [also: HF_HUB_OFFLINE=1]
    #[arg(long)]
    offline: bool,
}

/// A Hub, this machine's caches, and somebody who is told.
pub(crate) struct Downloader<'a> {
    pub(crate) store: Store,
    hub: Hub,
    console: &'a Console,
}

impl<'a> Downloader<'a> {
    /// By the command line and the environment. Opens no connection yet.
    ///
    /// # Errors
    /// The environment holds a token that cannot be one.
    pub(crate) fn new(dir: &ModelsDir, network: &Network, console: &'a Console) -> anyhow::Result<Downloader<'a>> {
        let store = dir.store();
        let mut settings = Settings::from_env(&Env::process())?;
        settings.offline |= network.offline;
        let hub = Hub::new(settings, store.own().clone(), store.caches().split_off(1));
        Ok(Downloader { store, hub, console })
    }

    /// The model, from this machine or else from the Hub, which is said before it begins.
    ///
    /// # Errors
    /// Those of [`Hub::snapshot`].
    pub(crate) fn get(&self, request: &Request, freshness: Freshness) -> hub::Result<Snapshot> {
        let snapshot = self.told(|events| self.hub.snapshot(request, freshness, &Cancel::new(), events))?;
        if let Some(note) = &snapshot.note {
            self.console.note(format_args!("{}: {note}", snapshot.repo));
        }
        Ok(snapshot)
    }

    /// Fetches again what is wrong of a model in one of the caches.
    ///
    /// # Errors
    /// Those of [`Hub::repair`].
    pub(crate) fn repair(&self, cache: &hub::Cache, request: &Request) -> hub::Result<hub::Report> {
        self.told(|events| self.hub.repair(cache, request, &Cancel::new(), events))
    }

    /// What the Hub has now of a model: fetches none of it.
    ///
    /// # Errors
    /// Those of [`Hub::newest`].
    pub(crate) fn newest(&self, request: &Request) -> hub::Result<hub::Commit> {
        self.hub.newest(request, &Cancel::new())
    }

    fn told<T>(&self, work: impl FnOnce(&mut dyn FnMut(Event)) -> T) -> T {
        let mut told = Told::new(self.console);
        work(&mut |event| told.event(event))
    }
}

/// Does `attempt` with a model's repository, and where that fails, saying why, with its fallback. Whether it was the fallback.
///
/// # Errors
/// Of the fallback, or of the first where there is none, it is forbidden, or another repository would not help.
pub(crate) fn first_that_works<T>(
    primary: &str,
    fallback: Option<&str>,
    sources: &Sources,
    console: &Console,
    attempt: impl Fn(Snapshot) -> anyhow::Result<T>,
) -> anyhow::Result<(T, bool)> {
    let downloader = Downloader::new(&sources.dir, &sources.network, console)?;
    let primary: RepoId = primary.parse()?;
    let error = match downloader
        .get(&request(&primary), Freshness::Cached)
        .map_err(anyhow::Error::from)
    {
        Ok(snapshot) => match attempt(snapshot) {
            Ok(done) => return Ok((done, false)),
            Err(error) => error.context(format!(
                "{primary} cannot be loaded; `whisper-speedtest models verify {primary}` says whether it is damaged"
            )),
        },
        Err(error) => error,
    };
    let Some(fallback) = fallback.filter(|_| sources.allows_fallback()) else {
        return Err(error);
    };
    let fallback: RepoId = fallback.parse()?;
    // Where the Hub cannot be asked or the disk is full, a larger model could not come either: only one that is here helps.
    let hopeless = error
        .downcast_ref::<Error>()
        .is_some_and(|e| e.is_outage() || e.is_disk_full());
    let here = downloader.store.find(&fallback).ok();
    if hopeless && here.is_none() {
        return Err(error);
    }
    console.warning(format_args!("{error:#}; taking the fallback, {fallback}"));
    let snapshot = match here {
        Some(here) => here,
        None => downloader
            .get(&request(&fallback), Freshness::Cached)
            .with_context(|| format!("the fallback of {primary}"))?,
    };
    Ok((attempt(snapshot)?, true))
}
