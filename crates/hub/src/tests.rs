//! The model store against a fake Hub: what goes right, and everything that can go wrong.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking; a child talks to its test"
)]

#[allow(dead_code, reason = "shared with other crates' tests, which use other parts of it")]
mod fakehub;

mod disk;
mod interop;
mod measure;
mod process;
mod reading;
mod transfer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::cache::{Cache, Snapshot};
use crate::cancel::Cancel;
use crate::client::Patience;
use crate::disk::Disk;
use crate::env::Token;
use crate::error::Result;
use crate::event::Event;
use crate::hub::{Freshness, Hub};
use crate::inspect::Request;
use crate::layout::RepoDir;
use crate::settings::Settings;
use crate::tree::Files;
use fakehub::FakeHub;

const REPO: &str = "org/whisper";
const TOKEN: &str = "hf_verysecret";

fn request(repo: &str) -> Request {
    Request {
        repo: repo.parse().unwrap(),
        revision: None,
        files: Files::Model,
    }
}

fn at(repo: &str, revision: &str) -> Request {
    Request {
        revision: Some(revision.parse().unwrap()),
        ..request(repo)
    }
}

/// Patient with a busy machine, quick to try again.
fn settings(endpoint: &str) -> Settings {
    Settings {
        token: Some(Token::new(TOKEN).unwrap()),
        proxies: false,
        patience: Patience {
            connect: Duration::from_secs(20),
            read: Duration::from_secs(20),
            attempts: 4,
            pause: Duration::from_millis(10),
            longest_pause: Duration::from_secs(5),
        },
        ..Settings::new(endpoint)
    }
}

/// A fake Hub and an empty cache.
struct Bench {
    hub: FakeHub,
    root: TempDir,
    settings: Settings,
    events: Vec<Event>,
}

impl Bench {
    fn new() -> Bench {
        let hub = FakeHub::start();
        let settings = settings(&hub.url());
        Bench {
            hub,
            root: tempfile::tempdir().unwrap(),
            settings,
            events: Vec::new(),
        }
    }

    /// With the usual model of `len` bytes.
    fn with_model(len: usize) -> (Bench, Vec<u8>) {
        let bench = Bench::new();
        let weights = bench.hub.model(REPO, len);
        (bench, weights)
    }

    /// For servers that fall silent: long enough for a busy machine, short enough for a test.
    fn impatient(&mut self) {
        self.settings.patience.read = Duration::from_millis(1500);
    }

    fn disk(&mut self, disk: impl Disk + 'static) {
        self.settings.disk = Arc::new(disk);
    }

    fn cache(&self) -> Cache {
        Cache::new(self.root.path().join("cache"))
    }

    fn repo(&self) -> RepoDir {
        RepoDir::new(self.cache().root(), &REPO.parse().unwrap())
    }

    fn client(&self) -> Hub {
        Hub::new(self.settings.clone(), self.cache(), Vec::new())
    }

    fn pull(&mut self) -> Result<Snapshot> {
        self.get(&request(REPO), Freshness::Newest)
    }

    fn get(&mut self, request: &Request, freshness: Freshness) -> Result<Snapshot> {
        let events = &mut self.events;
        let hub = Hub::new(
            self.settings.clone(),
            Cache::new(self.root.path().join("cache")),
            Vec::new(),
        );
        let result = hub.snapshot(request, freshness, &Cancel::new(), &mut |event| events.push(event));
        let mut told = format!("{:?}", self.events);
        if let Err(error) = &result {
            told += &format!("{error} {error:?}");
        }
        for secret in [TOKEN, "SECRET", "Signature"] {
            assert!(!told.contains(secret), "{secret} is told: {told}");
        }
        assert!(!told.contains('\u{1b}'), "a control character is told: {told}");
        for seen in self.hub.seen() {
            let expected = (!seen.storage).then(|| format!("Bearer {TOKEN}"));
            assert_eq!(seen.authorization, expected, "{seen:?}");
        }
        result
    }

    /// Names of what is in `blobs`, sorted.
    fn blobs(&self) -> Vec<String> {
        names(&self.repo().blobs())
    }

    fn parts(&self) -> Vec<String> {
        self.blobs()
            .into_iter()
            .filter(|name| name.ends_with(".incomplete"))
            .collect()
    }

    /// No part, no temporary file, no broken link anywhere.
    fn assert_clean(&self) {
        for (path, meta) in crate::cache::tree_of(self.cache().root()) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(
                !name.contains(".incomplete") && !name.ends_with(".tmp"),
                "left behind: {}",
                path.display()
            );
            assert!(!meta.is_symlink() || path.exists(), "broken: {}", path.display());
        }
    }
}

/// Past the harness, which swallows what a passing test prints with a macro.
fn skipped(test: &str, reason: impl std::fmt::Display) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {reason}");
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = crate::inspect::names(dir).collect();
    names.sort();
    names
}

fn weights_of(snapshot: &Snapshot) -> Vec<u8> {
    std::fs::read(snapshot.dir.join("weights.safetensors")).unwrap()
}

fn write(path: PathBuf, bytes: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}
