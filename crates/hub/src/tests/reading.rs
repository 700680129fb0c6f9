//! Caches as others leave them, whole and broken. No network: nothing here has one.

use std::fs;

use super::fakehub::{COMMIT, CONFIG, MB, git_sha, noise, safetensors, sha256};
use super::*;
use crate::inspect::{Depth, Problem, Report, State};
use crate::tidy::Waste;

/// A cache with one model, as huggingface_hub lays it out.
struct Laid {
    root: TempDir,
    repo: RepoDir,
    weights: Vec<u8>,
}

const OTHER: &str = "222222222222222222222222222222222222222b";

impl Laid {
    fn new() -> Laid {
        let root = tempfile::tempdir().unwrap();
        let repo = RepoDir::new(root.path(), &REPO.parse().unwrap());
        let laid = Laid {
            root,
            repo,
            weights: safetensors(20_000, 1),
        };
        laid.lay(COMMIT, "weights.safetensors", &laid.weights);
        write(laid.repo.refs().join("main"), COMMIT);
        laid
    }

    fn lay(&self, commit: &str, name: &str, weights: &[u8]) {
        for (name, data, etag) in [
            ("config.json", CONFIG, git_sha(CONFIG)),
            (name, weights, sha256(weights)),
        ] {
            write(self.repo.blobs().join(&etag), data);
            self.link(commit, name, &format!("../../blobs/{etag}"));
        }
    }

    fn link(&self, commit: &str, name: &str, target: &str) {
        let pointer = self.repo.snapshots().join(commit).join(name);
        fs::create_dir_all(pointer.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&pointer);
        symlink(target, &pointer);
    }

    fn cache(&self) -> Cache {
        Cache::new(self.root.path())
    }

    fn weights_blob(&self) -> PathBuf {
        self.repo.blobs().join(sha256(&self.weights))
    }

    fn look(&self, depth: Depth) -> Report {
        self.cache()
            .inspect(&request(REPO), depth, &Cancel::new(), &mut |_| {})
            .unwrap()
    }

    fn state(&self) -> State {
        self.look(Depth::Structure).state
    }

    fn verified(&self) -> State {
        self.look(Depth::Hash).state
    }

    /// The listing that huggingface_hub writes.
    fn tree(&self, weights_size: usize, weights_sha: &str) -> String {
        format!(
            "{{\"format_version\": 1, \"files\": {{\"README.md\": {{\"size\": 3, \"blob_id\": \"{pointer}\"}}, \
             \"config.json\": {{\"size\": {}, \"blob_id\": \"{}\"}}, \"weights.safetensors\": {{\"size\": {weights_size}, \
             \"blob_id\": \"{pointer}\", \"lfs_sha256\": \"{weights_sha}\", \"lfs_size\": {weights_size}}}}}}}",
            CONFIG.len(),
            git_sha(CONFIG),
            pointer = git_sha(b"pointer"),
        )
    }
}

fn symlink(target: &str, link: &Path) {
    #[cfg(unix)]
    std::os::unix::fs::symlink(target, link).unwrap();
    #[cfg(windows)]
    std::os::windows::fs::symlink_file(target, link).unwrap();
}

/// Every file with its length, link and time: looking must change none of it.
fn fingerprint(root: &Path) -> Vec<String> {
    let mut all: Vec<String> = crate::cache::tree_of(root)
        .into_iter()
        .map(|(path, meta)| {
            format!(
                "{} {} {:?} {:?}",
                path.display(),
                meta.len(),
                meta.modified().unwrap(),
                fs::read_link(&path).ok()
            )
        })
        .collect();
    all.sort();
    all
}

#[test]
fn whole() {
    let laid = Laid::new();
    let before = fingerprint(laid.root.path());
    assert_eq!((laid.state(), laid.verified()), (State::Complete, State::Verified));
    let report = laid.look(Depth::Structure);
    assert_eq!(report.size(), (laid.weights.len() + CONFIG.len()) as u64);
    assert_eq!((report.missing, report.partial), (Some(0), 0));
    assert_eq!(fingerprint(laid.root.path()), before);
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(Cache::new(empty.path()).glance(&request(REPO)).state, State::Missing);
    assert_eq!(
        Cache::new(empty.path().join("nowhere")).glance(&request(REPO)).state,
        State::Missing
    );
    assert!(names(empty.path()).is_empty(), "looking creates nothing");
}

