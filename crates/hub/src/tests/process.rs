//! Several processes, and processes that die. The child is this test program itself, told by its environment what to be.
#![expect(clippy::print_stdout, reason = "a child talks to its parent")]

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::fakehub::{CONFIG, Fault, MB};
use super::*;
use crate::inspect::{Depth, State};

/// Counts what is done to the disk, and at one count says so and waits to be killed.
#[derive(Debug)]
struct StopAt {
    step: usize,
    count: AtomicUsize,
}

impl StopAt {
    fn at(&self, what: &str) {
        if self.count.fetch_add(1, Ordering::SeqCst) + 1 == self.step {
            println!("\nreached {what}");
            std::thread::sleep(Duration::from_secs(60));
        }
    }
}

impl Disk for StopAt {
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        self.at("write");
        io::Write::write_all(file, bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.at(&format!("rename to {}", to.display()));
        std::fs::rename(from, to)?;
        self.at(&format!("renamed to {}", to.display()));
        Ok(())
    }

    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        self.at(&format!("link {}", link.display()));
        crate::disk::System.symlink(target, link)
    }

    fn try_lock(&self, file: &File) -> io::Result<bool> {
        self.at("lock");
        crate::disk::System.try_lock(file)
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
    if let Ok(step) = std::env::var("HUB_TEST_STOP").unwrap_or_default().parse() {
        settings.flow.files = 1; // so that the steps have an order
        let count = AtomicUsize::new(0);
        settings.disk = Arc::new(StopAt { step, count });
    }
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
        Process::of(Command::new(std::env::current_exe().unwrap()), bench, stop)
    }

    fn of(mut command: Command, bench: &Bench, stop: &str) -> Process {
        let mut child = command
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
        self.wait_for_either([word, word])
    }

    fn wait_for_either(&mut self, words: [&str; 2]) -> String {
        self.lines
            .by_ref()
            .map(Result::unwrap)
            .find(|line| words.iter().any(|word| line.starts_with(word)))
            .unwrap_or_else(|| panic!("no line of {words:?}"))
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

/// (15) Killed at each step that touches the disk, from the first lock to the last rename: what is there is never taken for more than it
/// is, and the next run fetches the rest, not a byte more, ends verified, and leaves nothing that `prune` would not remove.
#[test]
fn killed_at_each_step() {
    let mut reached = Vec::new();
    loop {
        let (mut bench, weights) = Bench::with_model(2 * MB);
        let mut process = Process::start(&bench, &(reached.len() + 1).to_string());
        let line = process.wait_for_either(["reached", "fetched"]);
        process.kill();
        if line.starts_with("fetched") {
            break;
        }
        let look = |bench: &Bench| {
            let report = bench
                .cache()
                .inspect(&request(REPO), Depth::Hash, &Cancel::new(), &mut |_| {});
            report.unwrap().state
        };
        let noted = bench.repo().refs().join("main").exists();
        let state = look(&bench);
        assert!(
            matches!(state, State::Missing | State::Incomplete | State::Verified)
                && (state == State::Verified || !noted),
            "{line}: {state}"
        );
        let present: u64 = crate::cache::tree_of(&bench.repo().blobs())
            .iter()
            .filter(|(_, meta)| meta.is_file())
            .map(|(_, meta)| meta.len())
            .sum();
        let snapshot = bench.pull().unwrap();
        assert_eq!(weights_of(&snapshot), weights, "{line}");
        assert_eq!(
            snapshot.fetched + present,
            (weights.len() + CONFIG.len()) as u64,
            "{line}"
        );
        assert_eq!(look(&bench), State::Verified, "{line}");
        // What has a random name may stay, for `prune`: it waits a minute, in case somebody is about to rename it.
        #[cfg(unix)]
        {
            let cache = bench.cache();
            let left = crate::cache::tree_of(cache.root()).into_iter().map(|(path, _)| path);
            let left = left.filter(|path| path.extension().is_some_and(|extension| extension == "tmp"));
            for path in left.filter(|path| path.starts_with(bench.repo().dir())) {
                let aged = Command::new("touch")
                    .args(["-h", "-d", "2020-01-01"])
                    .arg(path)
                    .status();
                assert!(aged.unwrap().success());
            }
            let repo = REPO.parse().unwrap();
            cache.sweep(&repo, &cache.garbage(&repo)).unwrap();
            bench.assert_clean();
        }
        reached.push(line);
    }
    for step in ["lock", "write", "renamed to", "link", "blobs/", "trees/", "refs/main"] {
        assert!(reached.iter().any(|line| line.contains(step)), "{step}: {reached:#?}");
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
    assert_eq!(state.state, State::InProgress);
    process.kill();
    let report = bench.cache().glance(&at(REPO, fakehub::COMMIT));
    assert_eq!(report.state, State::Incomplete);
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

/// (24) Files as the umask has it; locks for the group and listings for their owner, whatever it has.
#[test]
#[cfg(unix)]
fn umasks() {
    use std::os::unix::fs::PermissionsExt;
    for (umask, file, folder) in [("077", 0o600, 0o700), ("002", 0o664, 0o775)] {
        let (bench, weights) = Bench::with_model(MB);
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]);
        shell.arg(std::env::current_exe().unwrap());
        Process::of(shell, &bench, "").wait_for("fetched");
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let repo = bench.repo();
        let digest = fakehub::sha256(&weights).parse().unwrap();
        for (path, expected) in [
            (repo.blob(&digest), file),
            (repo.refs().join("main"), file),
            (bench.cache().root().join("CACHEDIR.TAG"), file),
            (repo.blobs(), folder),
            (repo.snapshots(), folder),
            (repo.listing(&fakehub::COMMIT.parse().unwrap()), 0o600),
            (repo.lock(&digest), 0o664),
        ] {
            assert_eq!(
                mode(&path),
                expected,
                "umask {umask}: {}: {:o}",
                path.display(),
                mode(&path)
            );
        }
    }
}
