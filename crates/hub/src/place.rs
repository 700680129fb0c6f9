//! Putting verified content where a cache wants it: links, references, listings. Each step is whole or not at all.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use crate::digest::Digest;
use crate::disk::{Disk, create_dir, rename, replace, sibling};
use crate::error::{Error, Result};
use crate::inspect::{Ref, locate, read_ref};
use crate::layout::RepoDir;
use crate::name::{Commit, FilePath, Revision};

/// As huggingface_hub writes it since 1.9, so that backups leave caches out.
const CACHEDIR_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # This file is a cache directory tag created by huggingface_hub.\n\
    # For information about cache directory tags, see:\n\
    #\thttps://bford.info/cachedir/\n";

/// Makes the cache's and the repository's folders.
pub(crate) fn prepare(disk: &dyn Disk, repo: &RepoDir) -> Result<()> {
    create_dir(&repo.blobs())?;
    create_dir(&repo.snapshots())?;
    let tag = repo.cache().join("CACHEDIR.TAG");
    if tag.metadata().is_ok_and(|meta| meta.len() > 0) {
        return Ok(());
    }
    // Nobody reads it for its content but us: an empty one, of a process that was killed here, is written again.
    File::create(&tag)
        .and_then(|mut file| disk.write(&mut file, CACHEDIR_TAG.as_bytes()))
        .map_err(Error::io("write", &tag))
}

/// The disk must have room before the first byte comes.
pub(crate) fn check_room(disk: &dyn Disk, cache: &Path, needed: u64) -> Result<()> {
    match disk.free(cache) {
        Ok(free) if free < needed => Err(Error::DiskFull {
            dir: cache.to_path_buf(),
            needed,
            free,
        }),
        _ => Ok(()), // a system that cannot say is no reason to stop
    }
}

/// Whether the content with this hash is there, at its full size.
pub(crate) fn has_blob(repo: &RepoDir, digest: &Digest, size: u64) -> bool {
    let blob = repo.blob(digest);
    let Ok(meta) = blob.metadata() else { return false };
    let inside = || match (blob.canonicalize(), repo.cache().canonicalize()) {
        (Ok(blob), Ok(cache)) => blob.starts_with(cache),
        _ => false,
    };
    meta.is_file() && meta.len() == size && inside()
}

/// Puts a file into a snapshot: a link to its content, or the content itself where links cannot be made. A `doubtful` file of the right
/// size is replaced; otherwise it passes for the form without links.
pub(crate) fn pointer(
    disk: &dyn Disk,
    repo: &RepoDir,
    commit: &Commit,
    path: &FilePath,
    (digest, size): (&Digest, u64),
    doubtful: bool,
) -> Result<()> {
    let pointer = repo.pointer(commit, path);
    match locate(repo, commit, path) {
        Ok(found) if found.digest == Some(*digest) => return Ok(()),
        Ok(found) if found.digest.is_none() && found.len == size && !doubtful => return Ok(()),
        _ => {}
    }
    create_dir(pointer.parent().unwrap_or(repo.dir()))?;
    let target = RepoDir::pointer_target(path, digest);
    // A link made beside the blobs and renamed: whoever loads the model sees the old file or the new one, and a scan of the snapshot
    // never sees a stray. (The text of a link does not care where the link is made.)
    let temporary = sibling(&repo.blob(digest), "tmp");
    let done = match disk.symlink(&target, &temporary) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::StorageFull => Err(Error::io("link", &pointer)(error)),
        Err(_) => without_link(disk, &repo.blob(digest), &temporary).map_err(Error::io("copy to", &pointer)),
    };
    let done = done.and_then(|()| rename(disk, &temporary, &pointer));
    let _ = fs::remove_file(&temporary); // renaming one name of a file to another one of it leaves both
    done
}

/// No right to make symbolic links (Windows), no links at all (exFAT): a second name for the blob, else a copy of it.
fn without_link(disk: &dyn Disk, blob: &Path, to: &Path) -> std::io::Result<()> {
    let is_own = blob.symlink_metadata()?.is_file(); // what is in the shared store stays its own
    if is_own && disk.hard_link(blob, to).is_ok() {
        return Ok(());
    }
    fs::copy(blob, to).map(drop)
}

/// Notes the commit of a branch or tag, if it is another than before. The last step of a download: until then the old one counts.
pub(crate) fn reference(disk: &dyn Disk, repo: &RepoDir, revision: &Revision, commit: &Commit) -> Result<()> {
    if revision.commit().is_some() {
        return Ok(());
    }
    let path = repo.reference(revision);
    // Read as huggingface_hub reads it: with a line end it would not find the snapshot.
    let same = matches!(read_ref(repo, revision), Ref::Commit(old) if old == *commit)
        && path.metadata().is_ok_and(|meta| meta.len() == 40);
    if same {
        return Ok(());
    }
    create_dir(path.parent().unwrap_or(repo.dir()))?;
    replace(disk, &path, commit.as_str().as_bytes(), false)
}
