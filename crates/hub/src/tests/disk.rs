//! Disks that are full, read-only, or know no links and no locks.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(unix)]
use super::fakehub::COMMIT;
use super::fakehub::MB;
use super::*;
use crate::inspect::{Depth, State};

/// Room for so many bytes.
#[derive(Debug)]
struct Small(AtomicU64);

impl Disk for Small {
    fn free(&self, _: &Path) -> io::Result<u64> {
        Ok(u64::MAX) // somebody else fills it after we have asked
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        let len = bytes.len() as u64;
        self.0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(len))
            .map_err(|_| io::Error::from(ErrorKind::StorageFull))?;
        io::Write::write_all(file, bytes)
    }
}

/// Windows without the right to make symbolic links; or, without `hard` links either, a stick.
#[derive(Debug)]
struct NoLinks {
    hard: bool,
}

impl Disk for NoLinks {
    fn symlink(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(ErrorKind::PermissionDenied.into())
    }

    fn hard_link(&self, original: &Path, link: &Path) -> io::Result<()> {
        if self.hard {
            fs::hard_link(original, link)
        } else {
            Err(ErrorKind::Unsupported.into())
        }
    }
}

/// macOS and Windows.
#[derive(Debug)]
struct FoldsCase;

impl Disk for FoldsCase {
    fn folds_case(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct NoLocks;

impl Disk for NoLocks {
    fn try_lock(&self, _: &File) -> io::Result<bool> {
        Err(ErrorKind::Unsupported.into())
    }
}

/// Renaming to a path that contains the text fails for lack of room.
#[derive(Debug)]
struct NoRoomFor(&'static str);

impl Disk for NoRoomFor {
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if to.to_string_lossy().contains(self.0) {
            return Err(ErrorKind::StorageFull.into());
        }
        fs::rename(from, to)
    }
}

/// (21) Full while a file comes, while a file gets its name, while the branch is noted: an error that says so, nothing half done, the
/// disk not left full, and the next attempt works.
#[test]
fn full() {
    for room in [0, 200, 1000, MB as u64, 2 * MB as u64 + 5000] {
        let (mut bench, weights) = Bench::with_model(4 * MB);
        bench.disk(Small(AtomicU64::new(room)));
        let error = bench.pull().unwrap_err();
        assert!(error.is_disk_full(), "{room}: {error}");
        assert!(bench.parts().is_empty(), "{room}");
        assert!(!bench.repo().refs().join("main").exists());
        bench.disk(crate::disk::System);
        assert_eq!(weights_of(&bench.pull().unwrap()), weights);
        bench.assert_clean();
    }
    for place in ["blobs", "snapshots", "trees", "refs"] {
        let (mut bench, weights) = Bench::with_model(MB);
        bench.disk(NoRoomFor(place));
        assert!(bench.pull().unwrap_err().is_disk_full(), "{place}");
        bench.assert_clean();
        bench.disk(crate::disk::System);
        assert_eq!(weights_of(&bench.pull().unwrap()), weights);
        bench.assert_clean();
    }
}

/// (21) The real thing, where a small file system can be mounted: asked before the first byte.
#[test]
#[cfg(target_os = "linux")]
fn full_for_real() {
    let (mut bench, _) = Bench::with_model(4 * MB);
    let cache = bench.cache().root().to_path_buf();
    fs::create_dir(&cache).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=2m", "none"])
        .arg(&cache)
        .output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        return skipped("full_for_real", "no file system can be mounted here");
    }
    let preflight = bench.pull().unwrap_err();
    let seen = bench.hub.count("/resolve/");
    /// Lies about its room.
    #[derive(Debug)]
    struct Optimist;
    impl Disk for Optimist {
        fn free(&self, _: &Path) -> io::Result<u64> {
            Ok(u64::MAX)
        }
    }
    bench.disk(Optimist);
    let written = bench.pull().unwrap_err();
    let parts = bench.parts();
    std::process::Command::new("umount").arg(&cache).status().unwrap();
    assert!(
        matches!(preflight, crate::Error::DiskFull { needed, free, .. } if needed > 4_000_000 && free <= 2 << 20),
        "{preflight}"
    );
    assert_eq!(seen, 0);
    assert!(written.is_disk_full(), "{written}");
    assert!(parts.is_empty());
}

/// (22) The real thing: a warm cache on a file system that is read-only, where one can be mounted.
#[test]
#[cfg(target_os = "linux")]
fn read_only_for_real() {
    let (mut bench, weights) = Bench::with_model(MB);
    let cache = bench.cache().root().to_path_buf();
    fs::create_dir(&cache).unwrap();
    let mount = |options: &str| {
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "none"]).arg(&cache);
        mount.output().is_ok_and(|output| output.status.success())
    };
    if !mount("size=8m") {
        return skipped("read_only_for_real", "no file system can be mounted here");
    }
    let cold = bench.pull().is_ok() && mount("remount,ro");
    let warm = [Freshness::Cached, Freshness::Newest].map(|freshness| bench.get(&request(REPO), freshness));
    let repaired = bench
        .client()
        .repair(&bench.cache(), &request(REPO), &Cancel::new(), &mut |_| {});
    bench.hub.model("org/other", 4096);
    let other = bench.get(&request("org/other"), Freshness::Cached);
    std::process::Command::new("umount").arg(&cache).status().unwrap();
    assert!(cold);
    for snapshot in warm {
        assert_eq!(snapshot.unwrap().fetched, 0);
    }
    assert_eq!(repaired.unwrap().state, State::Verified);
    assert!(matches!(other.unwrap_err(), crate::Error::Io { .. }));
    assert!(!weights.is_empty());
}

