//! One error for the whole crate: what failed, where, what was expected, what was found, what to do.

use std::io;
use std::path::{Path, PathBuf};

/// Why a model could not be had, read or changed.
///
/// No variant holds a secret: addresses come without their query, text from servers without control characters.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that cannot be one: of a repository, a revision, a file, an address.
    #[error("{what} {value:?} is not valid: {reason}")]
    Name {
        /// Which kind of name.
        what: &'static str,
        /// The name as found, printable.
        value: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// The operating system refused a file operation.
    #[error("cannot {action} {}: {error}", path.display())]
    Io {
        /// What was tried: "read", "rename to", ...
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        error: io::Error, // said above, so it is no `source`, which would be said again
    },
    /// The disk has no room for what is asked.
    #[error("no room in {}: {needed} bytes needed, {free} free", dir.display())]
    DiskFull {
        /// The cache.
        dir: PathBuf,
        /// Bytes still to be written.
        needed: u64,
        /// Bytes available.
        free: u64,
    },
    /// Something must come from the network, and the network is switched off.
    #[error("{what} is not on this machine, and the network is switched off (--offline or HF_HUB_OFFLINE)")]
    Offline {
        /// What was wanted.
        what: String,
    },
    /// No answer: no route, no name, refused, timed out, cut off.
    #[error("no answer from {address}: {reason}")]
    Unreachable {
        /// Scheme, host and path.
        address: String,
        /// What happened.
        reason: String,
    },
    /// The server answered with an error status.
    #[error("{address} answered {status}{}", detail(.message))]
    Status {
        /// Scheme, host and path.
        address: String,
        /// HTTP status.
        status: u16,
        /// The server's own words, printable, shortened.
        message: String,
    },
    /// The server's answer is not what the protocol allows here.
    #[error("{address}: expected {expected}, found {found}")]
    Answer {
        /// Scheme, host and path.
        address: String,
        /// What the answer should be.
        expected: String,
        /// What it was.
        found: String,
    },
    /// The repository does not exist, or is private and no valid token was sent.
    #[error(
        "repository {repo} is not at {endpoint}, or it is private: check the name; for a private one set HF_TOKEN (or run `hf auth login`)"
    )]
    NoRepository {
        /// Repository asked for.
        repo: String,
        /// Where.
        endpoint: String,
    },
    /// The repository exists, the revision does not.
    #[error("repository {repo} has no revision {revision:?}")]
    NoRevision {
        /// Repository asked for.
        repo: String,
        /// Branch, tag or commit asked for.
        revision: String,
    },
    /// Listed, but not there.
    #[error("repository {repo} lists {path}, but the server does not have it")]
    NoFile {
        /// Repository asked for.
        repo: String,
        /// Path in it.
        path: String,
    },
    /// A gated repository: its terms must be accepted first.
    #[error(
        "repository {repo} is gated: accept its terms at {endpoint}/{repo}, then set HF_TOKEN (or run `hf auth login`)"
    )]
    Gated {
        /// Repository asked for.
        repo: String,
        /// Where.
        endpoint: String,
    },
    /// The repository holds no MLX Whisper checkpoint.
    #[error("{repo} is no MLX Whisper model: it has no {missing}")]
    NotAModel {
        /// Repository asked for.
        repo: String,
        /// The file or files that it lacks.
        missing: String,
    },
    /// The content has another hash than its name says, twice.
    #[error(
        "{path} of {repo} arrived damaged twice: expected {expected}, found {found}; nothing was kept, try again later or on another network"
    )]
    Damaged {
        /// Repository asked for.
        repo: String,
        /// Path in it.
        path: String,
        /// Hash that the repository lists.
        expected: String,
        /// Hash of what came.
        found: String,
    },
    /// What is on disk cannot be used for this.
    #[error("{}: {reason}", path.display())]
    Local {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// The shared flag was raised; what had arrived is kept for the next time.
    #[error("stopped")]
    Cancelled,
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Turns a system error into ours, with what was tried on what.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |error| Error::Io {
            action,
            path: path.to_path_buf(),
            error,
        }
    }

    /// Whether the other side could not be asked at all or is itself in trouble, so that an answer from the cache is the best there is.
    pub fn is_outage(&self) -> bool {
        match self {
            Error::Unreachable { .. } | Error::Offline { .. } => true,
            Error::Status { status, .. } => matches!(status, 408 | 429 | 500..),
            _ => false,
        }
    }

    /// Whether the disk was full.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Error::DiskFull { .. } => true,
            Error::Io { error, .. } => {
                matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}

/// Foreign text made safe for a terminal: no control or direction-changing characters, at most 200 characters.
pub fn printable(text: &str) -> String {
    let mut out = String::new();
    for (i, c) in text.chars().enumerate() {
        if i == 200 {
            out.push('…');
            break;
        }
        let invisible =
            matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        out.push(if c.is_control() || invisible { '\u{fffd}' } else { c });
    }
    out
}

fn detail(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    }
}
