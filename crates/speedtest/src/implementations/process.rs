//! A child process and what is said to it: a group of its own, one line each way, never longer than a time limit.
//!
//! The group (a job object on Windows) is everything that the child starts: it is watched and killed as a whole.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use process_wrap::std::{ChildWrapper, CommandWrap};
use serde::{Deserialize, Serialize};

use super::protocol::{MAX_LINE, Reply, Request};
use crate::interrupt;

/// How to start a runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// Set for the child, over what it inherits.
    pub(crate) environment: Vec<(OsString, OsString)>,
}

/// A runner that is alive, as far as we know.
pub(crate) struct Child {
    group: Group,
    requests: Option<ChildStdin>,
    replies: Receiver<Line>,
    complaints: Arc<Mutex<Tail>>,
    complaining: JoinHandle<()>,
}

/// A reply and when its line was complete.
struct Line {
    at: Instant,
    content: Content,
}

enum Content {
    Whole(Vec<u8>),
    TooLong,
    /// It has closed its standard output.
    End,
}

/// Why a runner could not do what it was asked: the reason of a row without figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) message: String,
    /// The end of what it wrote to standard error.
    #[serde(default)]
    pub(crate) complaints: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FailureKind {
    /// It is not installed here, or its weights are not.
    NotReady,
    NotStarted,
    /// It ended, by itself.
    Ended,
    /// It was killed, not by us: most likely for memory.
    Killed,
    TimedOut,
    /// It does not keep to the protocol.
    Protocol,
    /// It said that it cannot.
    Refused,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, message: impl fmt::Display) -> Failure {
        Failure {
            kind,
            message: message.to_string(),
            complaints: String::new(),
        }
    }

    /// Whether the runner can be asked again.
    pub(crate) fn is_over(&self) -> bool {
        self.kind != FailureKind::Refused
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.complaints.lines().rfind(|line| !line.trim().is_empty()) {
            Some(last) => write!(f, "; its last words: {}", last.trim()),
            None => Ok(()),
        }
    }
}

impl Child {
    /// Starts a runner.
    ///
    /// # Errors
    /// The program is not there or may not be run.
    pub(crate) fn start(start: &Start) -> Result<Child, Failure> {
        let mut command = CommandWrap::with_new(&start.program, |command| {
            command
                .args(&start.arguments)
                .envs(start.environment.iter().map(|(name, value)| (name, value)))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
        });
        #[cfg(unix)]
        command.wrap(process_wrap::std::ProcessGroup::leader());
        #[cfg(windows)]
        command.wrap(process_wrap::std::JobObject);
        let not_started = |error: io::Error| {
            let program = start.program.display();
            Failure::new(
                FailureKind::NotStarted,
                format_args!("{program} cannot be started: {error}"),
            )
        };
        let mut child = command.spawn().map_err(not_started)?;
        let no_pipe = || not_started(io::ErrorKind::BrokenPipe.into());
        let requests = child.stdin().take().ok_or_else(no_pipe)?;
        let answers = child.stdout().take().ok_or_else(no_pipe)?;
        let errors = child.stderr().take().ok_or_else(no_pipe)?;

        let (sender, replies) = mpsc::channel();
        thread::spawn(move || read_lines(BufReader::new(answers), &sender));
        let complaints = Arc::<Mutex<Tail>>::default();
        let tail = Arc::clone(&complaints);
        let complaining = thread::spawn(move || read_complaints(errors, &tail));
        Ok(Child {
            group: Group::new(child),
            requests: Some(requests),
            replies,
            complaints,
            complaining,
        })
    }

    /// The process that leads the group.
    pub(crate) fn id(&self) -> u32 {
        self.group.id
    }

    /// Asks, and waits for the reply; with it the time from the request to the end of the reply's line.
    ///
    /// # Errors
    /// Whatever comes instead of a reply of the request's kind. Unless the runner has [refused](FailureKind::Refused),
    /// its group is killed.
    pub(crate) fn ask(&mut self, request: &Request, limit: Duration) -> Result<(Reply, Duration), Failure> {
        let answer = self.exchange(request, limit);
        answer.map_err(|mut failure| {
            if failure.is_over() {
                self.group.kill();
                until(Duration::from_secs(1), || self.complaining.is_finished().then_some(()));
            }
            failure.complaints = lock(&self.complaints).text();
            failure
        })
    }