/// (22) A warm cache may be read-only; a cold one is an error; odd places work.
#[test]
fn odd_places() {
    let (mut bench, weights) = Bench::with_model(MB);
    /// Writes nothing, renames nothing.
    #[derive(Debug)]
    struct ReadOnly;
    impl Disk for ReadOnly {
        fn write(&self, _: &mut File, _: &[u8]) -> io::Result<()> {
            Err(ErrorKind::ReadOnlyFilesystem.into())
        }
        fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
            Err(ErrorKind::ReadOnlyFilesystem.into())
        }
        fn symlink(&self, _: &Path, _: &Path) -> io::Result<()> {
            Err(ErrorKind::ReadOnlyFilesystem.into())
        }
    }
    bench.disk(ReadOnly);
    assert!(bench.pull().is_err());
    bench.disk(crate::disk::System);
    bench.pull().unwrap();
    bench.disk(ReadOnly);
    assert_eq!(weights_of(&bench.pull().unwrap()), weights); // asks the network, finds nothing new, writes nothing

    let root = tempfile::tempdir().unwrap();
    let odd = root.path().join("with space/ünï");
    let hub = Hub::new(settings(&bench.hub.url()), Cache::new(&odd), vec![]);
    assert_eq!(
        weights_of(
            &hub.snapshot(&request(REPO), Freshness::Cached, &Cancel::new(), &mut |_| {})
                .unwrap()
        ),
        weights
    );
    let file = root.path().join("file");
    fs::write(&file, "x").unwrap();
    let hub = Hub::new(settings(&bench.hub.url()), Cache::new(&file), vec![]);
    assert!(matches!(
        hub.snapshot(&request(REPO), Freshness::Cached, &Cancel::new(), &mut |_| {}),
        Err(crate::Error::Io { .. })
    ));
    #[cfg(unix)]
    {
        let link = root.path().join("link");
        std::os::unix::fs::symlink(&odd, &link).unwrap();
        assert_eq!(weights_of(&Cache::new(&link).find(&request(REPO)).unwrap()), weights);
    }
}

/// (23) No right to make symbolic links: hard ones, which take no room, else copies; found again, verified by the listing, mended.
#[test]
fn without_links() {
    for hard in [true, false] {
        let (mut bench, weights) = Bench::with_model(MB);
        bench.disk(NoLinks { hard });
        let snapshot = bench.pull().unwrap();
        assert_eq!(weights_of(&snapshot), weights);
        assert!(!snapshot.dir.join("weights.safetensors").is_symlink());
        bench.assert_clean();
        bench.hub.forget();
        assert_eq!(bench.pull().unwrap().fetched, 0);
        let verify = |bench: &Bench| {
            bench
                .cache()
                .inspect(&request(REPO), Depth::Hash, &Cancel::new(), &mut |_| {})
                .unwrap()
                .state
        };
        assert_eq!(verify(&bench), State::Verified);
        // Hard links count once, and their blobs are not to be pruned; copies take room twice.
        let repo = REPO.parse().unwrap();
        let once = snapshot.fetched;
        assert_eq!(
            bench.cache().disk_use(&repo).own,
            if hard { once } else { 2 * once },
            "hard links: {hard}"
        );
        for blob in bench.blobs() {
            let blob = File::options()
                .write(true)
                .open(bench.repo().blobs().join(blob))
                .unwrap();
            blob.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        }
        assert_eq!(bench.cache().garbage(&repo).is_empty(), hard);
        // Damage that the size does not show, in the snapshot's file: mended there.
        let mut damaged = weights.clone();
        damaged[MB / 2] ^= 1;
        fs::write(snapshot.dir.join("weights.safetensors"), damaged).unwrap();
        assert_eq!(verify(&bench), State::Corrupt);
        let repaired = bench
            .client()
            .repair(&bench.cache(), &request(REPO), &Cancel::new(), &mut |_| {});
        assert_eq!(repaired.unwrap().state, State::Verified);
        assert_eq!(weights_of(&snapshot), weights);
        bench.assert_clean();
        // As huggingface_hub leaves it: the content moved, nothing in `blobs`.
        fs::remove_dir_all(bench.repo().blobs()).unwrap();
        assert_eq!(verify(&bench), State::Verified);
        fs::write(snapshot.dir.join("config.json"), "{\"n_mels\": 90, \"n_vocab\": 51865}").unwrap();
        assert_eq!(verify(&bench), State::Corrupt);
    }
}

