//! Removing what nobody needs: a whole model, or what interrupted downloads and deleted snapshots left behind.
//!
//! The store that repositories share (`CACHE/blobs`) is never touched: huggingface_hub keeps its books.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cache::{Cache, second_name, tree_of};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::inspect::names;
use crate::layout::{RepoDir, partial_of};
use crate::lock::{Lock, is_held};
use crate::name::RepoId;

/// Younger than this, a file that nobody refers to may be about to be linked by another process.
const FRESH: Duration = Duration::from_secs(60);

/// A file that nobody needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Garbage {
    /// The file.
    pub path: PathBuf,
    /// Bytes that its removal frees.
    pub bytes: u64,
    /// Why nobody needs it.
    pub kind: Waste,
}

/// Why a file is not needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Waste {
    /// A download that was interrupted and is not going on. The next one would continue it.
    Partial,
    /// Content that no snapshot links to.
    Orphan,
    /// Left by a process that died.
    Temporary,
}

impl Cache {
    /// What could be removed from a model's folder without harm, sorted by path.
    pub fn garbage(&self, repo: &RepoId) -> Vec<Garbage> {
        let repo = RepoDir::new(self.root(), repo);
        let blobs = tree_of(&repo.blobs());
        let name_of_blob = |file: &(PathBuf, Metadata)| {
            let blob = match second_name(file, &blobs) {
                Some(blob) => blob.to_owned(),
                None => fs::read_link(&file.0).ok()?,
            };
            Some(blob.file_name()?.to_string_lossy().into_owned())
        };
        let linked: HashSet<String> = tree_of(&repo.snapshots()).iter().filter_map(name_of_blob).collect();
        let mut out = Vec::new();
        for name in names(&repo.blobs()) {
            let path = repo.blobs().join(&name);
            let Ok(meta) = path.symlink_metadata() else { continue };
            let kind = if meta.is_dir() || linked.contains(&name) {
                None
            } else if let Some(digest) = partial_of(&name) {
                (!is_held(&repo.lock(&digest))).then_some(Waste::Partial)
            } else if name.parse::<Digest>().is_ok() {
                is_old(&meta).then_some(Waste::Orphan)
            } else {
                (is_temporary(&name) && is_old(&meta)).then_some(Waste::Temporary)
            };
            out.extend(kind.map(|kind| Garbage {
                bytes: length(&meta),
                path,
                kind,
            }));
        }
        for dir in [repo.refs(), repo.dir().join("trees")] {
            for (path, meta) in tree_of(&dir) {
                if path.extension().is_some_and(|extension| extension == "tmp") && is_old(&meta) {
                    out.push(Garbage {
                        bytes: length(&meta),
                        path,
                        kind: Waste::Temporary,
                    });
                }
            }
        }
        out.sort_by(|a, b| a.path.cmp(&b.path));
        out
    }

    /// Removes these files, unless a download has taken hold of them since. The bytes freed.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn sweep(&self, repo: &RepoId, garbage: &[Garbage]) -> Result<u64> {
        let dir = RepoDir::new(self.root(), repo);
        let still: HashSet<PathBuf> = self.garbage(repo).into_iter().map(|garbage| garbage.path).collect();
        let mut freed = 0;
        for Garbage { path, bytes, .. } in garbage.iter().filter(|garbage| still.contains(&garbage.path)) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let lock = partial_of(&name).map(|digest| Lock::if_free(&dir.lock(&digest)));
            if matches!(lock, Some(None)) {
                continue;
            }
            fs::remove_file(path).map_err(Error::io("remove", path))?;
            freed += bytes;
        }
        Ok(freed)
    }

    /// Removes a model from this cache, all its snapshots and parts. The bytes freed.
    ///
    /// # Errors
    /// While it is being downloaded, and where the system refuses.
    pub fn remove(&self, repo: &RepoId) -> Result<u64> {
        let dir = RepoDir::new(self.root(), repo);
        if names(dir.locks()).any(|name| is_held(&dir.locks().join(name))) {
            let reason = "another process is downloading this model: stop it first".to_owned();
            return Err(Error::Local {
                path: dir.dir().to_path_buf(),
                reason,
            });
        }
        if !dir.dir().is_dir() {
            return Ok(0);
        }
        let used = self.disk_use(repo);
        // First what makes it count as a model: if this is interrupted, nobody takes the rest for one.
        for part in [dir.refs(), dir.snapshots(), dir.dir().to_path_buf()] {
            if part.exists() {
                fs::remove_dir_all(&part).map_err(Error::io("remove", &part))?;
            }
        }
        Ok(used.own + used.partial)
    }
}

/// Names that huggingface_hub, hf-hub and we give to files while they are made.
fn is_temporary(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    name.starts_with("tmp_")
        || matches!(extension, Some("tmp" | "lock"))
        || (name.starts_with('.') && matches!(extension, Some("shared" | "new" | "old")))
}

fn is_old(meta: &Metadata) -> bool {
    meta.modified()
        .is_ok_and(|time| time.elapsed().is_ok_and(|age| age >= FRESH))
}

fn length(meta: &Metadata) -> u64 {
    if meta.is_file() { meta.len() } else { 0 }
}
