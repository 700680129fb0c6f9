//! The bytes of one file, in order, from as many connections as are worth it.
//!
//! The file is cut into chunks. A connection claims the next chunk, reads it piece by piece, and hands the pieces over; the writer takes
//! them in order of their place. One connection alone claims chunk after chunk of one answer: a single request. Where that is slow and
//! the server can send ranges, others join, and each chunk is a request of its own.
//!
//! 1. No piece is read that lies further ahead of the writer than the window: this bounds memory, and the connection that has the lowest
//!    chunk can always go on, so nobody waits in a circle.
//! 2. The disk only ever sees a prefix: a killed process leaves a part that anybody can continue, without a list of holes.
//! 3. The hash follows the writer, so it is ready when the last byte is.
//!
//! Given up: the few pieces ahead of the writer when the process dies.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use ureq::BodyReader;

use super::{Job, Want};
use crate::client::{Answer, Attempts, Failure, Patience, Subject, Url, header, unreachable};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::event::Event;

const PIECE: u64 = 1 << 20; // bytes handed to the writer at a time
const GOOD_START: u64 = 64 << 10; // bytes after which a connection counts as working

/// Fetches the bytes from `from` to the end and gives them to `sink` in order. `false`: what is before `from` cannot be right.
pub(crate) fn stream(job: &Job, want: &Want, from: u64, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<bool> {
    let state = State {
        next: from,
        written: from,
        window: job.flow.window.max(PIECE),
        ready: BTreeMap::new(),
        free: Vec::new(),
        storage: None,
        ranges: false,
        several: false,
        stop: None,
    };
    let transfer = Transfer {
        job,
        want,
        state: Mutex::new(state),
        changed: Condvar::new(),
    };
    let result = thread::scope(|scope| {
        scope.spawn(|| transfer.connection());
        let result = transfer.write(from, sink, || {
            scope.spawn(|| transfer.connection());
        });
        transfer.lock().stop.get_or_insert(Stop::Done);
        transfer.changed.notify_all();
        if let Err(error) = &result {
            job.fail(error); // so that connections do not wait for bytes that nobody needs
        }
        result
    });
    if transfer.lock().several {
        job.wide.store(false, Ordering::Release);
    }
    result
}

struct Transfer<'a> {
    job: &'a Job,
    want: &'a Want,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Where the next chunk begins.
    next: u64,
    /// Bytes that the writer has dealt with.
    written: u64,
    /// How far ahead of the writer pieces may lie.
    window: u64,
    ready: BTreeMap<u64, Vec<u8>>,
    free: Vec<Vec<u8>>,
    /// Where a redirect led: a signed link, good for a while.
    storage: Option<Url>,
    /// Whether the server can send ranges.
    ranges: bool,
    several: bool,
    stop: Option<Stop>,
}

/// Why the connections end.
enum Stop {
    Done,
    Failed(Error),
    /// The server says that there is nothing at our place: begin anew.
    Restart,
}

/// An answer being read.
struct Source {
    body: BodyReader<'static>,
    /// Place of the next byte.
    at: u64,
    /// Where the answer ends.
    end: u64,
    /// Bytes before `at` that an answer without range repeats.
    skip: u64,
    received: u64,
    /// Since when these bytes have come, to notice a stall that drips.
    since: Instant,
    lately: u64,
}

