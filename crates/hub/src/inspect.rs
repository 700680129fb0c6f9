//! What is on disk of a model, without a network: nothing in this module or below it can open a connection.
//!
//! The crate builds without its feature `network`, which is the proof: then there is no HTTP library to call.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use crate::cache::tree_of;
use crate::cancel::Cancel;
use crate::digest::{Digest, hash_file};
use crate::error::{Error, Result, printable};
use crate::event::Event;
use crate::layout::{RepoDir, partial_of};
use crate::lock;
use crate::name::{Commit, FilePath, RepoId, Revision};
use crate::structure;
use crate::tree::{CONFIG, Entry, Files, Tree, WEIGHTS, model_files, read_small};

/// The Hub takes no larger file outside its storage for large ones.
const PLAIN_GIT: u64 = 10 << 20;

/// A model asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The repository.
    pub repo: RepoId,
    /// A branch, tag or commit; `None` is `main`, and any complete snapshot if the cache does not know `main`.
    pub revision: Option<Revision>,
    /// Which of its files.
    pub files: Files,
}

/// How closely to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Links, sizes, and the outer form of each file: milliseconds.
    #[default]
    Structure,
    /// Also every byte: about a second a gigabyte.
    Hash,
}

/// What there is of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Missing,
    /// Some of it; what is there is not known to be wrong.
    Incomplete,
    /// Another process is fetching it now.
    InProgress,
    /// Every file is there with the right size and form.
    Complete,
    /// Every byte has been hashed and is right.
    Verified,
    /// Something is there and wrong.
    Corrupt,
}

/// What was found of a model in one cache.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was asked.
    pub repo: RepoId,
    /// Where it was looked for.
    pub cache: PathBuf,
    /// The verdict.
    pub state: State,
    /// The commit looked at.
    pub commit: Option<Commit>,
    /// Its folder: what to load, if [`State::is_usable`].
    pub dir: PathBuf,
    /// The files that count, those missing included.
    pub files: Vec<FileReport>,
    /// What is wrong beside single files: no such revision, no listing.
    pub reason: Option<String>,
    /// What to tell the user even if all is well.
    pub note: Option<String>,
    /// Bytes of unfinished downloads.
    pub partial: u64,
    /// Bytes still to be fetched; `None` where the cache does not know.
    pub missing: Option<u64>,
}

/// What was found of one file.
#[derive(Clone, Debug)]
pub struct FileReport {
    /// Path in the repository.
    pub path: FilePath,
    /// The file itself, behind all links.
    pub file: PathBuf,
    /// Its length, 0 if it is not there.
    pub size: u64,
    /// What the repository lists, if the cache knows.
    pub listed: Option<Entry>,
    /// The hash that it should have, by its name or its listing.
    pub digest: Option<Digest>,
    /// What is wrong with it.
    pub problem: Option<Problem>,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The snapshot does not have it.
    Absent,
    /// The snapshot's link leads to content that is not there.
    NoBlob,
    /// The content should be in the store shared by repositories, and is not.
    NoSharedBlob,
    /// A link leads out of the cache, in a circle, or to something that is no file.
    BadLink(String),
    /// The link leads to other content than the repository lists.
    OtherBlob {
        /// Listed.
        expected: Digest,
        /// Linked.
        found: Digest,
    },
    /// The length is not the listed one.
    Size {
        /// Listed.
        expected: u64,
        /// On disk.
        found: u64,
    },
    /// The file is not what its name says.
    Form(String),
    /// The content has another hash.
    Hash {
        /// Named or listed.
        expected: Digest,
        /// Of the content.
        found: Digest,
    },
    /// The system does not let it be read.
    Unreadable(String),
}

impl State {
    /// Whether the model can be loaded.
    pub fn is_usable(self) -> bool {
        matches!(self, State::Complete | State::Verified)
    }
}

impl Report {
    /// Bytes of the files that are there.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// The files that are not right.
    pub fn problems(&self) -> impl Iterator<Item = (&FileReport, &Problem)> {
        self.files
            .iter()
            .filter_map(|file| Some((file, file.problem.as_ref()?)))
    }
}