/// (25) Content cut off, longer, changed, empty, a web page.
#[test]
fn damaged_content() {
    let laid = Laid::new();
    let good = laid.weights.clone();
    let mut flipped = good.clone();
    flipped[10_000] ^= 1;
    let page = b"<!DOCTYPE html><html>404</html>".to_vec();
    for (content, at_a_glance) in [
        (good[..good.len() - 1].to_vec(), State::Corrupt),
        ([&good[..], &[0]].concat(), State::Corrupt),
        (vec![], State::Corrupt),
        (page.clone(), State::Corrupt),
        (flipped, State::Complete), // only the hash can tell
    ] {
        fs::write(laid.weights_blob(), content).unwrap();
        assert_eq!((laid.state(), laid.verified()), (at_a_glance, State::Corrupt));
    }
    fs::write(laid.weights_blob(), &good).unwrap();
    fs::write(laid.repo.blobs().join(git_sha(CONFIG)), &page).unwrap();
    let report = laid.look(Depth::Structure);
    assert!(
        report
            .problems()
            .any(|(file, problem)| file.path.as_str() == "config.json" && problem.to_string().contains("web page"))
    );
}

/// (26) Links to nothing, in a circle, and out of the cache.
#[test]
fn bad_links() {
    let laid = Laid::new();
    let blob = laid.weights_blob();
    let name = sha256(&laid.weights);
    let problem = |laid: &Laid| laid.look(Depth::Structure).problems().next().unwrap().1.clone();
    fs::remove_file(&blob).unwrap();
    assert_eq!((problem(&laid), laid.state()), (Problem::NoBlob, State::Incomplete));
    symlink("../../blobs/ab/cdef", &blob);
    assert_eq!(
        (problem(&laid), laid.state()),
        (Problem::NoSharedBlob, State::Incomplete)
    );
    for target in [
        name.as_str(),
        "../../../outside",
        "../blobs",
        "../../blobs",
        "/etc/passwd",
        "../../blobs/ab/../../../x",
    ] {
        fs::remove_file(&blob).unwrap();
        symlink(target, &blob);
        assert!(
            matches!(problem(&laid), Problem::BadLink(_)),
            "{target}: {}",
            problem(&laid)
        );
        assert_eq!(laid.state(), State::Corrupt);
    }
    let outside = laid
        .root
        .path()
        .parent()
        .unwrap()
        .join(format!("outside-{}", std::process::id()));
    fs::write(&outside, &laid.weights).unwrap();
    for target in [
        outside.to_str().unwrap(),
        "../../../../../../etc/passwd",
        "weights.safetensors",
        "../../refs/main",
        ".",
    ] {
        laid.link(COMMIT, "weights.safetensors", target);
        assert!(matches!(problem(&laid), Problem::BadLink(_)), "{target}");
    }
    fs::remove_file(outside).unwrap();
}

