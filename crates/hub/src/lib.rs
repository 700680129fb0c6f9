//! Files: a repository name in, a verified folder out. Knows no audio.
//!
//! ```text
//! Request ──> Cache::find ──────────────────────────────────────────────> Snapshot      no network
//!         └─> Hub::snapshot ──> client ──> transfer ──> place ──> refs ──> Snapshot      asks, fetches, verifies, links, notes
//! ```
//!
//! The caches are huggingface_hub's: either program finds what the other has downloaded. The library never prints; it tells [`Event`]s.
#![forbid(unsafe_code)]

// what things are called and where they lie
mod digest;
mod layout;
mod name;
mod tree;

// what is on disk
mod cache;
mod carry;
mod disk;
mod env;
mod inspect;
mod lock;
mod place;
mod structure;
mod tidy;

// what is on the network
#[cfg(feature = "network")]
mod client;
#[cfg(feature = "network")]
mod hub;
#[cfg(feature = "network")]
mod settings;
#[cfg(feature = "network")]
mod transfer;

// who is told, and how it ends
mod cancel;
mod error;
mod event;

#[cfg(test)]
#[cfg(feature = "network")]
mod tests;

pub use cache::{Cache, DiskUse, Snapshot, find};
pub use cancel::Cancel;
#[cfg(feature = "network")]
pub use client::Patience;
pub use digest::{Digest, Hasher, hash_file};
pub use env::{Env, Token};
pub use error::{Error, Result, printable};
pub use event::Event;
#[cfg(feature = "network")]
pub use hub::{Freshness, Hub};
pub use inspect::{Depth, FileReport, Problem, Report, Request, State};
pub use layout::{RepoDir, partial_of};
pub use name::{Commit, FilePath, RepoId, Revision};
#[cfg(feature = "network")]
pub use settings::{Flow, Settings};
pub use tidy::{Garbage, Waste};
pub use tree::{CONFIG, Entry, Files, Tree, WEIGHTS};
