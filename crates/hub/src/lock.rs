//! One process at a time fetches a blob: `flock` on `.locks/…/<etag>.lock`, as huggingface_hub does.
//!
//! Nothing here is needed for correctness, only to save a second download: content is verified before it gets its name, and parts that
//! others may be writing are only taken over under the lock. Where the file system has no locks the work goes on without.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::cancel::Cancel;
use crate::disk::{Disk, create_dir};
use crate::error::{Error, Result};

/// Held until dropped. The file stays, as everybody's do: removing it would let two hold "the" lock.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "network"),
    expect(dead_code, reason = "only downloads ask what the lock is worth")
)]
pub(crate) struct Lock {
    /// `None` where the file system has no locks.
    file: Option<File>,
    /// Whether somebody else held it first, so that what was seen before may have changed.
    pub(crate) waited: bool,
}

impl Lock {
    /// Waits for the lock as long as it takes, calling `waiting` once if it has to.
    pub(crate) fn acquire(disk: &dyn Disk, path: &Path, cancel: &Cancel, mut waiting: impl FnMut()) -> Result<Lock> {
        if let Some(dir) = path.parent() {
            create_dir(dir)?;
        }
        let file = open(path).map_err(Error::io("create the lock", path))?;
        let mut waited = false;
        loop {
            match disk.try_lock(&file) {
                Ok(true) => {
                    return Ok(Lock {
                        file: Some(file),
                        waited,
                    });
                }
                Ok(false) => {
                    if !waited {
                        waiting();
                    }
                    waited = true;
                    cancel.sleep(Duration::from_millis(100))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Ok(Lock { file: None, waited }),
            }
        }
    }

    /// The lock, if nobody else holds it; without waiting.
    pub(crate) fn if_free(path: &Path) -> Option<Lock> {
        create_dir(path.parent()?).ok()?;
        let file = open(path).ok()?;
        match file.try_lock() {
            Ok(()) => Some(Lock {
                file: Some(file),
                waited: false,
            }),
            Err(std::fs::TryLockError::WouldBlock) => None,
            Err(std::fs::TryLockError::Error(_)) => Some(Lock {
                file: None,
                waited: false,
            }),
        }
    }

    /// Whether it keeps others out.
    #[cfg(feature = "network")]
    pub(crate) fn is_exclusive(&self) -> bool {
        self.file.is_some()
    }
}

/// Whether another process holds the lock. Creates nothing; `false` where that cannot be found out.
pub(crate) fn is_held(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
}

fn open(path: &Path) -> io::Result<File> {
    let open = |create: bool| OpenOptions::new().read(true).write(true).create_new(create).open(path);
    match open(true) {
        #[cfg(unix)]
        Ok(file) => {
            // Whatever the umask, so that people who share a cache through a group can wait for each other (huggingface_hub too).
            use std::os::unix::fs::PermissionsExt;
            let _ = file.set_permissions(std::fs::Permissions::from_mode(0o664));
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open(false).or_else(|_| File::open(path)),
        other => other,
    }
}