/// (27) The shared store of huggingface_hub 1.32 and later; odd names; leftovers of hf-hub 0.5. (33) Sizes count once.
#[test]
fn other_layouts() {
    let laid = Laid::new();
    let shared = laid.root.path().join("blobs/ab").join("ab".repeat(32));
    write(shared.clone(), &laid.weights);
    write(laid.root.path().join("blobs/.huggingface-shared-blobs"), "1\n");
    fs::remove_file(laid.weights_blob()).unwrap();
    symlink(&format!("../../blobs/ab/{}", "ab".repeat(32)), &laid.weights_blob());
    assert_eq!((laid.state(), laid.verified()), (State::Complete, State::Verified));
    let used = laid.cache().disk_use(&REPO.parse().unwrap());
    assert_eq!(
        (used.own, used.shared, used.partial),
        (CONFIG.len() as u64, laid.weights.len() as u64, 0)
    );
    for junk in [".DS_Store", "Thumbs.db", "x.part", "x.lock"] {
        write(laid.root.path().join(junk), "x");
        write(laid.repo.blobs().join(junk), "x");
        write(laid.repo.snapshots().join(junk), "x");
    }
    fs::create_dir_all(laid.root.path().join("datasets--a--b/blobs")).unwrap();
    assert_eq!(laid.state(), State::Complete);
    assert_eq!(laid.cache().repos(), [REPO.parse().unwrap()]);
    // A proxy's etag names nothing that could be verified; the form can.
    let laid = Laid::new();
    fs::rename(laid.weights_blob(), laid.repo.blobs().join("redirect-etag")).unwrap();
    laid.link(COMMIT, "weights.safetensors", "../../blobs/redirect-etag");
    let report = laid.look(Depth::Hash);
    assert!(report.state == State::Complete && report.note.unwrap().contains("no hash"));
    write(
        laid.repo.tree(&COMMIT.parse().unwrap()),
        laid.tree(laid.weights.len(), &sha256(&laid.weights)),
    );
    assert_eq!(laid.verified(), State::Verified);
}

/// Models of other programs: whatever lies there counts, if there are weights and no part of any.
#[test]
fn models_of_other_programs() {
    let held = |laid: &Laid| {
        let files = Files::Held;
        laid.cache().glance(&Request { files, ..request(REPO) })
    };
    let laid = Laid::new();
    fs::rename(
        laid.repo
            .pointer(&COMMIT.parse().unwrap(), &"weights.safetensors".parse().unwrap()),
        laid.repo
            .pointer(&COMMIT.parse().unwrap(), &"model.bin".parse().unwrap()),
    )
    .unwrap();
    assert_eq!((laid.state(), held(&laid).state), (State::Incomplete, State::Complete));
    write(laid.repo.blobs().join(format!("{}.incomplete", "ab".repeat(32))), "x");
    assert_eq!(held(&laid).state, State::Incomplete);
    fs::remove_file(laid.repo.blobs().join(format!("{}.incomplete", "ab".repeat(32)))).unwrap();
    fs::remove_file(laid.weights_blob()).unwrap();
    assert_eq!(held(&laid).state, State::Incomplete);
    let model = laid
        .repo
        .pointer(&COMMIT.parse().unwrap(), &"model.bin".parse().unwrap());
    fs::remove_file(model).unwrap();
    assert_eq!(held(&laid).reason.as_deref(), Some("no weights"));
}

/// (28) References: empty, with a line end, to nothing; no reference and one, two, no complete snapshot.
#[test]
fn references() {
    let laid = Laid::new();
    let main = laid.repo.refs().join("main");
    fs::write(&main, format!("{COMMIT}\n")).unwrap();
    assert_eq!(laid.state(), State::Complete);
    fs::write(&main, OTHER).unwrap();
    assert_eq!(laid.state(), State::Incomplete);
    for content in ["", "main", "\u{1b}[31m", "../../x"] {
        fs::write(&main, content).unwrap();
        let report = laid.look(Depth::Structure);
        assert!(
            report.state == State::Complete && report.note.unwrap().contains(COMMIT),
            "the only complete snapshot, and said"
        );
    }
    fs::remove_file(&main).unwrap();
    write(laid.repo.refs().join("main.0123abcd.tmp"), COMMIT);
    assert!(
        laid.look(Depth::Structure)
            .note
            .unwrap()
            .contains("only complete snapshot")
    );
    laid.lay(OTHER, "weights.safetensors", &safetensors(9_000, 2));
    let report = laid.look(Depth::Structure);
    assert!(report.state == State::Incomplete && report.reason.unwrap().contains("2 snapshots"));
    fs::remove_file(laid.weights_blob()).unwrap();
    assert_eq!(laid.look(Depth::Structure).commit.unwrap().as_str(), OTHER);
    for (revision, state) in [
        (OTHER, State::Complete),
        (COMMIT, State::Incomplete),
        ("v1", State::Incomplete),
    ] {
        assert_eq!(laid.cache().glance(&at(REPO, revision)).state, state, "{revision}");
    }
    fs::remove_dir_all(laid.repo.snapshots()).unwrap();
    write(
        laid.repo.blobs().join(format!("{}.incomplete", sha256(&laid.weights))),
        "12345",
    );
    let report = laid.look(Depth::Structure);
    assert_eq!((report.state, report.partial), (State::Incomplete, 5));
}

