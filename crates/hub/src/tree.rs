//! The files of a commit: their sizes and hashes, as the Hub lists them and as the cache keeps them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::disk::{Disk, create_dir, replace};
use crate::error::{Error, Result};
use crate::layout::RepoDir;
use crate::name::{Commit, FilePath, RepoId};

/// Weights in the order in which mlx_whisper looks for them, then the name that newer converters use.
pub const WEIGHTS: [&str; 3] = ["weights.safetensors", "weights.npz", "model.safetensors"];

/// The model's dimensions and quantization.
pub const CONFIG: &str = "config.json";

/// Which files of a repository are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Files {
    /// What a Whisper in MLX form needs: `config.json` and the first of [`WEIGHTS`] that there is.
    #[default]
    Model,
    /// All of them.
    All,
    /// What the snapshot holds, in whatever form: models of other programs, which take some files and leave others. Enough
    /// where something is in large-file storage, as weights always are. To fetch, it is all.
    Held,
}

/// All files of one commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    files: BTreeMap<FilePath, Entry>,
}

/// What is known of a file without having it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Length of the content in bytes.
    pub size: u64,
    /// The hash that names the blob: of the content, whatever the kind of storage.
    pub digest: Digest,
    /// Git's own object: the content, or the pointer into large-file storage.
    git: Digest,
    xet: Option<String>,
}

/// As the cache and the Hub's `tree` endpoint write an entry, joined.
#[derive(Serialize, Deserialize)]
struct Record {
    size: u64,
    blob_id: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    lfs_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    lfs_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    xet_hash: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Listing {
    format_version: u32,
    files: BTreeMap<String, Record>,
}

const FORMAT_VERSION: u32 = 1; // of huggingface_hub since 1.22
const MAX_LISTING: u64 = 32 << 20; // bytes; some 200,000 files

impl Entry {
    /// From the Hub's words; `lfs` is hash and size of content in large-file storage.
    ///
    /// # Errors
    /// Where a hash is none, so that nothing could be named after it or verified.
    pub fn new(size: u64, git: &str, lfs: Option<(&str, u64)>, xet: Option<&str>) -> Result<Entry> {
        let git = git.parse()?;
        let (digest, size) = match lfs {
            Some((sha256, size)) => (sha256.parse()?, size),
            None => (git, size),
        };
        let xet = xet
            .filter(|hash| matches!(hash.parse(), Ok(Digest::Sha256(_))))
            .map(str::to_owned);
        Ok(Entry { size, digest, git, xet })
    }

    fn record(&self) -> Record {
        let lfs = self.digest != self.git;
        Record {
            size: self.size,
            blob_id: self.git.to_string(),
            lfs_sha256: lfs.then(|| self.digest.to_string()),
            lfs_size: lfs.then_some(self.size),
            xet_hash: self.xet.clone(),
        }
    }
}

impl Tree {
    /// Adds a file.
    pub fn insert(&mut self, path: FilePath, entry: Entry) {
        self.files.insert(path, entry);
    }

    /// What is known of a file.
    pub fn get(&self, path: &FilePath) -> Option<&Entry> {
        self.files.get(path)
    }

    /// All files, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&FilePath, &Entry)> {
        self.files.iter()
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether the commit is empty.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The wanted files.
    ///
    /// # Errors
    /// [`Error::NotAModel`] where there is no config or there are no weights.
    pub fn wanted(&self, repo: &RepoId, files: Files) -> Result<Vec<(FilePath, Entry)>> {
        let paths: Vec<FilePath> = match files {
            Files::All | Files::Held => self.files.keys().cloned().collect(),
            Files::Model => model_files(repo, |name| self.files.keys().any(|path| path.as_str() == name))?,
        };
        Ok(paths
            .into_iter()
            .filter_map(|path| self.files.get(&path).cloned().map(|entry| (path, entry)))
            .collect())
    }

    /// What the cache knows of a commit: the listing that huggingface_hub writes, else ours, else nothing. A damaged one counts as absent.
    pub fn read(repo: &RepoDir, commit: &Commit) -> Option<Tree> {
        read_listing(&repo.tree(commit)).or_else(|| read_listing(&repo.listing(commit)))
    }

    /// Keeps the listing in the cache. `complete`: every file of it is there, which is what huggingface_hub takes its own listing to mean.
    pub(crate) fn write(&self, disk: &dyn Disk, repo: &RepoDir, commit: &Commit, complete: bool) -> Result<()> {
        let (path, other) = (repo.tree(commit), repo.listing(commit));
        if read_listing(&path).is_some() {
            return Ok(());
        }
        let path = if complete { path } else { other.clone() };
        if read_listing(&path).as_ref() != Some(self) {
            create_dir(path.parent().unwrap_or(repo.dir()))?;
            replace(disk, &path, &self.to_json(), true)?;
        }
        if complete {
            let _ = fs::remove_file(other);
        }
        Ok(())
    }