impl Problem {
    /// Whether the file is not there, rather than there and wrong.
    pub fn is_absence(&self) -> bool {
        matches!(self, Problem::Absent | Problem::NoBlob | Problem::NoSharedBlob)
    }
}

/// Looks at a model in the cache at `root`. Changes nothing, fetches nothing.
///
/// # Errors
/// [`Error::Cancelled`] only: what cannot be read is part of the report.
pub(crate) fn inspect(
    root: &Path,
    request: &Request,
    depth: Depth,
    cancel: &Cancel,
    events: &mut dyn FnMut(Event),
) -> Result<Report> {
    let repo = RepoDir::new(root, &request.repo);
    let partials = partials(&repo.blobs());
    let mut look = Look {
        repo: &repo,
        request,
        cancel,
        events,
        partials: &partials,
    };
    let mut report = match look.choose()? {
        Choice::Commit(commit, note) => look.snapshot(commit, note, depth)?,
        Choice::Nothing(reason) => {
            let state = if reason.is_none() && partials.is_empty() {
                State::Missing
            } else {
                State::Incomplete
            };
            let reason = reason.or_else(|| (!partials.is_empty()).then(|| "a download was interrupted".to_owned()));
            Report {
                state,
                reason,
                ..look.empty()
            }
        }
    };
    if matches!(report.state, State::Missing | State::Incomplete) && is_locked(&repo) {
        report.state = State::InProgress;
    }
    Ok(report)
}

/// Which snapshot answers the request.
enum Choice {
    Commit(Commit, Option<String>),
    /// None, and why if there is something to say.
    Nothing(Option<String>),
}

struct Look<'a> {
    repo: &'a RepoDir,
    request: &'a Request,
    cancel: &'a Cancel,
    events: &'a mut dyn FnMut(Event),
    partials: &'a HashMap<Digest, u64>,
}

