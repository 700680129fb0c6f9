//! A model by name, wherever it is: in this program's cache, in the one that all programs share, or on the Hub.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::cache::{Cache, Snapshot, find};
use crate::cancel::Cancel;
use crate::client::{Client, Watch};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::inspect::{Depth, Report, Request};
use crate::layout::RepoDir;
use crate::name::{Commit, Revision};
use crate::place;
use crate::settings::Settings;
use crate::transfer::{Job, Want, longest_part};
use crate::tree::{Files, Tree};

/// A Hub, the cache that downloads go to, and caches of others that are read.
#[derive(Clone, Debug)]
pub struct Hub {
    settings: Settings,
    own: Cache,
    others: Vec<Cache>,
}

/// When to ask the network about a model that is on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freshness {
    /// Never, unless a branch or tag is named: what is complete is used.
    #[default]
    Cached,
    /// Always: the branch may have moved. Without an answer what is complete is used, and said.
    Newest,
}

impl Hub {
    /// Downloads go to `own`. A model that is complete in one of `others` is used there.
    pub fn new(settings: Settings, own: Cache, others: Vec<Cache>) -> Hub {
        Hub { settings, own, others }
    }

    /// The caches, this program's own first.
    pub fn caches(&self) -> Vec<Cache> {
        std::iter::once(&self.own).chain(&self.others).cloned().collect()
    }

    /// The model, if it is complete in a cache. No network.
    pub fn find(&self, request: &Request) -> Option<Snapshot> {
        find(&self.caches(), request)
    }

    /// The model, complete on disk and verified while it came; downloads what is missing.
    ///
    /// `events` is called on this thread: first [`Event::Started`] with the size, if anything is to be fetched at all. Raising `cancel`
    /// ends the call within a second; the next one goes on where this one stopped. A `refs/main` moves last, so until then the old
    /// snapshot counts, and it stays.
    ///
    /// # Errors
    /// Names, network, disk, and content that is not what the repository lists: see [`Error`].
    pub fn snapshot(
        &self,
        request: &Request,
        freshness: Freshness,
        cancel: &Cancel,
        events: &mut dyn FnMut(Event),
    ) -> Result<Snapshot> {
        let found = self.find(request);
        let moving = request
            .revision
            .as_ref()
            .is_some_and(|revision| revision.commit().is_none());
        if freshness == Freshness::Cached
            && !moving
            && let Some(found) = found
        {
            return Ok(found);
        }
        let fresh = if self.settings.offline {
            Err(offline(request))
        } else {
            self.drive(request, &self.own, cancel, events, {
                let (request, caches) = (request.clone(), self.caches());
                move |job, progress| download(job, progress, &request, &caches)
            })
        };
        match (fresh, found) {
            (Err(error), Some(found)) if error.is_outage() => {
                events(Event::Warning(format!(
                    "{error}; using what is on disk, {}",
                    found.commit
                )));
                Ok(found)
            }
            (fresh, _) => fresh,
        }
    }

    /// The commit that the Hub has for a request now. Fetches nothing else.
    ///
    /// # Errors
    /// As [`Hub::snapshot`].
    pub fn newest(&self, request: &Request, cancel: &Cancel) -> Result<Commit> {
        if self.settings.offline {
            return Err(offline(request));
        }
        let client = Client::new(&self.settings, request.repo.as_str())?;
        let revision = request.revision.clone().unwrap_or_else(Revision::main);
        let mut watch = Watch {
            cancel,
            events: &mut |_| {},
        };
        client.resolve(&request.repo, &revision, &mut watch)
    }

    /// Hashes the model in `cache` and fetches again what is wrong or missing, nothing else. What is right needs no network at all.
    ///
    /// Content is replaced in the repository's own folder only: the store that repositories share is left as it is, and programs that
    /// have the old file open keep it.
    ///
    /// # Errors
    /// As [`Hub::snapshot`].
    pub fn repair(
        &self,
        cache: &Cache,
        request: &Request,
        cancel: &Cancel,
        events: &mut dyn FnMut(Event),
    ) -> Result<Report> {
        let report = cache.inspect(request, Depth::Hash, cancel, events)?;
        if report.state.is_usable() {
            return Ok(report);
        }
        self.drive(request, cache, cancel, events, {
            let (request, report) = (request.clone(), report);
            move |job, progress| mend(job, progress, &request, &report)
        })?;
        cache.inspect(request, Depth::Hash, cancel, events)
    }