    fn exchange(&mut self, request: &Request, limit: Duration) -> Result<(Reply, Duration), Failure> {
        let (kind, mut line) = (name(request), encode(request)?);
        line.push(b'\n');
        if !self.replies.try_iter().all(|line| matches!(line.content, Content::End)) {
            return Err(Failure::new(
                FailureKind::Protocol,
                format_args!("it has spoken before {kind:?} was asked"),
            ));
        }
        self.group.go_on();
        let asked = Instant::now();
        let written = self
            .requests
            .as_mut()
            .map(|pipe| pipe.write_all(&line).and_then(|()| pipe.flush()));
        if !matches!(written, Some(Ok(()))) {
            return Err(self.ended(kind));
        }
        match self.replies.recv_timeout(limit) {
            Ok(Line { at, content }) => match content {
                Content::Whole(line) => {
                    self.group.pause();
                    Ok((parse(&line, kind)?, at.duration_since(asked)))
                }
                Content::TooLong => Err(Failure::new(
                    FailureKind::Protocol,
                    format_args!("its reply to {kind:?} is a line longer than {} MiB", MAX_LINE >> 20),
                )),
                Content::End => Err(self.ended(kind)),
            },
            Err(RecvTimeoutError::Timeout) => Err(Failure::new(
                FailureKind::TimedOut,
                format_args!("no reply to {kind:?} within {:.1} s", limit.as_secs_f64()),
            )),
            Err(RecvTimeoutError::Disconnected) => Err(self.ended(kind)),
        }
    }

    /// How it ended that should have replied.
    fn ended(&self, kind: &str) -> Failure {
        match self.group.wait(Duration::from_secs(2)) {
            None => Failure::new(
                FailureKind::Protocol,
                format_args!("it closed its standard output instead of a reply to {kind:?}"),
            ),
            Some(status) => match signal(status) {
                Some(KILL) => Failure::new(
                    FailureKind::Killed,
                    format_args!("killed by the system at {kind:?}: most likely out of memory"),
                ),
                Some(signal) => Failure::new(
                    FailureKind::Ended,
                    format_args!("crashed at {kind:?} (signal {signal})"),
                ),
                None => Failure::new(FailureKind::Ended, format_args!("ended at {kind:?} ({status})")),
            },
        }
    }

    /// Says goodbye, and kills what is left after the time limit.
    pub(crate) fn end(mut self, limit: Duration) {
        self.group.go_on();
        if let (Some(mut pipe), Ok(line)) = (self.requests.take(), encode(&Request::Bye)) {
            let _ = pipe.write_all(&line).and_then(|()| pipe.write_all(b"\n"));
        }
        self.group.wait(limit);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.group.kill();
    }
}

/// SIGKILL, which a process never sends itself.
const KILL: i32 = 9;

/// SIGSTOP and SIGCONT, which the systems number differently.
#[cfg(unix)]
const STOP_AND_CONTINUE: [i32; 2] = if cfg!(any(target_os = "linux", target_os = "android")) {
    [19, 18]
} else {
    [17, 19]
};

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_: ExitStatus) -> Option<i32> {
    None
}

/// The processes of a child; also known to the handler of Ctrl-C, which does not reach them in a group of their own.
struct Group {
    id: u32,
    child: Arc<Mutex<Box<dyn ChildWrapper>>>,
    _killed_on_interrupt: interrupt::Guard,
}

impl Group {
    fn new(child: Box<dyn ChildWrapper>) -> Group {
        let id = child.id();
        let child = Arc::new(Mutex::new(child));
        let held = Arc::clone(&child);
        Group {
            id,
            child,
            _killed_on_interrupt: interrupt::before_end(move || {
                let _ = lock(&held).start_kill();
            }),
        }
    }

    /// Stops it until it is asked again: idle threads of some implementations spin, and would take the others' processors.
    /// (Should we be killed, the system wakes and ends a group that nobody waits for.)
    fn pause(&self) {
        #[cfg(unix)]
        let _ = lock(&self.child).signal(STOP_AND_CONTINUE[0]); // who is gone does not spin
    }

    fn go_on(&self) {
        #[cfg(unix)]
        let _ = lock(&self.child).signal(STOP_AND_CONTINUE[1]);
    }

    /// Kills whoever is left, and waits for the leader.
    fn kill(&self) {
        let mut child = lock(&self.child);
        let _ = child.start_kill(); // nobody left is as good
        let _ = child.wait();
    }

    /// How the leader ended, where it does so within the limit.
    fn wait(&self, limit: Duration) -> Option<ExitStatus> {
        until(limit, || lock(&self.child).try_wait().ok().flatten())
    }
}