impl Look<'_> {
    fn empty(&self) -> Report {
        Report {
            repo: self.request.repo.clone(),
            cache: self.repo.cache().to_path_buf(),
            state: State::Missing,
            commit: None,
            dir: self.repo.dir().to_path_buf(),
            files: Vec::new(),
            reason: None,
            note: None,
            partial: self.partials.values().sum(),
            missing: None,
        }
    }

    fn choose(&mut self) -> Result<Choice> {
        let revision = self.request.revision.clone().unwrap_or_else(Revision::main);
        if let Some(commit) = revision.commit() {
            let known = self.repo.snapshot(&commit).is_dir();
            return Ok(if known {
                Choice::Commit(commit, None)
            } else {
                Choice::Nothing(None)
            });
        }
        let noted = read_ref(self.repo, &revision);
        if let Ref::Commit(commit) = noted {
            return Ok(Choice::Commit(commit, None));
        }
        let reason = match noted {
            Ref::Damaged => format!("refs/{revision} does not hold a commit"),
            _ => format!("the cache does not know the commit of {revision}"),
        };
        let commits = snapshots(self.repo);
        if self.request.revision.is_some() || commits.is_empty() {
            let damaged = matches!(noted, Ref::Damaged) || !commits.is_empty();
            return Ok(Choice::Nothing(damaged.then_some(reason)));
        }
        let mut complete = Vec::new();
        for commit in &commits {
            if self.snapshot(commit.clone(), None, Depth::Structure)?.state.is_usable() {
                complete.push(commit.clone());
            }
        }
        Ok(match (&complete[..], &commits[..]) {
            ([only], _) => Choice::Commit(
                only.clone(),
                Some(format!("{reason}; using its only complete snapshot, {only}")),
            ),
            ([], [only]) => Choice::Commit(only.clone(), Some(reason)),
            ([], _) => Choice::Nothing(Some(format!(
                "{reason}, and none of its {} snapshots is complete",
                commits.len()
            ))),
            _ => Choice::Nothing(Some(format!(
                "{reason}, and {} snapshots are complete: name a commit",
                complete.len()
            ))),
        })
    }

    fn snapshot(&mut self, commit: Commit, note: Option<String>, depth: Depth) -> Result<Report> {
        let tree = Tree::read(self.repo, &commit);
        let dir = self.repo.snapshot(&commit);
        let (paths, mut reason) = self.paths(&dir, tree.as_ref());
        let mut files = Vec::new();
        for path in paths {
            files.push(self.file(&commit, path, tree.as_ref(), depth)?);
        }
        if !dir.is_dir() {
            reason = Some(format!("the snapshot {commit} is not there"));
        }
        let absent = reason.is_some()
            || files
                .iter()
                .any(|f| f.problem.as_ref().is_some_and(Problem::is_absence));
        let corrupt = files
            .iter()
            .any(|f| f.problem.as_ref().is_some_and(|problem| !problem.is_absence()));
        let hashed = depth == Depth::Hash && files.iter().all(|file| file.digest.is_some());
        let state = match (corrupt, absent) {
            (true, _) => State::Corrupt,
            (_, true) => State::Incomplete,
            _ if hashed => State::Verified,
            _ => State::Complete,
        };
        let unverified = files.iter().find(|file| depth == Depth::Hash && file.digest.is_none());
        let note =
            note.or_else(|| unverified.map(|f| format!("no hash is known for {}: only its form was checked", f.path)));
        let missing = files
            .iter()
            .map(|file| self.missing(file))
            .sum::<Option<u64>>()
            .filter(|_| reason.is_none());
        Ok(Report {
            state,
            commit: Some(commit),
            dir,
            files,
            reason,
            note,
            missing,
            ..self.empty()
        })
    }

    /// The files that count: by the listing, else by what the snapshot has.
    fn paths(&self, dir: &Path, tree: Option<&Tree>) -> (Vec<FilePath>, Option<String>) {
        let repo = &self.request.repo;
        let listed = |name: &str| tree.is_some_and(|tree| tree.iter().any(|(path, _)| path.as_str() == name));
        let there = |name: &str| dir.join(name).symlink_metadata().is_ok();
        if self.request.files == Files::Held {
            return self.held(dir, tree);
        }
        if self.request.files == Files::All {
            return match tree {
                Some(tree) => (tree.iter().map(|(path, _)| path.clone()).collect(), None),
                None => (
                    Vec::new(),
                    Some("the cache does not know all files of the commit".to_owned()),
                ),
            };
        }
        // Any of the weights will do, so the ones on disk count before those that are only listed.
        let weights = WEIGHTS
            .into_iter()
            .find(|name| there(name))
            .or_else(|| WEIGHTS.into_iter().find(|name| listed(name)));
        match model_files(repo, |name| {
            Some(name) == weights || (name == CONFIG && (there(name) || listed(name)))
        }) {
            Ok(paths) => (paths, None),
            Err(error) => {
                let present = [Some(CONFIG).filter(|name| there(name)), weights].into_iter().flatten();
                let reason = match error {
                    Error::NotAModel { missing, .. } => format!("no {missing}"),
                    other => other.to_string(),
                };
                (present.filter_map(|name| name.parse().ok()).collect(), Some(reason))
            }
        }
    }

    /// What the snapshot has, and why that cannot be all.
    fn held(&self, dir: &Path, tree: Option<&Tree>) -> (Vec<FilePath>, Option<String>) {
        let mut paths: Vec<FilePath> = tree_of(dir)
            .iter()
            .filter_map(|(path, _)| {
                let segments = path.strip_prefix(dir).ok()?.components();
                let segments: Option<Vec<_>> = segments.map(|segment| segment.as_os_str().to_str()).collect();
                segments?.join("/").parse().ok()
            })
            .collect();
        paths.sort();
        let is_large = |path: &FilePath| {
            let blob = fs::read_link(dir.join(path.to_path())).ok();
            let name = blob
                .as_deref()
                .and_then(|blob| blob.file_name()?.to_str()?.parse().ok());
            let listed = tree.and_then(|tree| tree.get(path)).map(|entry| entry.digest);
            matches!(listed.or(name), Some(Digest::Sha256(_)))
                || fs::metadata(dir.join(path.to_path())).is_ok_and(|meta| meta.len() > PLAIN_GIT)
        };
        let reason = if !self.partials.is_empty() {
            Some("a download was interrupted".to_owned())
        } else {
            (!paths.iter().any(is_large)).then(|| "no weights".to_owned())
        };
        (paths, reason)
    }

    fn file(&mut self, commit: &Commit, path: FilePath, tree: Option<&Tree>, depth: Depth) -> Result<FileReport> {
        let listed = tree.and_then(|tree| tree.get(&path)).cloned();
        let mut report = FileReport {
            file: self.repo.pointer(commit, &path),
            size: 0,
            digest: listed.as_ref().map(|entry| entry.digest),
            listed,
            problem: None,
            path,
        };
        match locate(self.repo, commit, &report.path) {
            Ok(found) => {
                report.size = found.len;
                report.file = found.file;
                report.problem = self.judge(&mut report, found.digest, depth)?;
            }
            Err(problem) => report.problem = Some(problem),
        }
        Ok(report)
    }

    fn judge(&mut self, report: &mut FileReport, name: Option<Digest>, depth: Depth) -> Result<Option<Problem>> {
        if let (Some(expected), Some(found)) = (report.digest, name)
            && expected != found
        {
            return Ok(Some(Problem::OtherBlob { expected, found }));
        }
        report.digest = report.digest.or(name);
        if let Some(entry) = &report.listed
            && entry.size != report.size
        {
            return Ok(Some(Problem::Size {
                expected: entry.size,
                found: report.size,
            }));
        }
        if let Err(reason) = structure::check(report.path.as_str(), &report.file) {
            return Ok(Some(Problem::Form(reason)));
        }
        let Some(expected) = report.digest.filter(|_| depth == Depth::Hash) else {
            return Ok(None);
        };
        let (path, of, mut done) = (report.path.clone(), report.size, 0);
        let events = &mut *self.events;
        let hash = hash_file(&report.file, &expected, self.cancel, &mut |n| {
            done += n;
            events(Event::Verified {
                path: path.clone(),
                done,
                of,
            });
        });
        match hash {
            Ok(found) if found == expected => Ok(None),
            Ok(found) => Ok(Some(Problem::Hash { expected, found })),
            Err(Error::Cancelled) => Err(Error::Cancelled),
            Err(error) => Ok(Some(Problem::Unreadable(error.to_string()))),
        }
    }

    /// Bytes to fetch for a file to be right.
    fn missing(&self, file: &FileReport) -> Option<u64> {
        match (&file.problem, &file.listed) {
            (None, _) => Some(0),
            (Some(problem), Some(entry)) => {
                let partial = self.partials.get(&entry.digest).copied().unwrap_or(0);
                let partial = if problem.is_absence() && partial <= entry.size {
                    partial
                } else {
                    0
                };
                Some(entry.size - partial)
            }
            (Some(_), None) => None,
        }
    }
}