    /// Runs `work` on a thread of its own and tells its events on this one, until it is done or cancelled.
    fn drive<T: Send + 'static>(
        &self,
        request: &Request,
        cache: &Cache,
        cancel: &Cancel,
        events: &mut dyn FnMut(Event),
        work: impl FnOnce(&Job, &Progress) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let client = Client::new(&self.settings, request.repo.as_str())?;
        if self.settings.disk.folds_case()
            && let Some(twin) = cache.case_twin(&request.repo)
        {
            events(Event::Warning(format!(
                "{} and {twin} share a folder on this system",
                request.repo
            )));
        }
        let (sender, receiver) = mpsc::channel();
        let job = Arc::new(Job {
            client,
            disk: self.settings.disk.clone(),
            flow: self.settings.flow.clone(),
            repo: request.repo.clone(),
            dir: RepoDir::new(cache.root(), &request.repo),
            cancel: Cancel::new(),
            events: sender,
            wide: AtomicBool::new(false),
            full: AtomicBool::new(false),
            fetched: AtomicU64::new(0),
        });
        let progress = Arc::new(Progress::default());
        let worker = {
            let (job, progress) = (job.clone(), progress.clone());
            thread::spawn(move || work(&job, &progress))
        };
        let mut shown = Shown::default();
        let mut deadline = None;
        loop {
            let event = receiver.recv_timeout(Duration::from_millis(50));
            if deadline.is_none() {
                shown.update(&progress, events);
                if let Ok(event) = event {
                    events(event);
                }
            }
            if worker.is_finished() {
                while let (None, Ok(event)) = (deadline, receiver.try_recv()) {
                    shown.update(&progress, events);
                    events(event);
                }
                let result = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                return if deadline.is_some() {
                    result.map_err(|_| Error::Cancelled)
                } else {
                    result
                };
            }
            // The connections are cut, so the worker ends at once, unless it waits for a name server or a disk: then it is left behind.
            // Whatever it still does is as safe as if the process had been killed.
            match deadline {
                None if cancel.is_cancelled() => {
                    deadline = Some(Instant::now() + Duration::from_millis(700));
                    job.abort();
                }
                Some(deadline) if Instant::now() > deadline => return Err(Error::Cancelled),
                _ => {}
            }
        }
    }
}

/// Bytes that are here, counted by the transfers, read by the thread that tells.
#[derive(Default)]
struct Progress(OnceLock<Vec<Counter>>);

struct Counter {
    done: Arc<AtomicU64>,
    size: u64,
}

/// What has been told of it: counters fall when a file is begun anew, what is told does not.
#[derive(Default)]
struct Shown {
    done: Vec<u64>,
    all: u64,
}

impl Shown {
    fn update(&mut self, progress: &Progress, events: &mut dyn FnMut(Event)) {
        let Some(counters) = progress.0.get() else { return };
        self.done.resize(counters.len(), 0);
        for (file, (counter, shown)) in counters.iter().zip(&mut self.done).enumerate() {
            let done = counter.done.load(Ordering::Relaxed).min(counter.size);
            if done > *shown {
                self.all += done - *shown;
                *shown = done;
                events(Event::Progress {
                    file,
                    done,
                    all_done: self.all,
                });
            }
        }
    }
}

/// Finds out what the revision is now, and fetches what the caches do not have of it.
fn download(job: &Job, progress: &Progress, request: &Request, caches: &[Cache]) -> Result<Snapshot> {
    let revision = request.revision.clone().unwrap_or_else(Revision::main);
    let commit = with_watch(job, |watch| job.client.resolve(&request.repo, &revision, watch))?;
    let exact = Request {
        revision: Some(commit.clone().into()),
        ..request.clone()
    };
    if let Some(found) = find(caches, &exact) {
        if found.cache == job.dir.cache() {
            place::reference(&*job.disk, &job.dir, &revision, &commit)?;
        }
        return Ok(found);
    }
    let tree = tree(job, &commit)?;
    let wanted = tree.wanted(&request.repo, request.files)?;
    let wants = wanted.iter().map(|(path, entry)| Want {
        commit: commit.clone(),
        path: path.clone(),
        digest: entry.digest,
        size: entry.size,
        repair: false,
        done: Arc::default(),
    });
    fetch_all(job, progress, &commit, wants.collect())?;
    let complete = request.files == Files::All || tree.iter().all(|(path, _)| job.dir.pointer(&commit, path).exists());
    tree.write(&*job.disk, &job.dir, &commit, complete)?;
    place::reference(&*job.disk, &job.dir, &revision, &commit)?;
    Ok(Snapshot {
        dir: job.dir.snapshot(&commit),
        repo: request.repo.clone(),
        commit,
        cache: job.dir.cache().to_path_buf(),
        note: None,
        fetched: job.fetched.load(Ordering::Relaxed),
    })
}

