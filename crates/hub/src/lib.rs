//! Files: a repository name in, a verified folder out. Knows no audio.
#![forbid(unsafe_code)]

mod cache;
mod cancel;
mod digest;
mod disk;
mod error;
mod event;
mod inspect;
mod layout;
mod lock;
mod name;
mod structure;
mod tree;

pub use cache::{Cache, DiskUse, Snapshot, find};
pub use cancel::Cancel;
pub use digest::{Digest, Hasher, hash_file};
pub use error::{Error, Result, printable};
pub use event::Event;
pub use inspect::{Depth, FileReport, Problem, Report, Request, State};
pub use layout::{RepoDir, partial_of};
pub use name::{Commit, FilePath, RepoId, Revision};
pub use tree::{CONFIG, Entry, Files, Tree, WEIGHTS};
