//! Parts of blobs on disk: found, taken over, begun, thrown away.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::disk::sibling;
use crate::error::{Error, Result};
use crate::inspect::names;
use crate::layout::{RepoDir, partial_of};

/// An unfinished blob, open for reading and writing.
pub(super) struct Part {
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// Bytes in it.
    pub(super) len: u64,
}

impl Part {
    /// Takes over the longest part of the blob, whoever left it, under a name of our own; else begins one. Only who holds the lock may
    /// `adopt`: otherwise somebody could still be writing.
    pub(super) fn open(repo: &RepoDir, digest: &Digest, size: u64, adopt: bool) -> Result<Part> {
        let path = sibling(&repo.blob(digest), "incomplete");
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        if adopt
            && let Some((old, _)) = longest(repo, digest, size)
            && fs::rename(&old, &path).is_ok()
        {
            match options.open(&path) {
                Ok(file) => {
                    let len = file.metadata().map_err(Error::io("read", &path))?.len();
                    return Ok(Part { file, path, len });
                }
                Err(_) => drop(fs::remove_file(&path)), // another user's: begin anew
            }
        }
        let file = options
            .create_new(true)
            .open(&path)
            .map_err(Error::io("create", &path))?;
        Ok(Part { file, path, len: 0 })
    }

    /// Forgets what has come.
    pub(super) fn restart(&mut self) -> Result<()> {
        self.file.set_len(0).map_err(Error::io("shorten", &self.path))?;
        self.len = 0;
        Ok(())
    }

    pub(super) fn discard(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Bytes of the blob that need not be fetched again.
pub(crate) fn longest_part(repo: &RepoDir, digest: &Digest, size: u64) -> u64 {
    longest(repo, digest, size).map_or(0, |(_, len)| len)
}

/// Removes what is left of earlier attempts. Call under the lock only.
pub(super) fn remove_others(repo: &RepoDir, digest: &Digest) {
    for path in parts(repo, digest) {
        let _ = fs::remove_file(path);
    }
}

fn longest(repo: &RepoDir, digest: &Digest, size: u64) -> Option<(PathBuf, u64)> {
    let with_len = |path: PathBuf| is_file(&path).map(|len| (path, len));
    parts(repo, digest)
        .into_iter()
        .filter_map(with_len)
        .filter(|(_, len)| *len <= size)
        .max_by_key(|(_, len)| *len)
}

fn parts(repo: &RepoDir, digest: &Digest) -> Vec<PathBuf> {
    let blobs = repo.blobs();
    names(&blobs)
        .filter(|name| partial_of(name) == Some(*digest))
        .map(|name| blobs.join(name))
        .collect()
}

/// The length of a file that is no link and no folder.
fn is_file(path: &Path) -> Option<u64> {
    path.symlink_metadata()
        .ok()
        .filter(fs::Metadata::is_file)
        .map(|meta| meta.len())
}