/// (29) Listings: agreeing, absent, damaged, of another version, disagreeing.
#[test]
fn listings() {
    let laid = Laid::new();
    let path = laid.repo.tree(&COMMIT.parse().unwrap());
    let (len, sha) = (laid.weights.len(), sha256(&laid.weights));
    for (tree, state) in [
        (laid.tree(len, &sha), State::Complete),
        ("{".to_owned(), State::Complete),
        (
            laid.tree(len, &sha)
                .replace("\"format_version\": 1", "\"format_version\": 9"),
            State::Complete,
        ),
        (
            laid.tree(len, &sha).replace("README.md", "../../README.md"),
            State::Complete,
        ),
        (laid.tree(len + 1, &sha), State::Corrupt),
        (laid.tree(len, &sha256(b"other")), State::Corrupt),
    ] {
        write(path.clone(), tree);
        assert_eq!(laid.state(), state);
    }
    // What is missing is known in bytes, parts deducted.
    write(path, laid.tree(len, &sha));
    fs::remove_file(laid.weights_blob()).unwrap();
    assert_eq!(laid.look(Depth::Structure).missing, Some(len as u64));
    write(
        laid.repo.blobs().join(format!("{sha}.0123abcd.incomplete")),
        &laid.weights[..500],
    );
    assert_eq!(laid.look(Depth::Structure).missing, Some(len as u64 - 500));
    let all = Request {
        files: Files::All,
        ..request(REPO)
    };
    assert!(
        laid.cache()
            .glance(&all)
            .problems()
            .any(|(file, _)| file.path.as_str() == "README.md")
    );
}

/// (30) Config only, weights only, which weights; a header that lies.
#[test]
fn what_a_model_needs() {
    let laid = Laid::new();
    let dir = laid.repo.snapshots().join(COMMIT);
    fs::remove_file(dir.join("weights.safetensors")).unwrap();
    let report = laid.look(Depth::Structure);
    assert!(report.state == State::Incomplete && report.reason.unwrap().contains("weights.safetensors"));
    laid.lay(COMMIT, "model.safetensors", &laid.weights);
    assert_eq!(laid.state(), State::Complete);
    laid.lay(COMMIT, "weights.npz", b"not a zip");
    assert_eq!(laid.state(), State::Corrupt, "mlx_whisper would load this one");
    laid.lay(COMMIT, "weights.safetensors", &laid.weights);
    assert_eq!(laid.state(), State::Complete);
    fs::remove_file(dir.join("config.json")).unwrap();
    assert_eq!(laid.state(), State::Incomplete);
    let mut lying = laid.weights.clone();
    lying[0] ^= 1;
    laid.lay(COMMIT, "weights.safetensors", &lying);
    assert_eq!(laid.state(), State::Corrupt);
}

/// (31) Both caches have the model, one of them damaged: the good one is used, in place.
#[test]
fn the_good_one_of_two() {
    let (bad, good) = (Laid::new(), Laid::new());
    fs::write(bad.weights_blob(), "short").unwrap();
    let found = crate::find(&[bad.cache(), good.cache()], &request(REPO)).unwrap();
    assert_eq!(found.cache, good.root.path());
    let tripwire = fakehub::Tripwire::start();
    let hub = Hub::new(settings(&tripwire.url), bad.cache(), vec![good.cache()]);
    let snapshot = hub
        .snapshot(&request(REPO), Freshness::Cached, &Cancel::new(), &mut |_| {})
        .unwrap();
    assert_eq!((snapshot.cache, snapshot.fetched), (good.root.path().to_path_buf(), 0));
    assert!(!tripwire.touched());
}

