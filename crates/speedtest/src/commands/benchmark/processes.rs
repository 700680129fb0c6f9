//! The world of a real benchmark: children, rest, progress, files.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::save;
use crate::bench::plan::Candidate;
use crate::bench::ranking;
use crate::bench::runner::{News, Runner, World};
use crate::console::{Console, Status};
use crate::implementations::process::{Child, Failure};
use crate::implementations::protocol::{Reply, Request};
use crate::implementations::usage::{Usage, Watch};
use crate::report::Form;

/// How long a child may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(3);

/// Rows that are finished sooner after each other go to the files together.
const BETWEEN_FILES: Duration = Duration::from_secs(2);

/// Whoever reads a log wants to know that something goes on, and no more.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

pub(super) struct Processes<'a> {
    console: &'a Console,
    status: Status<'a>,
    exports: &'a [(PathBuf, Form)],
    /// When files were last written.
    saved: Option<Instant>,
    /// When something is to be said where no terminal shows the status.
    line_due: Instant,
}

impl<'a> Processes<'a> {
    pub(super) fn new(console: &'a Console, exports: &'a [(PathBuf, Form)]) -> Processes<'a> {
        Processes {
            console,
            status: console.status(),
            exports,
            saved: None,
            line_due: Instant::now() + BETWEEN_LINES,
        }
    }
}

impl World for Processes<'_> {
    fn launch(&mut self, candidate: &Candidate) -> Result<Box<dyn Runner>, Failure> {
        let (start, _) = candidate.ready.as_ref().map_err(Clone::clone)?;
        let child = Child::start(start)?;
        Ok(Box::new(Process {
            watch: Watch::new(child.id()),
            child: Some(child),
        }))
    }

    fn rest(&mut self, time: Duration) {
        thread::sleep(time);
    }

    fn tell(&mut self, news: &News<'_>) {
        match news {
            News::Loading(candidate) => {
                let (implementation, model) = (&candidate.implementation, &candidate.model);
                self.status.say(&format!("{implementation} {model}: loading"));
                self.console.detail(format_args!("{implementation} {model}: loading"));
            }
            News::Running(entry, sound, done) => {
                let (name, recording) = (ranking::name(entry), &sound.recording.name);
                let text = format!("{name}: {recording}, run {}", done + 1);
                self.status.say(&text);
                if Instant::now() >= self.line_due && !self.console.shows_bars() {
                    self.line_due = Instant::now() + BETWEEN_LINES;
                    self.console.note(text);
                }
            }
            News::Saved(results) => {
                // Nobody shall wait for files longer than for runs; the end writes them once more.
                if self.saved.is_none_or(|saved| saved.elapsed() > BETWEEN_FILES) {
                    if let Err(error) = save(results, self.exports) {
                        self.console.warning(format_args!("{error:#}"));
                    }
                    self.saved = Some(Instant::now());
                }
            }
        }
    }
}

struct Process {
    /// There until the end.
    child: Option<Child>,
    watch: Watch,
}

impl Runner for Process {
    fn ask(&mut self, request: &Request, limit: Duration) -> Result<(Reply, Duration), Failure> {
        match &mut self.child {
            Some(child) => child.ask(request, limit),
            None => unreachable!("the child is there until `drop`"),
        }
    }

    fn usage(&self) -> Usage {
        self.watch.usage()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            child.end(GOODBYE);
        }
    }
}