/// (23) Where case does not tell names apart, two ids share a folder: said before anything is fetched into it.
#[test]
fn case_is_folded() {
    for (twin, warned) in [("Org/Whisper", true), ("org/other", false)] {
        let (mut bench, _) = Bench::with_model(MB);
        bench.disk(FoldsCase);
        fs::create_dir_all(RepoDir::new(bench.cache().root(), &twin.parse().unwrap()).dir()).unwrap();
        bench.pull().unwrap();
        let is_warning =
            |event: &Event| matches!(event, Event::Warning(text) if text.contains(twin) && text.contains(REPO));
        assert_eq!(bench.events.iter().any(is_warning), warned, "{twin}");
    }
}

/// (17) No locks on this file system: the work goes on, other people's parts stay theirs.
#[test]
fn without_locks() {
    let (mut bench, weights) = Bench::with_model(MB);
    bench.disk(NoLocks);
    let part = bench
        .repo()
        .blobs()
        .join(format!("{}.incomplete", fakehub::sha256(&weights)));
    write(part.clone(), &weights[..1000]);
    assert_eq!(weights_of(&bench.pull().unwrap()), weights);
    assert!(part.exists());
}

/// (17) Two at once and no locks: each takes a part of its own, both succeed, the content is right.
#[test]
fn two_at_once_without_locks() {
    let (mut bench, weights) = Bench::with_model(4 * MB);
    bench.disk(NoLocks);
    bench.hub.rule(
        "storage:",
        None,
        fakehub::Fault {
            rate: Some(8 << 20),
            ..fakehub::Fault::default()
        },
    );
    std::thread::scope(|scope| {
        let pull = || {
            bench
                .client()
                .snapshot(&request(REPO), Freshness::Newest, &Cancel::new(), &mut |_| {})
        };
        let both = [scope.spawn(pull), scope.spawn(pull)];
        for one in both {
            assert_eq!(weights_of(&one.join().unwrap().unwrap()), weights);
        }
    });
    assert_eq!(bench.hub.count("/cdn/"), 2);
    bench.assert_clean();
}

/// (24) Files are as the umask says, locks for the group, listings for their owner; (36) the layout is huggingface_hub's, by name.
#[test]
#[cfg(unix)]
fn layout_and_modes() {
    use std::os::unix::fs::PermissionsExt;
    let (mut bench, weights) = Bench::with_model(MB);
    bench
        .get(
            &Request {
                files: Files::All,
                ..request(REPO)
            },
            Freshness::Newest,
        )
        .unwrap();
    let mut found: Vec<String> = crate::cache::tree_of(bench.cache().root())
        .into_iter()
        .map(|(path, meta)| {
            let name = path
                .strip_prefix(bench.cache().root())
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            match fs::read_link(&path) {
                Ok(target) => format!("{name} -> {}", target.display()),
                Err(_) => format!("{name} {}", meta.len()),
            }
        })
        .collect();
    found.sort();
    let digests = [
        ("config.json", fakehub::git_sha(fakehub::CONFIG), fakehub::CONFIG.len()),
        ("README.md", fakehub::git_sha(b"# model\n"), 8),
        (".gitattributes", fakehub::git_sha(b"*.safetensors filter=lfs\n"), 25),
        ("weights.safetensors", fakehub::sha256(&weights), weights.len()),
    ];
    let repo = "models--org--whisper";
    let tree = bench.repo().tree(&COMMIT.parse().unwrap());
    let mut expected = vec![
        "CACHEDIR.TAG 191".to_owned(),
        format!("{repo}/refs/main 40"),
        format!("{repo}/trees/{COMMIT}.json {}", fs::metadata(&tree).unwrap().len()),
    ];
    for (path, digest, len) in &digests {
        expected.push(format!(".locks/{repo}/{digest}.lock 0"));
        expected.push(format!("{repo}/blobs/{digest} {len}"));
        expected.push(format!("{repo}/snapshots/{COMMIT}/{path} -> ../../blobs/{digest}"));
    }
    expected.sort();
    assert_eq!(found, expected);
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let lock = bench.repo().lock(&digests[0].1.parse().unwrap());
    assert_eq!((mode(lock), mode(tree)), (0o664, 0o600));
    let plain = bench.root.path().join("plain");
    File::create(&plain).unwrap();
    assert_eq!(mode(bench.repo().refs().join("main")), mode(plain.clone()));
    assert_eq!(mode(bench.repo().blob(&digests[3].1.parse().unwrap())), mode(plain));
}
