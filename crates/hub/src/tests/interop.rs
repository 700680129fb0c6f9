//! huggingface_hub finds what we download, and we find what it downloads.
//!
//! `HUB_TEST_PYTHON` names interpreters (separated by `:`) that have `huggingface_hub`; else `python3` is tried. Without the package
//! the tests are skipped, and say so.

use std::io::Write as _;
use std::process::Command;

use super::fakehub::{COMMIT, MB};
use super::*;
use crate::inspect::{Depth, State};

/// Interpreters with the package, and its versions.
fn pythons(test: &str) -> Vec<(String, String)> {
    let named = std::env::var("HUB_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let found: Vec<_> = named
        .split(':')
        .filter_map(|python| {
            let version = Command::new(python)
                .args(["-c", "import huggingface_hub as h; print(h.__version__)"])
                .output()
                .ok()?;
            let text = String::from_utf8(version.stdout).ok()?;
            version
                .status
                .success()
                .then(|| (python.to_owned(), text.trim().to_owned()))
        })
        .collect();
    if found.is_empty() {
        writeln!(
            std::io::stderr(),
            "skipped: {test}: no Python with huggingface_hub (HUB_TEST_PYTHON names one)"
        )
        .unwrap();
    }
    found
}

fn run(python: &str, bench: &Bench, code: &str) -> String {
    let output = Command::new(python)
        .args(["-c", code])
        .env("HF_ENDPOINT", bench.hub.url())
        .env("HF_HUB_CACHE", bench.cache().root())
        .env("HF_HUB_DISABLE_XET", "1")
        .env("HF_HUB_DISABLE_TELEMETRY", "1")
        .env("HF_TOKEN", TOKEN)
        .env_remove("HF_HUB_OFFLINE")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        code,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn python_finds_ours() {
    for (python, version) in pythons("python_finds_ours") {
        let (mut bench, weights) = Bench::with_model(MB);
        for files in [Files::Model, Files::All] {
            let snapshot = bench
                .get(&Request { files, ..request(REPO) }, Freshness::Newest)
                .unwrap();
            bench.hub.forget();
            let dir = run(
                &python,
                &bench,
                &format!(
                    "from huggingface_hub import snapshot_download as d; print(d('{REPO}', local_files_only=True))"
                ),
            );
            assert_eq!(PathBuf::from(dir), snapshot.dir, "{version}");
            let scan = run(
                &python,
                &bench,
                &format!(
                    "from huggingface_hub import scan_cache_dir as s; i = s(); r = list(i.repos)[0]; \
                 print(r.repo_id, r.nb_files, r.size_on_disk >= {}, len([w for w in i.warnings if 'CACHEDIR.TAG' not in str(w)]), list(r.refs))",
                    weights.len()
                ),
            );
            let n = if files == Files::All { 4 } else { 2 };
            assert_eq!(scan, format!("{REPO} {n} True 0 ['main']"), "{version}");
            assert!(bench.hub.seen().is_empty());
        }
        // Online it adds what we left out, and fetches nothing again.
        std::fs::remove_dir_all(bench.cache().root()).unwrap();
        bench.pull().unwrap();
        bench.hub.forget();
        run(
            &python,
            &bench,
            &format!("from huggingface_hub import snapshot_download as d; d('{REPO}')"),
        );
        assert_eq!(bench.hub.count("/cdn/"), 0, "{version}");
        assert_eq!(
            bench
                .cache()
                .inspect(&request(REPO), Depth::Hash, &Cancel::new(), &mut |_| {})
                .unwrap()
                .state,
            State::Verified
        );
    }
}

#[test]
fn we_find_pythons() {
    for (python, version) in pythons("we_find_pythons") {
        let (mut bench, weights) = Bench::with_model(MB);
        let dir = run(
            &python,
            &bench,
            &format!("from huggingface_hub import snapshot_download as d; print(d('{REPO}'))"),
        );
        let theirs = bench.hub.seen().len();
        bench.hub.forget();
        let snapshot = bench.get(&request(REPO), Freshness::Cached).unwrap();
        assert_eq!(
            (PathBuf::from(dir), snapshot.fetched),
            (snapshot.dir.clone(), 0),
            "{version}"
        );
        assert!(bench.hub.seen().is_empty());
        assert_eq!(weights_of(&snapshot), weights);
        let all = Request {
            files: Files::All,
            ..request(REPO)
        };
        let report = bench
            .cache()
            .inspect(&all, Depth::Hash, &Cancel::new(), &mut |_| {})
            .unwrap();
        if RepoDir::new(bench.cache().root(), &REPO.parse().unwrap())
            .tree(&COMMIT.parse().unwrap())
            .exists()
        {
            assert_eq!(report.state, State::Verified, "{version}");
        }
        // The same four files, by us, from nothing.
        std::fs::remove_dir_all(bench.cache().root()).unwrap();
        bench.get(&all, Freshness::Newest).unwrap();
        let ours = bench.hub.seen().len();
        eprintln!("huggingface_hub {version}: {theirs} requests, we: {ours}");
        assert!(ours < theirs, "{version}: {theirs} requests, we {ours}");
    }
}

/// (18) Either waits for the other's lock.
#[test]
#[cfg(unix)]
fn locks_are_shared() {
    for (python, version) in pythons("locks_are_shared") {
        let (bench, weights) = Bench::with_model(MB);
        let digest = fakehub::sha256(&weights).parse().unwrap();
        let path = bench.repo().lock(&digest);
        let lock = crate::lock::Lock::acquire(&crate::disk::System, &path, &Cancel::new(), || {}).unwrap();
        let attempt = format!(
            "from filelock import FileLock, Timeout\ntry:\n  FileLock({path:?}, timeout=0.2).acquire(); print('got')\nexcept Timeout: print('held')"
        );
        assert_eq!(run(&python, &bench, &attempt), "held", "{version}");
        drop(lock);
        assert_eq!(run(&python, &bench, &attempt), "got", "{version}");
        let mut child = Command::new(&python)
            .args(["-c", &format!("from filelock import FileLock; import time\nwith FileLock({path:?}): print('x', flush=True); time.sleep(9)")])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        assert!(crate::lock::is_held(&path), "{version}");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!crate::lock::is_held(&path));
    }
}