/// Where a snapshot's link leads.
pub(crate) struct Located {
    pub(crate) file: PathBuf,
    pub(crate) len: u64,
    /// The hash in the blob's name; `None` for a file that lies in the snapshot itself, and for odd names.
    pub(crate) digest: Option<Digest>,
}

/// Follows a snapshot's link: to the repository's blobs, and from there at most once into the shared store.
pub(crate) fn locate(repo: &RepoDir, commit: &Commit, path: &FilePath) -> Result<Located, Problem> {
    let pointer = repo.pointer(commit, path);
    let found = |file: PathBuf, len, digest| {
        // Folders on the way could be links too.
        let inside = match (file.canonicalize(), repo.cache().canonicalize()) {
            (Ok(file), Ok(cache)) => file.starts_with(cache),
            _ => false,
        };
        if inside {
            Ok(Located { file, len, digest })
        } else {
            Err(Problem::BadLink("it leads out of the cache".into()))
        }
    };
    let meta = stat(&pointer, Problem::Absent)?;
    if meta.is_file() {
        return found(pointer, meta.len(), None);
    }
    let blob = hop(&pointer, &meta)?;
    let name = match blob
        .strip_prefix(repo.blobs())
        .map(|rest| rest.components().collect::<Vec<_>>())
    {
        Ok(rest) => match rest[..] {
            [Component::Normal(name)] => name.to_string_lossy().into_owned(),
            _ => return Err(bad_link(&blob)),
        },
        Err(_) => return Err(bad_link(&blob)),
    };
    let digest = name.parse().ok();
    let meta = stat(&blob, Problem::NoBlob)?;
    if meta.is_file() {
        return found(blob, meta.len(), digest);
    }
    let shared = hop(&blob, &meta)?;
    if !shared
        .strip_prefix(repo.cache().join("blobs"))
        .is_ok_and(|rest| rest.components().count() == 2)
    {
        return Err(bad_link(&shared));
    }
    let meta = stat(&shared, Problem::NoSharedBlob)?;
    if meta.is_file() {
        found(shared, meta.len(), digest)
    } else {
        Err(bad_link(&shared))
    }
}

