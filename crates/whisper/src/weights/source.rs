//! Bytes that can be read at any place, by several readers at once.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// A file of weights, or weights inside the program. Clones share it.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A part of an open file.
    File(Arc<File>, Range<u64>),
    /// The bytes themselves.
    Memory(Arc<Cow<'static, [u8]>>),
}

impl Source {
    pub(super) fn open(path: &Path) -> io::Result<Source> {
        let metadata = path.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Source::part_of(file, 0..len))
    }

    pub(super) fn part_of(file: File, part: Range<u64>) -> Source {
        Source::File(Arc::new(file), part)
    }

    /// Bytes in all.
    pub(super) fn len(&self) -> u64 {
        match self {
            Source::File(_, part) => part.end.saturating_sub(part.start),
            Source::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// Fills `out` with the bytes from `offset` on.
    pub(super) fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        self.cursor(offset).read_exact(out)
    }

    /// A reader that starts at `position`.
    pub(super) fn cursor(&self, position: u64) -> Cursor {
        Cursor {
            source: self.clone(),
            position,
        }
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Source::File(file, part) => {
                let left = self.len().saturating_sub(offset).min(out.len() as u64);
                let out = &mut out[..usize::try_from(left).unwrap_or(usize::MAX)];
                let at = part.start.saturating_add(offset);
                #[cfg(unix)]
                return std::os::unix::fs::FileExt::read_at(&**file, out, at);
                #[cfg(windows)]
                return std::os::windows::fs::FileExt::seek_read(&**file, out, at);
            }
            Source::Memory(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                (&bytes[start..]).read(out)
            }
        }
    }
}

/// A reader with a position of its own over a shared [`Source`].
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    source: Source,
    position: u64,
}

impl Read for Cursor {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read_at(out, self.position)?;
        self.position += n as u64;
        Ok(n)
    }
}

impl Seek for Cursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.source.len().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = target.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}