/// Asks every other millisecond until there is an answer, or no time left.
fn until<T>(limit: Duration, mut answer: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        let found = answer();
        if found.is_some() || Instant::now() >= end {
            return found;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name(request: &Request) -> &'static str {
    match request {
        Request::Hello { .. } => "hello",
        Request::Audio(_) => "audio",
        Request::Load(_) => "load",
        Request::Transcribe { .. } => "transcribe",
        Request::Bye => "bye",
    }
}

fn encode(request: &Request) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(request).map_err(|error| Failure::new(FailureKind::NotReady, error)) // a path that is no UTF-8
}

fn parse(line: &[u8], kind: &str) -> Result<Reply, Failure> {
    let unfit = |problem: &dyn fmt::Display| {
        let start: String = String::from_utf8_lossy(line).chars().take(80).collect();
        Failure::new(
            FailureKind::Protocol,
            format_args!("its reply to {kind:?} is none ({problem}): {start:?}"),
        )
    };
    let reply: Reply = serde_json::from_slice(line).map_err(|error| unfit(&error))?;
    match reply {
        Reply::Error { message } => Err(Failure::new(FailureKind::Refused, message)),
        reply if reply.kind() == kind => Ok(reply),
        reply => Err(unfit(&format_args!("a reply to {:?}", reply.kind()))),
    }
}

/// Reads until the end, or a line that is too long.
fn read_lines(mut replies: impl BufRead, to: &Sender<Line>) {
    loop {
        let mut line = Vec::new();
        let read = replies.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line);
        let at = Instant::now();
        let content = match read {
            Ok(_) if line.ends_with(b"\n") => Content::Whole(line),
            Ok(_) if line.len() > MAX_LINE => Content::TooLong,
            _ => Content::End, // what has no end of line was cut off
        };
        let last = !matches!(content, Content::Whole(_));
        if to.send(Line { at, content }).is_err() || last {
            return;
        }
    }
}

/// The last bytes of standard error.
#[derive(Default)]
struct Tail(VecDeque<u8>);

impl Tail {
    const KEPT: usize = 8 << 10;

    fn push(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        let surplus = self.0.len().saturating_sub(Tail::KEPT);
        self.0.drain(..surplus);
    }

    fn text(&self) -> String {
        let (front, back) = self.0.as_slices();
        String::from_utf8_lossy(&[front, back].concat()).trim().to_owned()
    }
}

fn read_complaints(mut errors: impl Read, tail: &Mutex<Tail>) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = errors.read(&mut buffer) {
        lock(tail).push(&buffer[..read]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<Content> {
        let (sender, receiver) = mpsc::channel();
        read_lines(bytes, &sender);
        drop(sender);
        receiver.into_iter().map(|line| line.content).collect()
    }

    #[test]
    fn lines_end_with_an_end_of_line_and_have_a_limit() {
        assert!(matches!(&lines(b"a\nb\nc")[..], [Content::Whole(a), Content::Whole(_), Content::End] if a == b"a\n"));
        let mut long = vec![b'x'; MAX_LINE];
        assert!(matches!(lines(&long)[..], [Content::End]));
        long.extend(b"x\n");
        assert!(matches!(lines(&long)[..], [Content::TooLong]));
    }

    #[test]
    fn a_reply_must_fit_the_request() {
        let kind_of = |line: &str| parse(line.as_bytes(), "audio").map_err(|failure| failure.kind);
        assert_eq!(kind_of(r#"{"reply":"audio","audio":1}"#), Ok(Reply::Audio { audio: 1 }));
        assert_eq!(
            kind_of(r#"{"reply":"error","message":"no"}"#),
            Err(FailureKind::Refused)
        );
        for lie in [
            "Loading model ...",
            "",
            "[]",
            r#"{"reply":"audio"}"#,
            r#"{"reply":"load","seconds":1}"#,
        ] {
            assert_eq!(kind_of(lie), Err(FailureKind::Protocol), "{lie}");
        }
    }

    #[test]
    fn the_end_of_standard_error_is_kept() {
        let mut tail = Tail::default();
        tail.push(&[b'x'; 2 * Tail::KEPT]);
        tail.push(b"\nthe reason\n");
        assert!(tail.text().ends_with("x\nthe reason"));
        assert_eq!(tail.0.len(), Tail::KEPT);
        let mut failure = Failure::new(FailureKind::Ended, "ended at \"load\"");
        failure.complaints = tail.text();
        assert_eq!(failure.to_string(), "ended at \"load\"; its last words: the reason");
    }
}
