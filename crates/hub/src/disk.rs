//! The few operations of the system that fail in ways a test must be able to cause, and what is built on them.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// What may fail: no room, no right to make links, no locks on this file system.
pub(crate) trait Disk: Debug + Send + Sync {
    /// Bytes that this user can still write below `dir`.
    fn free(&self, dir: &Path) -> io::Result<u64> {
        fs4::available_space(dir)
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        #[cfg(unix)]
        let made = std::os::unix::fs::symlink(target, link);
        #[cfg(windows)]
        let made = std::os::windows::fs::symlink_file(target, link);
        #[cfg(not(any(unix, windows)))]
        let made = Err(io::ErrorKind::Unsupported.into());
        made
    }

    /// Another name for the same content, which takes no room and on Windows no special right.
    fn hard_link(&self, original: &Path, link: &Path) -> io::Result<()> {
        fs::hard_link(original, link)
    }

    /// Whether names that differ only by case are the same name. Both systems can be set otherwise; few are.
    fn folds_case(&self) -> bool {
        cfg!(any(target_os = "macos", windows))
    }

    /// `false` while another process holds the lock.
    fn try_lock(&self, file: &File) -> io::Result<bool> {
        match file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// The real thing.
#[derive(Debug)]
pub(crate) struct System;

impl Disk for System {}

/// Writes a small file whole or not at all: under another name, flushed, then renamed. `private` files are for their owner only.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8], private: bool) -> Result<()> {
    let temporary = sibling(path, "tmp");
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if private {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let _ = private;
    let mut file = options.open(&temporary).map_err(Error::io("create", &temporary))?;
    let written = disk
        .write(&mut file, bytes)
        .and_then(|()| file.sync_all())
        .map_err(Error::io("write", &temporary))
        .and_then(|()| rename(disk, &temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Renames and makes the new name last.
pub(crate) fn rename(disk: &dyn Disk, from: &Path, to: &Path) -> Result<()> {
    disk.rename(from, to)
        .map_err(Error::io("rename a finished file to", to))?;
    if let Some(dir) = to.parent() {
        sync_dir(dir);
    }
    Ok(())
}

/// Makes the names in a folder last through a power cut, where the system can.
pub(crate) fn sync_dir(dir: &Path) {
    if cfg!(unix)
        && let Ok(dir) = File::open(dir)
    {
        let _ = dir.sync_all(); // some network file systems refuse; the data itself is synced
    }
}

/// `PATH.<8 hexadecimal digits>.EXTENSION`, a name nobody else has: as huggingface_hub makes them.
pub(crate) fn sibling(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:08x}.{extension}", random()));
    path.with_file_name(name)
}

/// Creates a folder and those above it.
pub(crate) fn create_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).map_err(Error::io("create the folder", dir))
}

/// 32 bits from the system's generator, which seeds the standard library's hash maps.
fn random() -> u32 {
    let bits = RandomState::new().build_hasher().finish();
    u32::try_from(bits >> 32).unwrap_or_default()
}