/// Fetches again what a report found wrong; if the report does not even know a commit, it is a download like any other.
fn mend(job: &Job, progress: &Progress, request: &Request, report: &Report) -> Result<()> {
    let Some(commit) = report.commit.clone().filter(|_| report.reason.is_none()) else {
        return download(job, progress, request, &[]).map(drop);
    };
    let tree = tree(job, &commit)?;
    let mut wants = Vec::new();
    for (file, problem) in report.problems() {
        let Some(entry) = tree.get(&file.path) else {
            return Err(Error::NoFile {
                repo: request.repo.to_string(),
                path: file.path.to_string(),
            });
        };
        wants.push(Want {
            commit: commit.clone(),
            path: file.path.clone(),
            digest: entry.digest,
            size: entry.size,
            repair: !problem.is_absence(),
            done: Arc::default(),
        });
    }
    fetch_all(job, progress, &commit, wants)
}

/// The listing of a commit: from the cache, where it lasts for ever because a commit does, else from the Hub.
fn tree(job: &Job, commit: &Commit) -> Result<Tree> {
    if let Some(tree) = Tree::read(&job.dir, commit) {
        return Ok(tree);
    }
    let tree = with_watch(job, |watch| job.client.tree(&job.repo, commit, watch))?;
    place::prepare(&*job.disk, &job.dir)?;
    tree.write(&*job.disk, &job.dir, commit, false)?;
    Ok(tree)
}

fn with_watch<T>(job: &Job, work: impl FnOnce(&mut Watch) -> Result<T>) -> Result<T> {
    work(&mut Watch {
        cancel: &job.cancel,
        events: &mut |event| job.tell(event),
    })
}

/// Fetches files side by side, then links them into the snapshot.
fn fetch_all(job: &Job, progress: &Progress, commit: &Commit, wants: Vec<Want>) -> Result<()> {
    place::prepare(&*job.disk, &job.dir)?;
    // One task for each content, the largest first; files with the same content share it.
    let mut tasks: HashMap<Digest, Vec<&Want>> = HashMap::new();
    wants
        .iter()
        .for_each(|want| tasks.entry(want.digest).or_default().push(want));
    let mut tasks: Vec<Vec<&Want>> = tasks.into_values().collect();
    tasks.sort_by_key(|files| (std::cmp::Reverse(files[0].size), files[0].path.clone()));

    let mut needed = 0;
    for files in &tasks {
        let Want {
            digest, size, repair, ..
        } = files[0];
        let present = match place::has_blob(&job.dir, digest, *size) && !repair {
            true => *size,
            false => longest_part(&job.dir, digest, *size),
        };
        needed += size - present;
        files
            .iter()
            .for_each(|want| want.done.store(present, Ordering::Relaxed));
    }
    if needed > 0 {
        place::check_room(&*job.disk, job.dir.cache(), needed)?;
        job.tell(Event::Started {
            repo: job.repo.clone(),
            commit: commit.clone(),
            files: wants.iter().map(|want| (want.path.clone(), want.size)).collect(),
            bytes: wants.iter().map(|want| want.size).sum(),
            present: wants.iter().map(|want| want.done.load(Ordering::Relaxed)).sum(),
        });
        let counters = wants
            .iter()
            .map(|want| Counter {
                done: want.done.clone(),
                size: want.size,
            })
            .collect();
        let _ = progress.0.set(counters);
    }

    let queue = Mutex::new(tasks.into_iter().collect::<VecDeque<_>>());
    let failed = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..job.flow.files.clamp(1, wants.len().max(1)) {
            scope.spawn(|| {
                let next = || lock(&queue).pop_front(); // a function, so that the lock is not held while the file is fetched
                while let Some(files) = next() {
                    if let Err(error) = place_content(job, commit, &files, &wants) {
                        job.fail(&error);
                        // The first that is not a consequence of another.
                        let mut failed = lock(&failed);
                        if failed
                            .as_ref()
                            .is_none_or(|earlier| matches!(earlier, Error::Cancelled))
                        {
                            *failed = Some(error);
                        }
                        lock(&queue).clear();
                    }
                }
            });
        }
    });
    match failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// One content, and all files that have it.
fn place_content(job: &Job, commit: &Commit, files: &[&Want], all: &[Want]) -> Result<()> {
    let Want { digest, size, .. } = files[0];
    job.fetch(files[0])?;
    for want in files {
        place::pointer(&*job.disk, &job.dir, commit, &want.path, (digest, *size), want.repair)?;
        want.done.store(*size, Ordering::Relaxed);
        if let Some(file) = all.iter().position(|other| other.path == want.path) {
            job.tell(Event::Finished { file });
        }
    }
    Ok(())
}

/// The error for a model that is not on disk while the network is off.
fn offline(request: &Request) -> Error {
    let what = match &request.revision {
        Some(revision) => format!("{} at {revision}", request.repo),
        None => request.repo.to_string(),
    };
    Error::Offline { what }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
