//! Where things lie in a cache of huggingface_hub: paths only, no I/O.
//!
//! ```text
//! CACHE/CACHEDIR.TAG
//! CACHE/.locks/models--ORG--NAME/<etag>.lock       held while a blob is fetched, never removed
//! CACHE/blobs/<2 digits>/<hash>                    store shared by repositories (huggingface_hub 1.32 and later): read, never written
//! CACHE/models--ORG--NAME/
//!     blobs/<etag>                                 the content, or a link into the shared store
//!     blobs/<etag>.<8 digits>.incomplete           a part of it
//!     snapshots/<commit>/<path>                    a relative link to ../../blobs/<etag>
//!     refs/<revision>                              the commit, 40 digits, no line end
//!     trees/<commit>.json                          all files of the commit, their sizes and hashes
//!     trees/<commit>.listing.json                  the same (ours), where only some files of the commit were fetched
//! ```
//!
//! `<etag>` is the SHA-256 of content in large-file storage and git's SHA-1 of the rest. huggingface_hub takes `trees/<commit>.json` as
//! the promise that all its files are there, so it is only written when they are; our own name keeps what we know until then.

use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::name::{Commit, FilePath, RepoId, Revision};

/// One repository's folders in one cache.
#[derive(Clone, Debug)]
pub struct RepoDir {
    cache: PathBuf,
    dir: PathBuf,
    locks: PathBuf,
}

impl RepoDir {
    /// The folders of `repo` in the cache at `cache`.
    pub fn new(cache: &Path, repo: &RepoId) -> RepoDir {
        let folder = repo.folder();
        RepoDir {
            cache: cache.to_path_buf(),
            dir: cache.join(&folder),
            locks: cache.join(".locks").join(folder),
        }
    }

    /// The cache.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The repository's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where content lies.
    pub fn blobs(&self) -> PathBuf {
        self.dir.join("blobs")
    }

    /// The content with this hash.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.to_string())
    }

    /// One folder a commit.
    pub fn snapshots(&self) -> PathBuf {
        self.dir.join("snapshots")
    }

    /// The folder that a program loads.
    pub fn snapshot(&self, commit: &Commit) -> PathBuf {
        self.snapshots().join(commit.as_str())
    }

    /// A file of a snapshot.
    pub fn pointer(&self, commit: &Commit, path: &FilePath) -> PathBuf {
        self.snapshot(commit).join(path.to_path())
    }

    /// What the pointer links to, relative to it.
    pub fn pointer_target(path: &FilePath, digest: &Digest) -> PathBuf {
        let up = path.segments().count() + 1;
        std::iter::repeat_n("..", up)
            .collect::<PathBuf>()
            .join("blobs")
            .join(digest.to_string())
    }

    /// Where revisions' commits are noted.
    pub fn refs(&self) -> PathBuf {
        self.dir.join("refs")
    }

    /// Where this revision's commit is noted.
    pub fn reference(&self, revision: &Revision) -> PathBuf {
        self.refs().join(revision.segments().collect::<PathBuf>())
    }

    /// The listing that promises all files of the commit.
    pub fn tree(&self, commit: &Commit) -> PathBuf {
        self.dir.join("trees").join(format!("{commit}.json"))
    }

    /// The listing that promises nothing.
    pub fn listing(&self, commit: &Commit) -> PathBuf {
        self.dir.join("trees").join(format!("{commit}.listing.json"))
    }

    /// Where the repository's locks lie.
    pub fn locks(&self) -> &Path {
        &self.locks
    }

    /// Held by who fetches the blob.
    pub fn lock(&self, digest: &Digest) -> PathBuf {
        self.locks.join(format!("{digest}.lock"))
    }
}

/// The hash that a partial download is of: `<etag>.incomplete` (huggingface_hub to 1.17, hf-hub 1), `<etag>.<8 digits>.incomplete`
/// (later, and ours), `<etag>.part` (hf-hub to 0.5).
pub fn partial_of(file_name: &str) -> Option<Digest> {
    let stem = match file_name.strip_suffix(".incomplete") {
        Some(stem) => match stem.rsplit_once('.') {
            Some((stem, random)) if random.len() == 8 && random.bytes().all(|b| b.is_ascii_hexdigit()) => stem,
            _ => stem,
        },
        None => file_name.strip_suffix(".part")?,
    };
    stem.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let repo = RepoDir::new(Path::new("/c"), &"o/n".parse().unwrap());
        let digest: Digest = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391".parse().unwrap();
        let commit: Commit = "1".repeat(40).parse().unwrap();
        let path: FilePath = "sub/dir/x.txt".parse().unwrap();
        assert_eq!(
            repo.blob(&digest),
            Path::new("/c/models--o--n/blobs/e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")
        );
        let pointer = Path::new("/c/models--o--n/snapshots/1111111111111111111111111111111111111111/sub/dir/x.txt");
        assert_eq!(repo.pointer(&commit, &path), pointer);
        let target = Path::new("../../../../blobs/e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        assert_eq!(RepoDir::pointer_target(&path, &digest), target);
        assert_eq!(
            repo.reference(&"refs/pr/1".parse().unwrap()),
            Path::new("/c/models--o--n/refs/refs/pr/1")
        );
        assert_eq!(
            repo.lock(&digest),
            Path::new("/c/.locks/models--o--n/e69de29bb2d1d6434b8b29ae775ad8c2e48c5391.lock")
        );
    }

    #[test]
    fn partials() {
        let etag = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
        let digest = etag.parse().ok();
        assert_eq!(partial_of(&format!("{etag}.incomplete")), digest);
        assert_eq!(partial_of(&format!("{etag}.0a1b2c3d.incomplete")), digest);
        assert_eq!(partial_of(&format!("{etag}.part")), digest);
        for other in [
            etag.to_owned(),
            format!("{etag}.lock"),
            "x.incomplete".into(),
            format!("{etag}.xyz.incomplete"),
        ] {
            assert_eq!(partial_of(&other), None, "{other}");
        }
    }
}
