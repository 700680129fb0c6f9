//! Models for machines without a network: out of a cache into a plain folder (on a stick, say), and from there into another cache.
//!
//! The folder holds the files under their own names, ready for any program that loads MLX checkpoints, and `snapshot.json`, which says
//! what they are. Nothing from the folder is believed: every byte is hashed on its way into the cache.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cache::{Cache, Snapshot};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::disk::{System, create_dir, rename, replace, sibling};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::inspect::{Depth, Request};
use crate::layout::RepoDir;
use crate::lock::Lock;
use crate::name::{Commit, FilePath, RepoId, Revision};
use crate::place;
use crate::tree::{Files, Tree, read_small};

const MANIFEST: &str = "snapshot.json";
const FORMAT_VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Manifest {
    format_version: u32,
    repo: String,
    commit: String,
    /// The branch or tag that stood for the commit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    revision: Option<String>,
    files: BTreeMap<String, Content>,
    /// All files of the commit, as in `trees/<commit>.json`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    tree: Option<serde_json::Value>,
}

#[derive(Serialize, Deserialize)]
struct Content {
    size: u64,
    hash: String,
}

impl Cache {
    /// Copies a complete model into `folder`, hashing it on the way.
    ///
    /// # Errors
    /// Where the model is not complete, is damaged, or has a file whose hash nobody knows; and where the disk refuses.
    pub fn export(
        &self,
        request: &Request,
        folder: &Path,
        cancel: &Cancel,
        events: &mut dyn FnMut(Event),
    ) -> Result<()> {
        let report = self.inspect(request, Depth::Structure, cancel, events)?;
        let Some(commit) = report.commit.clone().filter(|_| report.state.is_usable()) else {
            let reason = format!(
                "{} is {} here: only a complete model can be exported",
                request.repo, report.state
            );
            return Err(Error::Local {
                path: report.dir,
                reason,
            });
        };
        create_dir(folder)?;
        let mut files = BTreeMap::new();
        for file in &report.files {
            let Some(digest) = file.digest else {
                let reason = "nobody knows its hash, so the copy could not be verified: pull the model anew".to_owned();
                return Err(Error::Local {
                    path: file.file.clone(),
                    reason,
                });
            };
            let to = folder.join(file.path.to_path());
            create_dir(to.parent().unwrap_or(folder))?;
            let part = sibling(&to, "incomplete");
            let expected = Expected {
                repo: &request.repo,
                path: &file.path,
                digest,
                size: file.size,
            };
            copy(&expected, &file.file, &part, cancel, events)?;
            rename(&System, &part, &to)?;
            files.insert(
                file.path.to_string(),
                Content {
                    size: file.size,
                    hash: digest.to_string(),
                },
            );
        }
        let tree = Tree::read(&RepoDir::new(self.root(), &request.repo), &commit);
        let manifest = Manifest {
            format_version: FORMAT_VERSION,
            repo: request.repo.to_string(),
            commit: commit.to_string(),
            revision: Some(request.revision.clone().unwrap_or_else(Revision::main))
                .filter(|revision| revision.commit().is_none())
                .map(|revision| revision.as_str().to_owned()),
            files,
            tree: tree.and_then(|tree| serde_json::from_slice(&tree.to_json()).ok()),
        };
        let mut json = serde_json::to_vec_pretty(&manifest).expect("numbers and strings into memory");
        json.push(b'\n');
        replace(&System, &folder.join(MANIFEST), &json, false)
    }

    /// Takes over a model from a folder that [`Cache::export`] made, or a `models--ORG--NAME` of another cache.
    ///
    /// # Errors
    /// A folder that is neither, content that is not what it should be, a full disk.
    pub fn import(&self, folder: &Path, cancel: &Cancel, events: &mut dyn FnMut(Event)) -> Result<Snapshot> {
        let source = match folder.join(MANIFEST).exists() {
            true => exported(folder)?,
            false => cached(folder)?,
        };
        let repo = RepoDir::new(self.root(), &source.repo);
        place::prepare(&System, &repo)?;
        let missing = source
            .files
            .iter()
            .filter(|(_, _, digest, size)| !place::has_blob(&repo, digest, *size));
        place::check_room(&System, self.root(), missing.map(|(.., size)| size).sum())?;
        for (path, from, digest, size) in &source.files {
            let lock = Lock::acquire(&System, &repo.lock(digest), cancel, || {
                events(Event::Waiting {
                    lock: repo.lock(digest),
                });
            })?;
            if !place::has_blob(&repo, digest, *size) {
                let blob = repo.blob(digest);
                let part = sibling(&blob, "incomplete");
                let expected = Expected {
                    repo: &source.repo,
                    path,
                    digest: *digest,
                    size: *size,
                };
                copy(&expected, from, &part, cancel, events)?;
                rename(&System, &part, &blob)?;
            }
            drop(lock);
            place::pointer(&System, &repo, &source.commit, path, (digest, *size), true)?;
        }
        if let Some(tree) = &source.tree {
            let complete = tree.iter().all(|(path, _)| repo.pointer(&source.commit, path).exists());
            tree.write(&System, &repo, &source.commit, complete)?;
        }
        if let Some(revision) = &source.revision {
            place::reference(&System, &repo, revision, &source.commit)?;
        }
        Ok(Snapshot {
            dir: repo.snapshot(&source.commit),
            repo: source.repo,
            commit: source.commit,
            cache: self.root().to_path_buf(),
            note: None,
            fetched: 0,
        })
    }
}

