//! What long work tells while it runs. The library never prints.

use std::path::PathBuf;
use std::time::Duration;

use crate::name::{Commit, FilePath, RepoId};

/// One thing that happened. Given to the caller's function on the caller's own thread.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A download begins: before the first byte of a file.
    Started {
        /// From where.
        repo: RepoId,
        /// Which state of it.
        commit: Commit,
        /// Wanted files with their sizes, in the order of the indices below.
        files: Vec<(FilePath, u64)>,
        /// Bytes of all wanted files.
        bytes: u64,
        /// Bytes already here, parts of files included.
        present: u64,
    },
    /// How far a file is, and all of them together. Never decreases, never above the total.
    Progress {
        /// Index in `files`.
        file: usize,
        /// Bytes of the file that are here.
        done: u64,
        /// Bytes of all files that are here.
        all_done: u64,
    },
    /// A file is complete and verified.
    Finished {
        /// Index in `files`.
        file: usize,
    },
    /// Bytes read while verifying what is on disk.
    Verified {
        /// Which file.
        path: FilePath,
        /// Bytes hashed so far.
        done: u64,
        /// Its size.
        of: u64,
    },
    /// Another process holds the file's lock: it is fetching the same content.
    Waiting {
        /// The lock.
        lock: PathBuf,
    },
    /// An attempt failed and will be repeated.
    Retrying {
        /// What went wrong.
        reason: String,
        /// How long until the next attempt.
        after: Duration,
    },
    /// Something the user should know.
    Warning(String),
}