fn stat(path: &Path, absent: Problem) -> Result<fs::Metadata, Problem> {
    path.symlink_metadata().map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => absent,
        _ => Problem::Unreadable(error.to_string()),
    })
}

/// One link followed, by its text alone.
fn hop(link: &Path, meta: &fs::Metadata) -> Result<PathBuf, Problem> {
    if !meta.is_symlink() {
        return Err(Problem::BadLink("it is no file".into()));
    }
    let target = fs::read_link(link).map_err(|error| Problem::Unreadable(error.to_string()))?;
    let mut out = link.parent().unwrap_or(link).to_path_buf();
    for part in target.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    Ok(out)
}

fn bad_link(to: &Path) -> Problem {
    Problem::BadLink(format!("it leads to {}", printable(&to.to_string_lossy())))
}

/// What a file of `refs` says.
pub(crate) enum Ref {
    Absent,
    Damaged,
    Commit(Commit),
}

/// Reads a revision's commit; a line end (some tools write one) is forgiven.
pub(crate) fn read_ref(repo: &RepoDir, revision: &Revision) -> Ref {
    match read_small(&repo.reference(revision), 4096) {
        Ok(bytes) => match String::from_utf8_lossy(&bytes).trim().parse() {
            Ok(commit) => Ref::Commit(commit),
            Err(_) => Ref::Damaged,
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ref::Absent,
        Err(_) => Ref::Damaged,
    }
}

/// The commits that have a folder, sorted.
pub(crate) fn snapshots(repo: &RepoDir) -> Vec<Commit> {
    let mut commits: Vec<Commit> = names(&repo.snapshots()).filter_map(|name| name.parse().ok()).collect();
    commits.sort();
    commits
}

/// The longest unfinished download of each content.
fn partials(blobs: &Path) -> HashMap<Digest, u64> {
    let mut out = HashMap::new();
    for entry in fs::read_dir(blobs).into_iter().flatten().flatten() {
        if let (Some(digest), Ok(meta)) = (
            partial_of(&entry.file_name().to_string_lossy()),
            entry.path().symlink_metadata(),
        ) && meta.is_file()
        {
            let longest = out.entry(digest).or_insert(0);
            *longest = meta.len().max(*longest);
        }
    }
    out
}

fn is_locked(repo: &RepoDir) -> bool {
    names(repo.locks()).any(|name| name.ends_with(".lock") && lock::is_held(&repo.locks().join(name)))
}

/// Names in a folder; none if it cannot be read.
pub(crate) fn names(dir: &Path) -> impl Iterator<Item = String> {
    fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::Missing => "missing",
            State::Incomplete => "incomplete",
            State::InProgress => "in progress",
            State::Complete => "complete",
            State::Verified => "verified",
            State::Corrupt => "corrupt",
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Absent => f.write_str("not downloaded"),
            Problem::NoBlob => f.write_str("its content is not there"),
            Problem::NoSharedBlob => f.write_str("its content is gone from the shared store"),
            Problem::BadLink(reason) => write!(f, "not a link of a cache: {reason}"),
            Problem::OtherBlob { expected, found } => {
                write!(f, "expected the content {expected}, found a link to {found}")
            }
            Problem::Size { expected, found } => write!(f, "expected {expected} bytes, found {found}"),
            Problem::Form(reason) => f.write_str(reason),
            Problem::Hash { expected, found } => write!(f, "expected the hash {expected}, found {found}"),
            Problem::Unreadable(reason) => write!(f, "cannot be read: {reason}"),
        }
    }
}
