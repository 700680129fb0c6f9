//! One cache on disk, in the layout of huggingface_hub: looked at, tidied, carried to other machines, all without a network.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use crate::cancel::Cancel;
use crate::disk::{Disk as _, System};
use crate::error::Result;
use crate::event::Event;
use crate::inspect::{self, Depth, Report, Request, names};
use crate::layout::{RepoDir, partial_of};
use crate::name::{Commit, RepoId};

/// A folder that holds models. It need not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    root: PathBuf,
}

/// A model ready to be loaded.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The folder with its files.
    pub dir: PathBuf,
    /// The repository.
    pub repo: RepoId,
    /// The commit.
    pub commit: Commit,
    /// The cache that holds it.
    pub cache: PathBuf,
    /// What the user should be told about the choice.
    pub note: Option<String>,
    /// Bytes that came over the network for it just now.
    pub fetched: u64,
}

/// Bytes that a repository takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUse {
    /// Bytes of content in the repository's own folder.
    pub own: u64,
    /// Bytes of unfinished downloads.
    pub partial: u64,
    /// Bytes in the store shared by repositories; each content once.
    pub shared: u64,
}

impl Cache {
    /// The cache at `root`, made absolute, so that its paths stay true when the current folder changes.
    ///
    /// On Windows this also lets them be longer than 260 characters: the standard library hands long absolute paths to the system in the
    /// form `\\?\C:\...`, while users and other programs, which may not understand that form, see the plain one.
    pub fn new(root: impl Into<PathBuf>) -> Cache {
        let root = root.into();
        let root = std::path::absolute(&root).unwrap_or(root);
        Cache { root }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Looks at a model: see [`Depth`] for how closely.
    ///
    /// # Errors
    /// [`Cancelled`](crate::Error::Cancelled); what cannot be read is part of the report.
    pub fn inspect(
        &self,
        request: &Request,
        depth: Depth,
        cancel: &Cancel,
        events: &mut dyn FnMut(Event),
    ) -> Result<Report> {
        inspect::inspect(&self.root, request, depth, cancel, events)
    }

    /// Looks at a model in the way that takes milliseconds.
    pub fn glance(&self, request: &Request) -> Report {
        self.inspect(request, Depth::Structure, &Cancel::new(), &mut |_| {})
            .expect("nobody holds the flag")
    }

    /// The model, if it is complete here.
    pub fn find(&self, request: &Request) -> Option<Snapshot> {
        let report = self.glance(request);
        Some(Snapshot {
            commit: report.commit.filter(|_| report.state.is_usable())?,
            dir: report.dir,
            repo: report.repo,
            cache: report.cache,
            note: report.note,
            fetched: 0,
        })
    }

    /// The models that have a folder here, sorted. Anything else in the cache is left alone.
    pub fn repos(&self) -> Vec<RepoId> {
        let mut repos: Vec<RepoId> = names(&self.root)
            .filter_map(|name| RepoId::from_folder(&name))
            .collect();
        repos.sort();
        repos
    }

    /// What a model takes. Links are not counted, only what they lead to; each shared content once.
    pub fn disk_use(&self, repo: &RepoId) -> DiskUse {
        let repo = RepoDir::new(&self.root, repo);
        let mut total = DiskUse::default();
        let mut shared = HashSet::new();
        let (blobs, mut files) = (tree_of(&repo.blobs()), tree_of(&repo.snapshots()));
        files.retain(|file| second_name(file, &blobs).is_none());
        for (path, meta) in blobs.into_iter().chain(files) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if meta.is_file() && partial_of(&name).is_some() {
                total.partial += meta.len();
            } else if meta.is_file() {
                total.own += meta.len();
            } else if path.parent() == Some(&repo.blobs())
                && let Ok(target) = path.canonicalize()
                && shared.insert(target.clone())
            {
                total.shared += target.metadata().map_or(0, |meta| meta.len());
            }
        }
        total
    }

    /// Bytes that can still be written here, or where the cache would be made; `None` where the system does not say.
    pub fn free(&self) -> Option<u64> {
        let existing = self.root.ancestors().find(|folder| folder.is_dir())?;
        System.free(existing).ok()
    }

    /// A folder whose name differs from this repository's only by case: one and the same on macOS and Windows.
    pub fn case_twin(&self, repo: &RepoId) -> Option<RepoId> {
        let folder = repo.folder();
        let twin = names(&self.root).find(|name| *name != folder && name.eq_ignore_ascii_case(&folder))?;
        RepoId::from_folder(&twin)
    }
}

/// Everything below a folder that is no folder, without following links.
pub(crate) fn tree_of(dir: &Path) -> Vec<(PathBuf, Metadata)> {
    let mut out = Vec::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(dir) = folders.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            match path.symlink_metadata() {
                Ok(meta) if meta.is_dir() => folders.push(path),
                Ok(meta) => out.push((path, meta)),
                Err(_) => {}
            }
        }
    }
    out
}

/// The blob that a file of a snapshot is another name of: what there is where symbolic links cannot be made and hard ones can.
pub(crate) fn second_name<'a>(
    (file, meta): &(PathBuf, Metadata),
    blobs: &'a [(PathBuf, Metadata)],
) -> Option<&'a Path> {
    let is_same = |(blob, other): &&(PathBuf, Metadata)| {
        other.is_file() && other.len() == meta.len() && same_file::is_same_file(blob, file).unwrap_or(false)
    };
    let blob = blobs.iter().filter(|_| meta.is_file()).find(is_same)?;
    Some(&blob.0)
}

/// The model in the first of these caches that has it complete.
pub fn find(caches: &[Cache], request: &Request) -> Option<Snapshot> {
    caches.iter().find_map(|cache| cache.find(request))
}