/// (34) Repair fetches what is wrong, nothing else; the shared store and open files stay as they are; what is right needs no network.
#[test]
fn repair() {
    let (mut bench, weights) = Bench::with_model(MB);
    let snapshot = bench.pull().unwrap();
    let blob = bench.repo().blobs().join(sha256(&weights));
    let repair = |bench: &Bench| {
        bench
            .client()
            .repair(&bench.cache(), &request(REPO), &Cancel::new(), &mut |_| {})
    };
    bench.hub.forget();
    assert_eq!(repair(&bench).unwrap().state, State::Verified);
    assert!(bench.hub.seen().is_empty());
    // As huggingface_hub would have it: content in the shared store, damaged there.
    let mut damaged = weights.clone();
    damaged[MB / 2] ^= 4;
    let shared = bench.cache().root().join("blobs/ab").join("ab".repeat(32));
    write(shared.clone(), &damaged);
    fs::remove_file(&blob).unwrap();
    symlink(&format!("../../blobs/ab/{}", "ab".repeat(32)), &blob);
    let mut open = fs::File::open(snapshot.dir.join("weights.safetensors")).unwrap();
    assert_eq!(repair(&bench).unwrap().state, State::Verified);
    assert_eq!(weights_of(&snapshot), weights);
    assert_eq!(
        bench.hub.seen().len(),
        2,
        "the weights and the storage behind them: {:?}",
        bench.hub.seen()
    );
    let mut still = Vec::new();
    std::io::Read::read_to_end(&mut open, &mut still).unwrap();
    assert!(still == damaged && fs::read(&shared).unwrap() == damaged);
    // Gone, and gone with the network.
    fs::remove_file(&blob).unwrap();
    bench.settings.offline = true;
    assert!(matches!(repair(&bench).unwrap_err(), crate::Error::Offline { .. }));
    bench.settings.offline = false;
    assert_eq!(repair(&bench).unwrap().state, State::Verified);
    bench.assert_clean();
}

#[test]
fn prune_and_remove() {
    let laid = Laid::new();
    let repo = &REPO.parse().unwrap();
    assert!(laid.cache().garbage(repo).is_empty());
    let old = std::time::SystemTime::now() - Duration::from_secs(3600);
    let put = |path: PathBuf, len: usize| {
        write(path.clone(), vec![0; len]);
        fs::File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(old)
            .unwrap();
    };
    let etag = sha256(b"gone");
    put(laid.repo.blobs().join(format!("{etag}.0123abcd.incomplete")), 100);
    put(laid.repo.blobs().join(&etag), 30);
    put(laid.repo.blobs().join(".DS_Store"), 5);
    put(laid.repo.blobs().join(format!(".{etag}.0123abcd.shared")), 7);
    put(laid.repo.refs().join("main.0123abcd.tmp"), 40);
    write(laid.repo.blobs().join(sha256(b"new")), "just fetched, not linked yet");
    let garbage = laid.cache().garbage(repo);
    let bytes = |kind| garbage.iter().filter(|g| g.kind == kind).map(|g| g.bytes).sum::<u64>();
    assert_eq!(
        (bytes(Waste::Partial), bytes(Waste::Orphan), bytes(Waste::Temporary)),
        (100, 30, 47)
    );
    assert_eq!(laid.cache().sweep(repo, &garbage).unwrap(), 177);
    assert!(laid.cache().garbage(repo).is_empty());
    assert_eq!(laid.verified(), State::Verified);
    let used = laid.cache().disk_use(repo);
    assert_eq!(laid.cache().remove(repo).unwrap(), used.own + used.partial);
    assert_eq!((laid.state(), laid.cache().repos()), (State::Missing, vec![]));
    assert_eq!(laid.cache().remove(repo).unwrap(), 0);
}