    /// The bytes that huggingface_hub writes: one space of indentation, no line end.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let files = self
            .files
            .iter()
            .map(|(path, entry)| (path.to_string(), entry.record()))
            .collect();
        let listing = Listing {
            format_version: FORMAT_VERSION,
            files,
        };
        let mut out = Vec::new();
        let mut json =
            serde_json::Serializer::with_formatter(&mut out, serde_json::ser::PrettyFormatter::with_indent(b" "));
        listing.serialize(&mut json).expect("numbers and strings into memory");
        out
    }

    /// Reads what [`Tree::to_json`] writes. `None` for anything else: another version, a hash that is none, a path that leads out.
    pub(crate) fn from_json(bytes: &[u8]) -> Option<Tree> {
        let listing: Listing = serde_json::from_slice(bytes).ok()?;
        if listing.format_version != FORMAT_VERSION {
            return None;
        }
        let mut tree = Tree::default();
        for (path, record) in listing.files {
            let lfs = record
                .lfs_sha256
                .as_deref()
                .map(|sha256| (sha256, record.lfs_size.unwrap_or(record.size)));
            let entry = Entry::new(record.size, &record.blob_id, lfs, record.xet_hash.as_deref()).ok()?;
            tree.insert(path.parse().ok()?, entry);
        }
        Some(tree)
    }
}

/// The files that a model needs, among those that exist.
pub(crate) fn model_files(repo: &RepoId, exists: impl Fn(&str) -> bool) -> Result<Vec<FilePath>> {
    let missing = |what: &str| Error::NotAModel {
        repo: repo.to_string(),
        missing: what.to_owned(),
    };
    let weights = WEIGHTS
        .into_iter()
        .find(|name| exists(name))
        .ok_or_else(|| missing(&WEIGHTS.join(", ")))?;
    if !exists(CONFIG) {
        return Err(missing(CONFIG));
    }
    [CONFIG, weights].into_iter().map(str::parse).collect()
}

fn read_listing(path: &Path) -> Option<Tree> {
    Tree::from_json(&read_small(path, MAX_LISTING).ok()?)
}

/// Reads a file that must not be larger than `limit` bytes.
pub(crate) fn read_small(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(std::io::Error::other("larger than such a file may be"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PYTHON: &str = r#"{
 "format_version": 1,
 "files": {
  "config.json": {
   "size": 61,
   "blob_id": "ce013625030ba8dba906f756967f9e9ca394464a"
  },
  "weights.safetensors": {
   "size": 3145728,
   "blob_id": "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
   "lfs_sha256": "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
   "lfs_size": 3145728
  }
 }
}"#;

    #[test]
    fn as_python_writes_it() {
        let tree = Tree::from_json(PYTHON.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(tree.to_json()).unwrap(), PYTHON);
        let weights = tree.get(&"weights.safetensors".parse().unwrap()).unwrap();
        assert!(matches!(weights.digest, Digest::Sha256(_)));
    }

    #[test]
    fn damaged_listings_count_as_absent() {
        assert!(
            Tree::from_json(
                PYTHON
                    .replace("\"format_version\": 1", "\"format_version\": 2")
                    .as_bytes()
            )
            .is_none()
        );
        assert!(Tree::from_json(PYTHON.replace("config.json", "../config.json").as_bytes()).is_none());
        assert!(Tree::from_json(PYTHON.replace("ce0136", "../../").as_bytes()).is_none());
        assert!(Tree::from_json(&PYTHON.as_bytes()[..80]).is_none());
    }

    #[test]
    fn wanted_files() {
        let repo: RepoId = "o/n".parse().unwrap();
        let tree = |names: &[&str]| {
            let mut tree = Tree::default();
            for name in names {
                let entry = Entry::new(1, "ce013625030ba8dba906f756967f9e9ca394464a", None, None).unwrap();
                tree.insert(name.parse().unwrap(), entry);
            }
            tree
        };
        let names = |tree: &Tree| -> Vec<String> {
            tree.wanted(&repo, Files::Model)
                .unwrap()
                .into_iter()
                .map(|(path, _)| path.to_string())
                .collect()
        };
        assert_eq!(
            names(&tree(&["a", "config.json", "weights.npz", "weights.safetensors"])),
            ["config.json", "weights.safetensors"]
        );
        assert_eq!(
            names(&tree(&["config.json", "model.safetensors", "weights.npz"])),
            ["config.json", "weights.npz"]
        );
        assert_eq!(
            names(&tree(&["config.json", "model.safetensors"])),
            ["config.json", "model.safetensors"]
        );
        assert!(
            matches!(tree(&["weights.npz"]).wanted(&repo, Files::Model), Err(Error::NotAModel { missing, .. }) if missing == CONFIG)
        );
        assert!(tree(&["config.json", "x.bin"]).wanted(&repo, Files::Model).is_err());
    }
}
