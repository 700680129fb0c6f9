//! huggingface_hub finds what we download, and we find what it downloads.
//!
//! Both generations of the package are installed with pip, once, below the build folder; `HUB_TEST_PYTHON` names other interpreters
//! (separated by `:`) that have it. Where pip cannot, the tests are skipped, and say so.

use std::process::Command;
use std::sync::OnceLock;

use super::fakehub::{COMMIT, MB};
use super::*;
use crate::inspect::{Depth, State};

type Outcome<T, E> = std::result::Result<T, E>;

/// What is installed: the last version that resumes downloads and names its parts in the old way, and the newest.
const PACKAGES: [(&str, &str); 2] = [("0.36", "huggingface_hub==0.36.*"), ("2", "huggingface_hub>=2,<3")];

/// Interpreters with the package, and its versions.
fn pythons(test: &str) -> Vec<(String, String)> {
    static FOUND: OnceLock<Outcome<Vec<(String, String)>, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let named = match std::env::var("HUB_TEST_PYTHON") {
            Ok(named) => named.split(':').map(str::to_owned).collect(),
            Err(_) => PACKAGES
                .iter()
                .map(|(name, package)| environment(name, package))
                .collect::<Outcome<Vec<_>, String>>()?,
        };
        named
            .into_iter()
            .map(|python| Ok((python.clone(), version(&python)?)))
            .collect()
    });
    found.clone().unwrap_or_else(|reason| {
        skipped(test, reason);
        Vec::new()
    })
}

fn version(python: &str) -> Outcome<String, String> {
    let code = "import huggingface_hub as h; print(h.__version__)";
    said(Command::new(python).args(["-c", code])).map(|text| text.trim().to_owned())
}

/// A Python with this package, made once.
fn environment(name: &str, package: &str) -> Outcome<String, String> {
    let build = std::env::current_exe().unwrap();
    let folder = build.ancestors().nth(3).unwrap().join("huggingface_hub").join(name);
    let python = folder.join(if cfg!(windows) {
        "Scripts/python.exe"
    } else {
        "bin/python"
    });
    let python = python.to_str().ok_or("the build folder has an odd name")?.to_owned();
    if version(&python).is_err() {
        let system = if cfg!(windows) { "python" } else { "python3" };
        said(Command::new(system).args(["-m", "venv", "--clear"]).arg(&folder))?;
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--retries",
            "1",
            package,
        ];
        said(Command::new(&python).args(pip))?;
    }
    Ok(python)
}

/// What a program prints; else the last line of its complaint.
fn said(command: &mut Command) -> Outcome<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return String::from_utf8(output.stdout).map_err(|error| error.to_string());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(complaint.lines().last().unwrap_or("no Python").to_owned())
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
        if !version.starts_with("0.") {
            // What `hf cache verify` calls.
            let verify = format!(
                "from huggingface_hub import HfApi as A; v = A().verify_repo_checksums('{REPO}'); \
                 print(v.checked_count, v.mismatches, v.missing_paths, v.extra_paths)"
            );
            assert_eq!(run(&python, &bench, &verify), "4 [] [] []", "{version}");
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
