//! One blob: lock, take over what is there of it, fetch the rest, verify, and only then give it its name.
//!
//! The part is called `<etag>.<8 digits>.incomplete`, so huggingface_hub knows it for what it is. It only ever holds a prefix of the
//! content, whoever wrote it, so any part can be continued; its bytes are hashed again on the way, so none has to be trusted.

mod part;
mod stream;

use std::io::Seek;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use crate::cancel::Cancel;
use crate::client::Client;
use crate::digest::{Digest, hash_file, hash_into};
use crate::disk::{Disk, rename};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::layout::RepoDir;
use crate::lock::Lock;
use crate::name::{Commit, FilePath, RepoId};
use crate::place::has_blob;
use crate::settings::Flow;
use part::Part;
pub(crate) use part::longest_part;
pub(crate) use stream::stream;

/// What all transfers of one download share.
pub(crate) struct Job {
    pub(crate) client: Client,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) flow: Flow,
    pub(crate) repo: RepoId,
    pub(crate) dir: RepoDir,
    pub(crate) cancel: Cancel,
    pub(crate) events: mpsc::Sender<Event>,
    /// Taken by the one file that may use several connections.
    pub(crate) wide: AtomicBool,
    /// Whether the disk has turned out to be full.
    pub(crate) full: AtomicBool,
    /// Bytes that came over the network.
    pub(crate) fetched: AtomicU64,
}

/// A blob to be had.
pub(crate) struct Want {
    pub(crate) commit: Commit,
    pub(crate) path: FilePath,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    /// What is there is known to be wrong.
    pub(crate) repair: bool,
    /// Bytes of it that are here.
    pub(crate) done: Arc<AtomicU64>,
}

impl Job {
    pub(crate) fn tell(&self, event: Event) {
        let _ = self.events.send(event); // nobody listens after a cancellation
    }

    /// Stops all transfers.
    pub(crate) fn abort(&self) {
        self.cancel.cancel();
        self.client.shutdown();
    }

    /// Stops all transfers because one has failed.
    pub(crate) fn fail(&self, error: &Error) {
        self.full.fetch_or(error.is_disk_full(), Ordering::Relaxed);
        self.abort();
    }

    /// Makes sure that the blob is there, whole and verified.
    pub(crate) fn fetch(&self, want: &Want) -> Result<()> {
        let path = self.dir.lock(&want.digest);
        let waiting = || self.tell(Event::Waiting { lock: path.clone() });
        let lock = Lock::acquire(&*self.disk, &path, &self.cancel, waiting)?;
        if self.is_there(want, lock.waited)? {
            want.done.store(want.size, Ordering::Relaxed);
            return Ok(());
        }
        let mut part = Part::open(&self.dir, &want.digest, want.size, lock.is_exclusive())?;
        let kept = self
            .fill(want, &mut part)
            .and_then(|()| part.finish(&*self.disk, &self.dir.blob(&want.digest)));
        match kept {
            Ok(()) => {
                if lock.is_exclusive() {
                    part::remove_others(&self.dir, &want.digest);
                }
                Ok(())
            }
            Err(error) => {
                // A full disk is worse for everybody on the machine than a download begun anew.
                self.fail(&error);
                let useless = part.len == 0 || matches!(error, Error::Damaged { .. });
                if useless || self.full.load(Ordering::Relaxed) {
                    part.discard();
                }
                Err(error)
            }
        }
    }

    /// Whether the content is there already: by its size, and by its hash where that was wrong before.
    fn is_there(&self, want: &Want, waited: bool) -> Result<bool> {
        if !has_blob(&self.dir, &want.digest, want.size) {
            return Ok(false);
        }
        if !want.repair {
            return Ok(true);
        }
        // Somebody else may have repaired it while we waited.
        Ok(waited && hash_file(&self.dir.blob(&want.digest), &want.digest, &self.cancel, &mut |_| {})? == want.digest)
    }

    /// Continues the part until it is the content; begins anew once if it turns out to be something else.
    fn fill(&self, want: &Want, part: &mut Part) -> Result<()> {
        for last in [false, true] {
            want.done.store(0, Ordering::Relaxed);
            let mut hasher = want.digest.hasher(want.size);
            part.file.rewind().map_err(Error::io("read", &part.path))?;
            hash_into(&mut hasher, &mut part.file, &part.path, &self.cancel, &mut |n| {
                want.done.fetch_add(n, Ordering::Relaxed);
            })?;
            let whole = part.len == want.size || {
                let Part { file, path, len } = &mut *part;
                stream(self, want, *len, &mut |bytes| {
                    self.disk.write(file, bytes).map_err(Error::io("write", path))?;
                    *len += bytes.len() as u64;
                    hasher.update(bytes);
                    Ok(())
                })?
            };
            let found = hasher.finish();
            if whole && found == want.digest {
                return Ok(());
            }
            if last {
                return Err(Error::Damaged {
                    repo: self.repo.to_string(),
                    path: want.path.to_string(),
                    expected: want.digest.to_string(),
                    found: found.to_string(),
                });
            }
            let reason = format!(
                "{} did not arrive as the repository lists it: fetching it anew",
                want.path
            );
            self.tell(Event::Warning(reason));
            part.restart()?;
        }
        unreachable!("the second pass returns")
    }
}

impl Part {
    /// Gives the verified part its name.
    fn finish(&mut self, disk: &dyn Disk, blob: &std::path::Path) -> Result<()> {
        self.file.sync_all().map_err(Error::io("write", &self.path))?;
        rename(disk, &self.path, blob)
    }
}