/// A model to be taken over.
struct Source {
    repo: RepoId,
    commit: Commit,
    revision: Option<Revision>,
    files: Vec<(FilePath, PathBuf, Digest, u64)>,
    tree: Option<Tree>,
}

fn exported(folder: &Path) -> Result<Source> {
    let path = folder.join(MANIFEST);
    let bytes = read_small(&path, 32 << 20).map_err(Error::io("read", &path))?;
    let damaged = |reason: String| Error::Local {
        path: path.clone(),
        reason,
    };
    let manifest: Manifest =
        serde_json::from_slice(&bytes).map_err(|error| damaged(format!("not what an export writes: {error}")))?;
    if manifest.format_version != FORMAT_VERSION {
        return Err(damaged(format!(
            "format version {} is not known",
            manifest.format_version
        )));
    }
    let mut files = Vec::new();
    for (name, content) in manifest.files {
        let file: FilePath = name.parse()?;
        let from = folder.join(file.to_path());
        files.push((file, from, content.hash.parse()?, content.size));
    }
    let commit: Commit = manifest.commit.parse()?;
    Ok(Source {
        repo: manifest.repo.parse()?,
        commit,
        revision: manifest.revision.as_deref().map(str::parse).transpose()?,
        files,
        tree: manifest
            .tree
            .and_then(|tree| Tree::from_json(tree.to_string().as_bytes())),
    })
}

fn cached(folder: &Path) -> Result<Source> {
    let folder = folder.canonicalize().map_err(Error::io("find", folder))?;
    let no_model = |reason: &str| Error::Local {
        path: folder.clone(),
        reason: reason.to_owned(),
    };
    let repo = folder
        .file_name()
        .and_then(|name| RepoId::from_folder(&name.to_string_lossy()));
    let (Some(repo), Some(cache)) = (repo, folder.parent()) else {
        return Err(no_model(
            "it has no snapshot.json (as `models export` writes it) and is no models--ORG--NAME of a cache; \
             a plain checkpoint needs no import: give its folder as --model",
        ));
    };
    let request = Request {
        repo: repo.clone(),
        revision: None,
        files: Files::Model,
    };
    let report = Cache::new(cache).glance(&request);
    let Some(commit) = report.commit.filter(|_| report.state.is_usable()) else {
        return Err(no_model(&format!("the model in it is {}", report.state)));
    };
    let mut files = Vec::new();
    for file in report.files {
        let digest = file
            .digest
            .ok_or_else(|| no_model(&format!("nobody knows the hash of {}", file.path)))?;
        files.push((file.path, file.file, digest, file.size));
    }
    let tree = Tree::read(&RepoDir::new(cache, &repo), &commit);
    Ok(Source {
        repo,
        commit,
        revision: Some(Revision::main()),
        files,
        tree,
    })
}

struct Expected<'a> {
    repo: &'a RepoId,
    path: &'a FilePath,
    digest: Digest,
    size: u64,
}

/// Copies to a new file, which stays only if it is what was expected, and is flushed.
fn copy(expected: &Expected<'_>, from: &Path, to: &Path, cancel: &Cancel, events: &mut dyn FnMut(Event)) -> Result<()> {
    let mut source = File::open(from).map_err(Error::io("read", from))?;
    let mut target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(to)
        .map_err(Error::io("create", to))?;
    let copied = (|| {
        let mut hasher = expected.digest.hasher(expected.size);
        let mut buffer = vec![0; 1 << 20];
        let mut done = 0;
        loop {
            cancel.check()?;
            let n = source.read(&mut buffer).map_err(Error::io("read", from))?;
            if n == 0 {
                break;
            }
            target.write_all(&buffer[..n]).map_err(Error::io("write", to))?;
            hasher.update(&buffer[..n]);
            done += n as u64;
            events(Event::Verified {
                path: expected.path.clone(),
                done,
                of: expected.size,
            });
        }
        let found = hasher.finish();
        if found != expected.digest {
            let reason = format!(
                "{} of {}: expected the hash {}, found {found}",
                expected.path, expected.repo, expected.digest
            );
            return Err(Error::Local {
                path: from.to_path_buf(),
                reason,
            });
        }
        target.sync_all().map_err(Error::io("write", to))
    })();
    if copied.is_err() {
        let _ = fs::remove_file(to);
    }
    copied
}