impl Transfer<'_> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Takes pieces in order until the file is complete; calls `join` for each connection that should help.
    fn write(&self, from: u64, sink: &mut dyn FnMut(&[u8]) -> Result<()>, join: impl Fn()) -> Result<bool> {
        let begin = Instant::now();
        let mut state = self.lock();
        loop {
            self.job.cancel.check()?;
            match state.stop.take() {
                Some(Stop::Failed(error)) => return Err(error),
                Some(Stop::Restart) => return Ok(false),
                Some(Stop::Done) | None => {}
            }
            if state.written == self.want.size {
                return Ok(true);
            }
            let written = state.written;
            let Some(piece) = state.ready.remove(&written) else {
                let timeout = Duration::from_millis(100);
                (state, _) = self
                    .changed
                    .wait_timeout(state, timeout)
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                continue;
            };
            drop(state);
            sink(&piece)?;
            state = self.lock();
            state.written += piece.len() as u64;
            state.free.push(piece);
            if !state.several && self.is_worth_more(&state, from, begin.elapsed()) {
                state.several = true;
                state.window = self.job.flow.wide_window.max(PIECE);
                (1..self.job.flow.connections).for_each(|_| join());
            }
            self.changed.notify_all();
        }
    }

    /// Whether other connections should join: this one is slow, much is left, and no other file has them.
    fn is_worth_more(&self, state: &State, from: u64, elapsed: Duration) -> bool {
        let flow = &self.job.flow;
        let rate = (state.written - from) as f64 / elapsed.as_secs_f64();
        state.ranges
            && flow.connections > 1
            && elapsed >= flow.observe
            && rate < flow.fast_enough as f64
            && self.want.size.saturating_sub(state.next) >= 4 * flow.chunk
            && !self.job.wide.swap(true, Ordering::AcqRel)
    }

    /// Reads chunk after chunk, until there is none or something stops the transfer.
    fn connection(&self) {
        let mut source = None;
        let mut attempts = Attempts::new(self.job.client.patience());
        while let Some((begin, end)) = self.claim() {
            if let Err(stop) = self.chunk(begin, end, &mut source, &mut attempts) {
                self.lock().stop.get_or_insert(stop);
                self.changed.notify_all();
                return;
            }
        }
    }

    fn claim(&self) -> Option<(u64, u64)> {
        let mut state = self.lock();
        if state.stop.is_some() || state.next >= self.want.size {
            return None;
        }
        let begin = state.next;
        state.next = (begin + self.job.flow.chunk.max(PIECE)).min(self.want.size);
        Some((begin, state.next))
    }

    fn chunk(
        &self,
        begin: u64,
        end: u64,
        source: &mut Option<Source>,
        attempts: &mut Attempts<'_>,
    ) -> Result<(), Stop> {
        let mut place = begin;
        while place < end {
            let mut piece = self.buffer(place)?;
            let len = (end - place).min(PIECE);
            let mut filled = 0;
            if let Some(source) = source {
                (source.since, source.lately) = (Instant::now(), 0); // waiting for the disk is not the network's fault
            }
            while filled < len {
                self.job.cancel.check().map_err(Stop::Failed)?;
                let at = place + filled;
                source.take_if(|source| source.at != at || source.end <= at);
                let read = match source {
                    Some(source) => self.read(source, &mut piece[index(filled)..index(len)]),
                    None => self.open(at, end).map(|opened| {
                        *source = Some(opened);
                        0
                    }),
                };
                match read {
                    Ok(n) => {
                        filled += n;
                        if source.as_ref().is_some_and(|source| source.received >= GOOD_START) {
                            attempts.progress();
                        }
                    }
                    Err(Trouble::Stop(stop)) => return Err(stop),
                    Err(Trouble::Expired) => *source = None,
                    Err(Trouble::Failure(failure)) => {
                        *source = None;
                        self.lock().storage = None;
                        self.job.cancel.check().map_err(Stop::Failed)?;
                        let reason = failure.error.to_string();
                        let after = attempts.after(failure).map_err(Stop::Failed)?;
                        self.job.tell(Event::Retrying { reason, after });
                        self.job.cancel.sleep(after).map_err(Stop::Failed)?;
                    }
                }
            }
            piece.truncate(index(len));
            let mut state = self.lock();
            state.ready.insert(place, piece);
            self.changed.notify_all();
            place += len;
        }
        Ok(())
    }

    /// Memory for the piece at `place`, once the writer is near enough.
    fn buffer(&self, place: u64) -> Result<Vec<u8>, Stop> {
        let mut state = self.lock();
        while place + PIECE > state.written + state.window {
            if state.stop.is_some() {
                return Err(Stop::Done);
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        let mut piece = state.free.pop().unwrap_or_default();
        drop(state);
        piece.resize(index(PIECE), 0);
        Ok(piece)
    }

    /// Reads what has come; the number of bytes put into `piece`.
    fn read(&self, source: &mut Source, piece: &mut [u8]) -> Result<u64, Trouble> {
        let room = if source.skip > 0 {
            source.skip
        } else {
            source.end - source.at
        };
        let room = piece.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        let n = source
            .body
            .read(&mut piece[..room])
            .map_err(|error| self.cut_off(source.at, &error.to_string()))? as u64;
        if n == 0 {
            return Err(self.cut_off(source.at, "the answer ended"));
        }
        source.received += n;
        source.lately += n;
        let limit = self.job.client.patience().read;
        if source.since.elapsed() > limit {
            if source.lately < Patience::MIN_BYTES {
                return Err(self.cut_off(source.at, &format!("{} bytes in {} s", source.lately, limit.as_secs())));
            }
            (source.since, source.lately) = (Instant::now(), 0);
        }
        if source.skip > 0 {
            source.skip -= n;
            return Ok(0);
        }
        source.at += n;
        self.want.done.fetch_add(n, Ordering::Relaxed);
        self.job.fetched.fetch_add(n, Ordering::Relaxed);
        Ok(n)
    }

    fn cut_off(&self, at: u64, reason: &str) -> Trouble {
        let Want { commit, path, size, .. } = self.want;
        let url = self.job.client.file_url(&self.job.repo, commit, path);
        Trouble::Failure(unreachable(&url, &format!("{reason} at byte {at} of {size}")).into())
    }

    /// Asks for the bytes from `at`: to the end of the file, or of the chunk if others fetch the next one.
    fn open(&self, at: u64, chunk_end: u64) -> Result<Source, Trouble> {
        let Want {
            commit,
            path,
            digest,
            size,
            ..
        } = self.want;
        let client = &self.job.client;
        let (several, storage) = {
            let state = self.lock();
            (state.several, state.storage.clone())
        };
        let end = if several { chunk_end } else { *size };
        let range = (at > 0 || several).then(|| {
            if several {
                format!("bytes={at}-{}", end - 1)
            } else {
                format!("bytes={at}-")
            }
        });
        let first = client.file_url(&self.job.repo, commit, path);
        let subject = Subject {
            repo: &self.job.repo,
            revision: commit.as_str(),
            path: Some(path),
        };
        let url = storage.as_ref().unwrap_or(&first);
        let answer = match client.get(url, range.as_deref(), &subject) {
            Ok(answer) => answer,
            Err(Failure {
                error:
                    Error::Status {
                        status: 401 | 403 | 404 | 410,
                        ..
                    },
                ..
            }) if storage.is_some() => {
                self.lock().storage = None; // the signed link has expired: ask the Hub for another
                return Err(Trouble::Expired);
            }
            Err(Failure {
                error: Error::Status { status: 416, .. },
                ..
            }) if at > 0 => return Err(Trouble::Stop(Stop::Restart)),
            Err(failure) => return Err(Trouble::Failure(failure)),
        };
        let surprise =
            |expected: &str, found: &str| Trouble::Failure(client.surprise(&answer.url, expected, found).into());
        let Answer {
            status, ref headers, ..
        } = answer;
        if let Some(encoding) = header(headers, "content-encoding").filter(|encoding| *encoding != "identity") {
            return Err(surprise("the file itself", &format!("it encoded as {encoding}")));
        }
        if let Some(Ok(other)) = answer.linked_etag.as_deref().map(str::parse::<Digest>)
            && other != *digest
        {
            return Err(surprise(&format!("content {digest}"), &format!("content {other}")));
        }
        let body_len = match status {
            200 => *size,
            206 => {
                let expected = format!("bytes {at}-{}/{size}", end - 1);
                let found = header(headers, "content-range").unwrap_or("none");
                if found != expected {
                    return Err(surprise(&format!("the range {expected}"), found));
                }
                end - at
            }
            _ => return Err(surprise("status 200 or 206", &status.to_string())),
        };
        let page = header(headers, "content-type").is_some_and(|t| t.starts_with("text/html"))
            && !path.as_str().ends_with(".html");
        let found = header(headers, "content-length").and_then(|len| len.parse::<u64>().ok());
        if page || found.is_some_and(|found| found != body_len) {
            let kind = if page { "a web page" } else { "content" };
            let len = found.map_or_else(|| "unknown length".to_owned(), |found| format!("{found} bytes"));
            return Err(surprise(
                &format!("{body_len} bytes of {path}"),
                &format!("{kind} of {len}"),
            ));
        }
        let mut state = self.lock();
        state.ranges |= status == 206 || header(headers, "accept-ranges") == Some("bytes");
        if answer.url.full() != first.full() {
            state.storage = Some(answer.url);
        }
        Ok(Source {
            body: answer.body.into_reader(),
            at,
            end: if status == 200 { *size } else { end },
            skip: if status == 200 { at } else { 0 },
            received: 0,
            since: Instant::now(),
            lately: 0,
        })
    }
}

/// What can befall a connection.
enum Trouble {
    /// To be repeated, if patience allows.
    Failure(Failure),
    /// The signed link is no longer good; nobody's fault.
    Expired,
    Stop(Stop),
}

/// A number of bytes within a piece.
fn index(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a piece has 1 MiB")
}
