use std::path::PathBuf;

/// Result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong: where, what was expected, what was found, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read. The message is whole: `source()` has nothing to add to it.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A checkpoint (its `config.json` or weights) is not one we can run.
    #[error("{}: {problem}", path.display())]
    Checkpoint {
        /// The file that is at fault.
        path: PathBuf,
        /// Tensor or key, expected, found, remedy.
        problem: String,
    },
    /// A recording cannot be decoded.
    #[error("{}: {problem}", path.display())]
    Audio {
        /// The recording.
        path: PathBuf,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// The network gave what it never should: the checkpoint is damaged, or the device is at fault.
    #[error("{0}")]
    Model(String),
    /// Stopped on request.
    #[error("cancelled")]
    Cancelled,
    /// The request makes no sense for this model, or an option is out of range.
    #[error("{0}")]
    Request(String),
}
