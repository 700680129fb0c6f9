//! Where a recording comes from: a file, standard input, a FIFO.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// What cannot be read twice is copied to a temporary file up to this size: 6 h of 48 kHz 32-bit stereo.
const MAX_SPOOLED: u64 = 8 << 30;

/// A file that can be opened again and again.
pub(super) struct Input {
    path: PathBuf,
    /// Deleted with it.
    _spooled: Option<NamedTempFile>,
}

impl Input {
    /// `-` is standard input. What can be read only once is copied to a file in `spool_folder`.
    pub(super) fn open(path: &Path, spool_folder: Option<&Path>) -> io::Result<Input> {
        if path == Path::new("-") {
            return spool(io::stdin().lock(), spool_folder);
        }
        // Open first: what a name stands for may change between a look and an opening.
        let file = File::open(path)?;
        let kind = file.metadata()?;
        if kind.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        if !kind.is_file() {
            return spool(file, spool_folder);
        }
        Ok(Input {
            path: path.to_owned(),
            _spooled: None,
        })
    }

    /// The file, from its start.
    pub(super) fn file(&self) -> io::Result<File> {
        File::open(&self.path)
    }

    /// Where it lies on the disk.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn spool(source: impl Read, folder: Option<&Path>) -> io::Result<Input> {
    let mut copy = folder.map_or_else(NamedTempFile::new, NamedTempFile::new_in)?;
    let bytes = io::copy(&mut source.take(MAX_SPOOLED + 1), &mut copy)?;
    if bytes > MAX_SPOOLED {
        return Err(io::Error::other(format!(
            "more than {} GB that can be read only once; save it to a file first",
            MAX_SPOOLED >> 30
        )));
    }
    Ok(Input {
        path: copy.path().to_owned(),
        _spooled: Some(copy),
    })
}