#[test]
fn carried_to_another_machine() {
    let (mut bench, weights) = Bench::with_model(MB);
    bench.pull().unwrap();
    let root = tempfile::tempdir().unwrap();
    let stick = root.path().join("stick");
    let other = Cache::new(root.path().join("other"));
    let quiet = &mut |_| {};
    bench
        .cache()
        .export(&request(REPO), &stick, &Cancel::new(), quiet)
        .unwrap();
    assert_eq!(names(&stick), ["config.json", "snapshot.json", "weights.safetensors"]);
    let snapshot = other.import(&stick, &Cancel::new(), quiet).unwrap();
    assert_eq!(weights_of(&snapshot), weights);
    assert_eq!(
        other
            .inspect(&request(REPO), Depth::Hash, &Cancel::new(), quiet)
            .unwrap()
            .state,
        State::Verified
    );
    // From a cache's own folder, twice.
    let third = Cache::new(root.path().join("third"));
    for _ in 0..2 {
        third.import(bench.repo().dir(), &Cancel::new(), quiet).unwrap();
        assert_eq!(
            third
                .inspect(&request(REPO), Depth::Hash, &Cancel::new(), quiet)
                .unwrap()
                .state,
            State::Verified
        );
    }
    // A stick that has been tampered with.
    let fourth = Cache::new(root.path().join("fourth"));
    let mut bytes = weights.clone();
    bytes[MB / 2] ^= 1;
    fs::write(stick.join("weights.safetensors"), &bytes).unwrap();
    assert!(
        fourth
            .import(&stick, &Cancel::new(), quiet)
            .unwrap_err()
            .to_string()
            .contains("hash")
    );
    let manifest = fs::read_to_string(stick.join("snapshot.json")).unwrap();
    fs::write(
        stick.join("snapshot.json"),
        manifest.replace("config.json\"", "../../config.json\""),
    )
    .unwrap();
    assert!(fourth.import(&stick, &Cancel::new(), quiet).is_err());
    assert!(fourth.find(&request(REPO)).is_none());
    let plain = root.path().join("plain");
    write(plain.join("config.json"), CONFIG);
    assert!(
        fourth
            .import(&plain, &Cancel::new(), quiet)
            .unwrap_err()
            .to_string()
            .contains("--model")
    );
    // What is damaged does not leave the cache.
    fs::write(bench.repo().blobs().join(sha256(&weights)), &bytes).unwrap();
    assert!(
        bench
            .cache()
            .export(&request(REPO), &root.path().join("x"), &Cancel::new(), quiet)
            .is_err()
    );
}

/// Ids that differ only by case, where the system keeps them apart: known, so that others can be warned.
#[test]
fn case_twins() {
    let laid = Laid::new();
    assert_eq!(laid.cache().case_twin(&REPO.parse().unwrap()), None);
    assert_eq!(
        laid.cache().case_twin(&"Org/Whisper".parse().unwrap()),
        Some(REPO.parse().unwrap())
    );
}

/// Looking at twenty models takes less than 50 ms.
#[test]
fn twenty_models() {
    let root = tempfile::tempdir().unwrap();
    let header: Vec<String> = (0..1200)
        .map(|i| {
            format!(
                "\"decoder.blocks.{i}.mlp1.weight\":{{\"dtype\":\"F16\",\"shape\":[10],\"data_offsets\":[{},{}]}}",
                i * 20,
                i * 20 + 20
            )
        })
        .collect();
    let header = format!("{{{}}}", header.join(","));
    let weights = [
        &(header.len() as u64).to_le_bytes(),
        header.as_bytes(),
        &noise(24_000, 1),
    ]
    .concat();
    let requests: Vec<Request> = (0..20).map(|i| request(&format!("org/whisper-{i}"))).collect();
    for request in &requests {
        let repo = RepoDir::new(root.path(), &request.repo);
        let laid = Laid {
            root: tempfile::tempdir().unwrap(),
            repo,
            weights: weights.clone(),
        };
        laid.lay(COMMIT, "weights.safetensors", &weights);
        write(laid.repo.refs().join("main"), COMMIT);
    }
    let cache = Cache::new(root.path());
    let look = || {
        let begin = std::time::Instant::now();
        for request in &requests {
            assert_eq!(cache.glance(request).state, State::Complete);
        }
        begin.elapsed()
    };
    let best = (0..5).map(|_| look()).min().unwrap();
    eprintln!("20 models in {best:?}");
    let limit = if cfg!(debug_assertions) { 250 } else { 50 }; // the promise is the program's, not the test build's
    assert!(best < Duration::from_millis(limit), "{best:?}");
}
