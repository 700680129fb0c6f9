//! Speed and memory against `curl`: `cargo test --release -p hub measure -- --ignored --nocapture`.

use std::process::Command;
use std::time::Instant;

use super::fakehub::{Fault, MB};
use super::process::Process;
use super::*;

/// A gigabyte from a server throttled to 300 MB/s and from one that is not, into memory, hashed: five pairs, in turn with `curl`.
#[test]
#[ignore = "measures for a minute"]
fn throughput() {
    let root = Path::new("/dev/shm");
    if !root.is_dir() || Command::new("curl").arg("--version").output().is_err() {
        return skipped("throughput", "no /dev/shm or no curl");
    }
    let (mut bench, _) = Bench::with_model(1000 * MB);
    bench.root = tempfile::tempdir_in(root).unwrap();
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    for rate in [Some(300_000_000), None] {
        bench.hub.clear_rules();
        bench.hub.rule(
            "storage:",
            None,
            Fault {
                rate,
                ..Fault::default()
            },
        );
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            let file = bench.root.path().join("curl");
            let url = format!("{}/{REPO}/resolve/main/weights.safetensors", bench.hub.url());
            let begin = Instant::now();
            assert!(
                Command::new("curl")
                    .args(["-sL", "-o"])
                    .arg(&file)
                    .arg(url)
                    .status()
                    .unwrap()
                    .success()
            );
            theirs.push(begin.elapsed().as_secs_f64());
            std::fs::remove_file(file).unwrap();
            let begin = Instant::now();
            let mut process = Process::start(&bench, "");
            process.wait_for("fetched");
            ours.push(begin.elapsed().as_secs_f64());
            let peak = process.wait_for("peak");
            let _ = std::fs::remove_dir_all(bench.cache().root());
            eprintln!(
                "rate {rate:?}: curl {:.2} s, we {:.2} s, {peak}",
                theirs[theirs.len() - 1],
                ours[ours.len() - 1]
            );
            let kilobytes: u64 = peak.split(' ').nth(1).unwrap().parse().unwrap();
            assert!(kilobytes <= 64 << 10, "{peak}");
        }
        let (ours, theirs) = (median(ours), median(theirs));
        eprintln!(
            "rate {rate:?}: medians: curl {theirs:.3} s, we {ours:.3} s: {:.1} % of its speed",
            100.0 * theirs / ours
        );
        assert!(rate.is_none() || ours <= theirs / 0.95);
    }
}
