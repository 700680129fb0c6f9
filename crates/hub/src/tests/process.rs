//! Several processes, and processes that die. The child is this test program itself, told by its environment what to be.
#![expect(clippy::print_stdout, reason = "a child talks to its parent")]

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::fakehub::{CONFIG, Fault, MB};
use super::*;

/// Says where it is and waits to be killed: before the rename that gives this path its name, before the first byte is written, ...
#[derive(Debug)]
struct StopAt(String);

impl StopAt {
    fn at(&self, step: &str, path: &str) {
        if self.0 == format!("{step} {path}")
            || (self.0.starts_with(step) && path.contains(self.0[step.len()..].trim()))
        {
            println!("\nreached");
            std::thread::sleep(Duration::from_secs(60));
        }
    }
}

impl Disk for StopAt {
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        self.at("write", &format!("{} bytes", bytes.len()));
        io::Write::write_all(file, bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.at("rename", &to.to_string_lossy());
        std::fs::rename(from, to)?;
        self.at("renamed", &to.to_string_lossy());
        Ok(())
    }
}

/// Not a test: what the child processes do. Does nothing in an ordinary run.
#[test]
fn child() {
    let Ok(endpoint) = std::env::var("HUB_TEST_ENDPOINT") else {
        return;
    };
    let cache = Cache::new(std::env::var("HUB_TEST_CACHE").unwrap());
    let mut settings = settings(&endpoint);
    settings.patience.read = Duration::from_secs(20);
    settings.disk = Arc::new(StopAt(std::env::var("HUB_TEST_STOP").unwrap_or_default()));
    let hub = Hub::new(settings, cache, vec![]);
    let snapshot = hub
        .snapshot(&request(REPO), Freshness::Newest, &Cancel::new(), &mut |event| {
            if let Event::Waiting { .. } = event {
                println!("\nwaiting");
            }
        })
        .unwrap();
    println!("\nfetched {}", snapshot.fetched);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap_or("0 kB")
        .trim();
    println!("\npeak {peak}");
}

pub(super) struct Process {
    child: Child,
    lines: io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Process {
    pub(super) fn start(bench: &Bench, stop: &str) -> Process {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::process::child", "--nocapture"])
            .env("HUB_TEST_ENDPOINT", bench.hub.url())
            .env("HUB_TEST_CACHE", bench.cache().root())
            .env("HUB_TEST_STOP", stop)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Process { child, lines }
    }

    pub(super) fn wait_for(&mut self, word: &str) -> String {
        self.lines
            .by_ref()
            .map(Result::unwrap)
            .find(|line| line.starts_with(word))
            .unwrap_or_else(|| panic!("no line {word:?}"))
    }

    /// SIGKILL: no destructor, no handler.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < end, "{what}: not within 20 s");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// (15) Killed at each step: the next run goes on from there, ends verified, and leaves nothing behind.
#[test]
fn killed() {
    let small = CONFIG.len() as u64;
    for (step, most) in [
        ("write 1048576 bytes", 8 * MB as u64 + small), // before the first byte of the weights
        ("rename blobs/", 8 * MB as u64 + small),       // a file complete, not yet named
        ("renamed blobs/", 8 * MB as u64 + small),      // named, not yet linked
        ("rename snapshots/", 8 * MB as u64 + small),   // the link made, not yet in its place
        ("rename trees/", 8 * MB as u64 + small),       // before the listing
        ("rename refs/", 0),                            // before the branch is noted
        ("renamed refs/", 0),
    ] {
        let (mut bench, weights) = Bench::with_model(8 * MB);
        let mut process = Process::start(&bench, step);
        process.wait_for("reached");
        process.kill();
        let snapshot = bench.pull().unwrap();
        assert_eq!(weights_of(&snapshot), weights, "{step}");
        assert!(snapshot.fetched <= most, "{step}: {} bytes again", snapshot.fetched);
        let temporary = |name: &String| name.ends_with(".incomplete");
        assert!(!bench.blobs().iter().any(temporary), "{step}: {:?}", bench.blobs());
        bench.cache().glance(&request(REPO));
    }
}

/// (15) Killed in the middle of the body: what had arrived is not fetched again.
#[test]
fn killed_in_the_middle() {
    let (mut bench, weights) = Bench::with_model(16 * MB);
    bench.hub.rule(
        "storage:",
        1,
        Fault {
            stall_after: Some(10 * MB),
            ..Fault::default()
        },
    );
    let process = Process::start(&bench, "");
    until("9 MB", || {
        let parts = bench.parts();
        parts.iter().any(|part| {
            bench
                .repo()
                .blobs()
                .join(part)
                .metadata()
                .is_ok_and(|meta| meta.len() >= 9 * MB as u64)
        })
    });
    let state = bench.cache().glance(&request(REPO));
    assert_eq!(state.state, crate::State::InProgress);
    process.kill();
    let report = bench.cache().glance(&at(REPO, fakehub::COMMIT));
    assert_eq!(report.state, crate::State::Incomplete);
    let present = report.partial;
    assert_eq!(report.missing, Some(16 * MB as u64 - present));
    let snapshot = bench.pull().unwrap();
    assert_eq!(weights_of(&snapshot), weights);
    assert_eq!(snapshot.fetched, 16 * MB as u64 - present);
    bench.assert_clean();
}

/// (17) Two at once, the server slow: one download, both succeed.
#[test]
fn two_at_once() {
    let (bench, weights) = Bench::with_model(8 * MB);
    bench.hub.rule(
        "storage:",
        None,
        Fault {
            rate: Some(4 << 20),
            ..Fault::default()
        },
    );
    let mut first = Process::start(&bench, "");
    until("a part", || !bench.parts().is_empty());
    let mut second = Process::start(&bench, "");
    second.wait_for("waiting");
    assert_eq!(first.wait_for("fetched"), format!("fetched {}", 8 * MB + CONFIG.len()));
    assert_eq!(second.wait_for("fetched"), "fetched 0");
    assert_eq!(bench.hub.count("/cdn/"), 1);
    assert_eq!(weights_of(&bench.cache().find(&request(REPO)).unwrap()), weights);
    bench.assert_clean();
}

/// (17) Who waits goes on when the other dies, and takes over its part.
#[test]
fn the_first_dies() {
    let (bench, weights) = Bench::with_model(8 * MB);
    bench.hub.rule(
        "storage:",
        1,
        Fault {
            stall_after: Some(6 * MB),
            ..Fault::default()
        },
    );
    let first = Process::start(&bench, "");
    until("5 MB", || {
        bench.parts().iter().any(|part| {
            bench
                .repo()
                .blobs()
                .join(part)
                .metadata()
                .is_ok_and(|meta| meta.len() >= 5 * MB as u64)
        })
    });
    let mut second = Process::start(&bench, "");
    second.wait_for("waiting");
    first.kill();
    let fetched: usize = second.wait_for("fetched")["fetched ".len()..].parse().unwrap();
    assert!(fetched <= 3 * MB, "{fetched}");
    assert_eq!(weights_of(&bench.cache().find(&request(REPO)).unwrap()), weights);
    bench.assert_clean();
}
