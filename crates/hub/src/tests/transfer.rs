//! HTTP, good and bad. The numbers are those of the study's list of failure cases.

use std::time::{Duration, Instant};

use super::fakehub::{COMMIT, CONFIG, Fault, MB, Tripwire, noise, safetensors, sha256};
use super::*;
use crate::client::Client;
use crate::error::Error;
use crate::inspect::{Depth, State};
use crate::transfer::{Job, Want, stream};

fn status(status: u16, headers: &[(&str, &str)]) -> Fault {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Fault {
        status: Some(status),
        headers,
        body: Some(b"{\"error\":\"injected\"}".to_vec()),
        ..Fault::default()
    }
}

fn hash(bench: &Bench) -> State {
    bench
        .cache()
        .inspect(&request(REPO), Depth::Hash, &Cancel::new(), &mut |_| {})
        .unwrap()
        .state
}

#[test]
fn a_model_and_only_what_it_needs() {
    let (mut bench, weights) = Bench::with_model(3 * MB);
    let snapshot = bench.pull().unwrap();
    assert_eq!(weights_of(&snapshot), weights);
    assert_eq!(names(&snapshot.dir), ["config.json", "weights.safetensors"]);
    assert_eq!(
        std::fs::read(bench.repo().refs().join("main")).unwrap(),
        COMMIT.as_bytes()
    );
    assert_eq!(bench.blobs().len(), 2);
    assert_eq!(hash(&bench), State::Verified);
    bench.assert_clean();
    // revision, listing, config, weights and the storage behind them
    assert_eq!(bench.hub.seen().len(), 5, "{:#?}", bench.hub.seen());
    assert_eq!(snapshot.fetched, (weights.len() + CONFIG.len()) as u64);

    bench.hub.forget();
    let again = bench.get(&request(REPO), Freshness::Cached).unwrap();
    assert_eq!((again.dir, again.fetched), (snapshot.dir, 0));
    assert!(bench.hub.seen().is_empty());
}

#[test]
fn all_files_and_odd_names() {
    let mut bench = Bench::new();
    let files: &[(&str, Vec<u8>, bool)] = &[
        ("config.json", CONFIG.to_vec(), false),
        ("weights.npz", noise(1000, 1), true),
        ("a b#c?d%e.txt", b"odd\n".to_vec(), false),
        ("sub/dir/br[ack]et.txt", b"br\n".to_vec(), false),
        ("ünï.txt", "ü\n".into(), false),
        ("Readme.md", b"one\n".to_vec(), false),
        ("README.md", b"two\n".to_vec(), false),
        ("empty.txt", vec![], false),
    ];
    bench.hub.repo("gpt2", files);
    bench.hub.page(3);
    bench.hub.small_by_redirect();
    let all = Request {
        files: Files::All,
        ..request("gpt2")
    };
    let snapshot = bench.get(&all, Freshness::Newest).unwrap();
    for (path, data, _) in files {
        assert_eq!(&std::fs::read(snapshot.dir.join(path)).unwrap(), data, "{path}");
    }
    assert_eq!(bench.hub.count("/tree/"), 3); // pages
    let repo = RepoDir::new(bench.cache().root(), &"gpt2".parse().unwrap());
    assert!(repo.tree(&COMMIT.parse().unwrap()).exists());
    assert!(bench.get(&all, Freshness::Cached).is_ok());
}

/// (1) Redirects: relative with query, in a circle, to nowhere; what the token's server is not, does not see it ([`Bench::get`] checks).
#[test]
fn redirects() {
    let (mut bench, _) = Bench::with_model(MB);
    bench.hub.small_by_redirect();
    bench.pull().unwrap();
    assert_eq!(bench.hub.count("?etag=x"), 1);

    let (mut bench, _) = Bench::with_model(MB);
    bench
        .hub
        .rule("/resolve/", None, status(302, &[("Location", "?again")]));
    assert!(bench.pull().unwrap_err().to_string().contains("circle"));
    for location in [
        "file:///etc/passwd",
        "http://user:Signature@127.0.0.1/",
        "http://[",
        "\u{1b}[2J",
    ] {
        bench.hub.clear_rules();
        bench
            .hub
            .rule("/resolve/", None, status(302, &[("Location", location)]));
        assert!(matches!(bench.pull().unwrap_err(), Error::Answer { .. }), "{location}");
    }
    bench.hub.clear_rules();
    bench.hub.rule("/resolve/", None, status(302, &[]));
    assert!(bench.pull().is_err());
    bench.hub.clear_rules();
    bench.pull().unwrap();
}

/// (2) Errors in the user's words.
#[test]
fn refusals() {
    let mut bench = Bench::new();
    assert!(matches!(bench.pull().unwrap_err(), Error::NoRepository { .. }));
    bench.hub.model(REPO, MB);
    assert!(matches!(
        bench.get(&at(REPO, "v9"), Freshness::Cached).unwrap_err(),
        Error::NoRevision { .. }
    ));
    for (code, expected) in [
        ("GatedRepo", "accept its terms"),
        ("RepoNotFound", "HF_TOKEN"),
        ("", "HF_TOKEN"),
    ] {
        bench.hub.clear_rules();
        bench.hub.rule("/revision/", 1, status(401, &[("X-Error-Code", code)]));
        let error = bench.pull().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    // Of most gated repositories anybody may see the listing, and only its readers the files.
    bench.hub.clear_rules();
    bench
        .hub
        .rule("/resolve/", None, status(403, &[("X-Error-Code", "GatedRepo")]));
    let error = bench.pull().unwrap_err().to_string();
    assert!(error.contains("accept its terms") && error.contains(REPO), "{error}");
    bench.hub.clear_rules();
    bench
        .hub
        .rule("/resolve/", None, status(404, &[("X-Error-Code", "EntryNotFound")]));
    assert!(matches!(bench.pull().unwrap_err(), Error::NoFile { .. }));
    // a hostile message: colours, the token repeated
    bench.hub.clear_rules();
    bench.hub.rule(
        "/revision/",
        None,
        status(400, &[("X-Error-Message", "no\tto hf_verysecret")]),
    );
    let error = bench.pull().unwrap_err().to_string();
    assert!(error.contains("(token)") && !error.contains('\t'), "{error}");
    bench.hub.clear_rules();
    bench.hub.repo("org/other", &[("model.bin", vec![1], false)]);
    assert!(matches!(
        bench.get(&request("org/other"), Freshness::Cached).unwrap_err(),
        Error::NotAModel { .. }
    ));
}

/// (3) Servers in trouble: for a while, and for ever.
#[test]
fn trouble_passes_or_does_not() {
    for code in [500, 502, 503, 408] {
        for place in ["/revision/", "/tree/", "/config.json", "/weights", "storage:/cdn/"] {
            let (mut bench, weights) = Bench::with_model(MB);
            bench.hub.rule(place, 2, status(code, &[]));
            assert_eq!(weights_of(&bench.pull().unwrap()), weights, "{code} {place}");
            assert!(bench.events.iter().any(|event| matches!(event, Event::Retrying { .. })));
        }
    }
    let (mut bench, _) = Bench::with_model(MB);
    bench.hub.rule("storage:/cdn/", None, status(503, &[]));
    assert!(matches!(bench.pull().unwrap_err(), Error::Status { status: 503, .. }));
    assert!(
        !bench.blobs().iter().any(|name| name.len() == 64),
        "{:?}",
        bench.blobs()
    );
    assert!(!bench.repo().refs().join("main").exists());
}

/// (4) A server that wants to be left alone.
#[test]
fn asked_to_wait() {
    for (name, value) in [("Retry-After", "1"), ("RateLimit", "\"api\";r=0;t=1")] {
        let (mut bench, _) = Bench::with_model(MB);
        bench.hub.rule("/revision/", 1, status(429, &[(name, value)]));
        let begin = Instant::now();
        bench.pull().unwrap();
        assert!(begin.elapsed() >= Duration::from_secs(1), "{name}");
    }
    let (mut bench, _) = Bench::with_model(MB);
    bench.hub.rule(
        "storage:",
        1,
        status(429, &[("Retry-After", "Thu, 01 Jan 1970 00:00:00 GMT")]),
    );
    bench.hub.rule("/tree/", 1, status(429, &[]));
    bench.pull().unwrap();
    let (mut bench, _) = Bench::with_model(MB);
    bench
        .hub
        .rule("/revision/", None, status(429, &[("Retry-After", "86400")]));
    let begin = Instant::now();
    assert!(matches!(bench.pull().unwrap_err(), Error::Status { status: 429, .. }));
    assert!(begin.elapsed() < Duration::from_secs(2));
}

/// (5) The signed link expires in the middle: another one is asked for, and the transfer goes on where it was.
#[test]
fn expired_link() {
    let (mut bench, weights) = Bench::with_model(6 * MB);
    bench.hub.rule(
        "storage:",
        1,
        Fault {
            close_after: Some(2 * MB),
            ..Fault::default()
        },
    );
    bench.hub.rule("storage:", 2, status(403, &[]));
    let snapshot = bench.pull().unwrap();
    assert_eq!(weights_of(&snapshot), weights);
    assert_eq!(snapshot.fetched, (weights.len() + CONFIG.len()) as u64, "no byte twice");
    assert_eq!(bench.hub.count("/resolve/") - 1, 4, "a link for each attempt");
    bench.assert_clean();
    // For ever: an error that leaves the part for another day.
    let (mut bench, weights) = Bench::with_model(6 * MB);
    bench.hub.rule(
        "storage:",
        1,
        Fault {
            close_after: Some(2 * MB),
            ..Fault::default()
        },
    );
    bench.hub.rule("storage:", None, status(403, &[]));
    assert!(matches!(bench.pull().unwrap_err(), Error::Status { status: 403, .. }));
    assert_eq!(bench.parts().len(), 1);
    bench.hub.clear_rules();
    let snapshot = bench.pull().unwrap();
    assert_eq!(weights_of(&snapshot), weights);
    assert!(snapshot.fetched <= 5 * MB as u64);
    bench.assert_clean();
}

/// (6) Connections that end in the middle: each time some more comes, so patience starts anew.
#[test]
fn cut_connections() {
    for fault in [
        Fault {
            close_after: Some(MB),
            ..Fault::default()
        },
        Fault {
            close_after: Some(MB),
            chunked: true,
            ..Fault::default()
        },
        Fault {
            close_after: Some(MB),
            length: Some(String::new()),
            ..Fault::default()
        },
        Fault {
            stall_after: Some(MB),
            ..Fault::default()
        },
    ] {
        let (mut bench, weights) = Bench::with_model(3 * MB + 1000);
        bench.impatient();
        bench.hub.rule("storage:", None, fault);
        let snapshot = bench.pull().unwrap();
        assert_eq!(weights_of(&snapshot), weights);
        assert_eq!(snapshot.fetched, (weights.len() + CONFIG.len()) as u64, "no byte twice");
        bench.assert_clean();
    }
    let (mut bench, _) = Bench::with_model(7 * MB);
    bench.hub.rule(
        "storage:",
        None,
        Fault {
            close_after: Some(0),
            ..Fault::default()
        },
    );
    assert!(matches!(bench.pull().unwrap_err(), Error::Unreachable { .. }));
}

/// (7) Lengths that are not true.
#[test]
fn wrong_lengths() {
    for (length, works) in [
        ("100", false),
        ("99999999", false),
        ("", true),
        ("many", false),
        ("-1", false),
    ] {
        let (mut bench, weights) = Bench::with_model(MB);
        bench.hub.rule(
            "storage:",
            None,
            Fault {
                length: Some(length.into()),
                ..Fault::default()
            },
        );
        match bench.pull() {
            Ok(snapshot) => assert!(works && weights_of(&snapshot) == weights, "{length}"),
            Err(error) => assert!(
                !works && matches!(error, Error::Answer { .. } | Error::Unreachable { .. }),
                "{length}: {error}"
            ),
        }
    }
    // More content than listed, without a length: only what is listed is taken.
    let (mut bench, weights) = Bench::with_model(MB);
    let longer = [weights.clone(), vec![7; MB]].concat();
    bench.hub.rule(
        "storage:",
        None,
        Fault {
            body: Some(longer),
            chunked: true,
            ..Fault::default()
        },
    );
    assert_eq!(weights_of(&bench.pull().unwrap()), weights);
    // Less, without a length.
    let (mut bench, weights) = Bench::with_model(MB);
    let shorter = weights[..1000].to_vec();
    bench.hub.rule(
        "storage:",
        None,
        Fault {
            body: Some(shorter),
            length: Some(String::new()),
            ignore_range: true,
            ..Fault::default()
        },
    );
    assert!(bench.pull().is_err());
    assert!(!bench.blobs().iter().any(|name| name.len() == 64));
}

/// (8) A web page where a file or JSON should be.
#[test]
fn pages_instead() {
    let page = b"<html>Please log in</html>".to_vec();
    for place in ["/revision/", "/tree/", "/config.json", "storage:"] {
        let (mut bench, _) = Bench::with_model(MB);
        let headers = vec![("Content-Type".into(), "text/html; charset=utf-8".into())];
        bench.hub.rule(
            place,
            None,
            Fault {
                status: Some(200),
                body: Some(page.clone()),
                headers,
                ..Fault::default()
            },
        );
        let error = bench.pull().unwrap_err().to_string();
        assert!(error.contains("web page"), "{place}: {error}");
        assert!(!bench.repo().refs().join("main").exists());
    }
    for body in ["", "{", "[]", "{\"sha\":7}", "{\"sha\":\"../../x\"}", "\u{0}"] {
        let (mut bench, _) = Bench::with_model(MB);
        bench.hub.rule(
            "/revision/",
            None,
            Fault {
                status: Some(200),
                body: Some(body.into()),
                ..Fault::default()
            },
        );
        assert!(matches!(bench.pull().unwrap_err(), Error::Answer { .. }), "{body}");
    }
}

/// (9) A byte flipped on the way: once, and every time.
#[test]
fn flipped_byte() {
    let (mut bench, weights) = Bench::with_model(3 * MB);
    bench.hub.rule(
        "storage:",
        1,
        Fault {
            corrupt: Some(MB + 5),
            ..Fault::default()
        },
    );
    assert_eq!(weights_of(&bench.pull().unwrap()), weights);
    assert_eq!(bench.hub.count("/cdn/"), 2);
    bench.assert_clean();

    let (mut bench, _) = Bench::with_model(3 * MB);
    bench.hub.rule(
        "storage:",
        None,
        Fault {
            corrupt: Some(MB + 5),
            ..Fault::default()
        },
    );
    assert!(matches!(bench.pull().unwrap_err(), Error::Damaged { .. }));
    assert_eq!(bench.hub.count("/cdn/"), 2);
    assert!(bench.blobs().iter().all(|name| name.len() == 40), "{:?}", bench.blobs());
}

/// (10) Ranges ignored, wrong, refused.
#[test]
fn ranges() {
    let cut = || Fault {
        close_after: Some(2 * MB),
        ..Fault::default()
    };
    // Ignored: the answer begins anew, what is there already is skipped.
    let (mut bench, weights) = Bench::with_model(5 * MB);
    bench.hub.rule("storage:", 1, cut());
    bench.hub.rule(
        "storage:",
        None,
        Fault {
            ignore_range: true,
            ..Fault::default()
        },
    );
    assert_eq!(weights_of(&bench.pull().unwrap()), weights);
    // Wrong: never taken for the right one.
    for range in ["bytes 0-99/100", "bytes 2097152-5242879/9", "bytes */*", "nonsense"] {
        let (mut bench, _) = Bench::with_model(5 * MB);
        bench.hub.rule("storage:", 1, cut());
        bench.hub.rule(
            "storage:",
            None,
            Fault {
                content_range: Some(range.into()),
                ..Fault::default()
            },
        );
        assert!(matches!(bench.pull().unwrap_err(), Error::Answer { .. }), "{range}");
    }
    // Refused: what is there cannot be right, so anew.
    let (mut bench, weights) = Bench::with_model(5 * MB);
    bench.hub.rule("storage:", 1, cut());
    bench.hub.rule("storage:", 1, status(416, &[]));
    assert_eq!(weights_of(&bench.pull().unwrap()), weights);
    bench.assert_clean();
}

/// (10) The server has other content now than the listing says, and admits it: not a byte of it is put behind what is there.
#[test]
fn other_content() {
    let (mut bench, weights) = Bench::with_model(5 * MB);
    let cut = Fault {
        close_after: Some(2 * MB),
        ..Fault::default()
    };
    bench.hub.rule("storage:", 1, cut);
    bench.hub.rule("storage:", None, status(404, &[]));
    bench.pull().unwrap_err();
    bench.hub.clear_rules();
    let other = safetensors(5 * MB, 2);
    let files = [
        ("config.json", CONFIG.to_vec(), false),
        ("weights.safetensors", other.clone(), true),
    ];
    bench.hub.commit(REPO, "main", COMMIT, &files);
    bench.hub.forget();
    let error = bench.pull().unwrap_err().to_string();
    assert!(
        error.contains(&sha256(&weights)) && error.contains(&sha256(&other)),
        "{error}"
    );
    assert!(bench.hub.seen().iter().all(|seen| !seen.storage || seen.status == 206));
    assert_eq!(
        bench.parts().len(),
        1,
        "for the day when the server comes to its senses"
    );
    bench.hub.model(REPO, 5 * MB);
    assert_eq!(weights_of(&bench.pull().unwrap()), weights);
    bench.assert_clean();
}

/// (13) The last bytes of more than four gigabytes: ranges are asked for and understood beyond 32 bits.
#[test]
fn beyond_four_gigabytes() {
    let (bench, weights) = Bench::with_model(MB);
    let (size, from) = ((5u64 << 30) + 5, (5u64 << 30) - 7);
    let tail = weights[..12].to_vec();
    let range = format!("bytes {from}-{}/{size}", size - 1);
    let fault = Fault {
        status: Some(206),
        headers: vec![("Content-Range".into(), range)],
        body: Some(tail.clone()),
        ..Fault::default()
    };
    bench.hub.rule("storage:", None, fault);
    let (events, _told) = std::sync::mpsc::channel();
    let job = Job {
        client: Client::new(&bench.settings, REPO).unwrap(),
        disk: bench.settings.disk.clone(),
        flow: bench.settings.flow.clone(),
        repo: REPO.parse().unwrap(),
        dir: bench.repo(),
        cancel: Cancel::new(),
        events,
        wide: false.into(),
        full: false.into(),
        fetched: 0.into(),
    };
    let want = Want {
        commit: COMMIT.parse().unwrap(),
        path: "weights.safetensors".parse().unwrap(),
        digest: sha256(&weights).parse().unwrap(),
        size,
        repair: false,
        done: Arc::default(),
    };
    let mut got: Vec<u8> = Vec::new();
    let whole = stream(&job, &want, from, &mut |bytes| {
        got.extend(bytes);
        Ok(())
    });
    assert!(whole.unwrap() && got == tail);
    let asked = bench.hub.seen().into_iter().find_map(|seen| seen.range).unwrap();
    assert_eq!(asked, format!("bytes={from}-"));
}

/// (11) Nobody asked for a compressed answer.
#[test]
fn compressed() {
    let (mut bench, _) = Bench::with_model(MB);
    bench.hub.rule(
        "storage:",
        None,
        Fault {
            headers: vec![("Content-Encoding".into(), "gzip".into())],
            ..Fault::default()
        },
    );
    assert!(bench.pull().unwrap_err().to_string().contains("gzip"));
}

/// (12) Nobody there, nobody answers, somebody answers a byte at a time.
#[test]
fn dead_and_slow_servers() {
    for place in ["/revision/", "/resolve/", "storage:"] {
        let (mut bench, weights) = Bench::with_model(MB);
        bench.hub.rule(
            place,
            1,
            Fault {
                reset: true,
                ..Fault::default()
            },
        );
        assert_eq!(weights_of(&bench.pull().unwrap()), weights, "{place}");
        let (mut bench, weights) = Bench::with_model(MB);
        bench.impatient();
        bench.hub.rule(
            place,
            1,
            Fault {
                hang: Some(Duration::from_secs(20)),
                ..Fault::default()
            },
        );
        assert_eq!(weights_of(&bench.pull().unwrap()), weights, "{place}");
    }
    let (mut bench, weights) = Bench::with_model(MB);
    bench.impatient();
    bench.hub.rule(
        "storage:",
        1,
        Fault {
            rate: Some(50),
            ..Fault::default()
        },
    );
    assert_eq!(weights_of(&bench.pull().unwrap()), weights);

    let closed = FakeHub::start().url(); // dropped: nobody listens
    bench.settings.endpoint = closed;
    let other = request("org/other");
    assert!(matches!(
        bench.get(&other, Freshness::Cached).unwrap_err(),
        Error::Unreachable { .. }
    ));
    bench.settings.endpoint = "http://no-such-host.invalid".into();
    assert!(matches!(
        bench.get(&other, Freshness::Cached).unwrap_err(),
        Error::Unreachable { .. }
    ));
}

/// (13) Sizes beyond four gigabytes are listed and asked for as they are.
#[test]
fn huge_listing() {
    let (mut bench, _) = Bench::with_model(MB);
    bench.hub.lie(REPO, "weights.safetensors", None, Some(5 << 30));
    let error = bench.pull().unwrap_err();
    assert!(error.to_string().contains("5368709120"), "{error}");
    // (21) More than any disk holds: said before the first byte of a file.
    bench.hub.lie(REPO, "weights.safetensors", None, Some(u64::MAX / 2));
    std::fs::remove_dir_all(bench.cache().root()).unwrap();
    bench.hub.forget();
    assert!(matches!(bench.pull().unwrap_err(), Error::DiskFull { .. }));
    assert_eq!(bench.hub.count("/resolve/"), 0);
}

/// (14) Revisions: the branch moves; a commit, a tag, a pull request.
#[test]
fn revisions() {
    let (mut bench, first) = Bench::with_model(MB);
    let old = bench.pull().unwrap();
    let second = safetensors(MB, 2);
    let commit = "222222222222222222222222222222222222222b";
    let files = [
        ("config.json", CONFIG.to_vec(), false),
        ("weights.safetensors", second.clone(), true),
    ];
    for reference in ["main", "v1.0", "refs/pr/1"] {
        bench.hub.commit(REPO, reference, commit, &files);
    }
    assert_eq!(bench.get(&request(REPO), Freshness::Cached).unwrap().dir, old.dir);
    let new = bench.pull().unwrap();
    assert_eq!((weights_of(&old), weights_of(&new)), (first, second));
    assert_eq!(new.commit.as_str(), commit);
    bench.hub.forget();
    for revision in ["v1.0", "refs/pr/1", commit] {
        assert_eq!(
            bench.get(&at(REPO, revision), Freshness::Cached).unwrap().dir,
            new.dir,
            "{revision}"
        );
    }
    assert_eq!(bench.hub.seen().len(), 2); // the tag and the pull request; a commit cannot move
    assert_eq!(bench.get(&at(REPO, COMMIT), Freshness::Cached).unwrap().dir, old.dir);
    assert_eq!(
        std::fs::read_to_string(bench.repo().refs().join("refs/pr/1")).unwrap(),
        commit
    );
}

/// (19) Files with the same content are fetched once.
#[test]
fn twins() {
    let mut bench = Bench::new();
    let data = safetensors(MB, 3);
    bench.hub.repo(
        REPO,
        &[
            ("config.json", CONFIG.to_vec(), false),
            ("weights.safetensors", data.clone(), true),
            ("model.safetensors", data.clone(), true),
        ],
    );
    let snapshot = bench
        .get(
            &Request {
                files: Files::All,
                ..request(REPO)
            },
            Freshness::Newest,
        )
        .unwrap();
    assert_eq!(std::fs::read(snapshot.dir.join("model.safetensors")).unwrap(), data);
    assert_eq!(weights_of(&snapshot), data);
    assert_eq!(bench.hub.count("/cdn/"), 1);
}

/// (20) Parts that others left are continued, whatever they hold.
#[test]
fn parts_are_taken_over() {
    let (bench, weights) = Bench::with_model(3 * MB);
    let etag = sha256(&weights);
    drop(bench);
    let half = &weights[..2 * MB];
    let wrong = vec![9; 2 * MB];
    let longer = [weights.clone(), vec![1; 10]].concat();
    for (name, content, resumes) in [
        (format!("{etag}.incomplete"), half, true),
        (format!("{etag}.0123abcd.incomplete"), half, true),
        (format!("{etag}.part"), half, true),
        (format!("{etag}.incomplete"), &wrong[..], false),
        (format!("{etag}.incomplete"), &longer[..], false),
        (format!("{etag}.incomplete"), &weights[..], true),
        (format!("{etag}.incomplete"), &[][..], true),
    ] {
        let (mut bench, _) = Bench::with_model(3 * MB);
        write(bench.repo().blobs().join(&name), content);
        let snapshot = bench.pull().unwrap();
        assert_eq!(weights_of(&snapshot), weights, "{name}");
        let left = (weights.len() - content.len().min(weights.len())) as u64 + CONFIG.len() as u64;
        assert_eq!(
            snapshot.fetched == left,
            resumes,
            "{name}: {} of {left}",
            snapshot.fetched
        );
        bench.assert_clean();
    }
    // A folder, and a link to somewhere else: left alone.
    let (mut bench, _) = Bench::with_model(3 * MB);
    let outside = bench.root.path().join("outside");
    std::fs::write(&outside, half).unwrap();
    std::fs::create_dir_all(bench.repo().blobs().join(format!("{etag}.incomplete"))).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(
        &outside,
        bench.repo().blobs().join(format!("{etag}.0123abcd.incomplete")),
    )
    .unwrap();
    assert_eq!(weights_of(&bench.pull().unwrap()), weights);
    assert_eq!(std::fs::read(outside).unwrap(), half);
}

/// Several connections for one file: where one is slow, and only there.
#[test]
fn several_connections() {
    let (mut bench, weights) = Bench::with_model(24 * MB);
    bench.settings.flow.chunk = MB as u64;
    bench.settings.flow.observe = Duration::from_millis(100);
    bench.hub.rule(
        "storage:",
        None,
        Fault {
            rate: Some(8 << 20),
            ..Fault::default()
        },
    );
    let begin = Instant::now();
    assert_eq!(weights_of(&bench.pull().unwrap()), weights);
    let elapsed = begin.elapsed();
    assert!(
        elapsed < Duration::from_millis(2500),
        "24 MB at 8 MB/s a connection took {elapsed:?}"
    );
    assert!(bench.hub.count("/cdn/") > 4);
    bench.assert_clean();
    // Cut, stalled and refused ranges on some of them change nothing.
    let (mut bench, weights) = Bench::with_model(24 * MB);
    bench.settings.flow.chunk = MB as u64;
    bench.settings.flow.observe = Duration::ZERO;
    bench.settings.flow.fast_enough = u64::MAX;
    bench.impatient();
    bench.hub.rule_after(
        "storage:",
        3,
        2,
        Fault {
            close_after: Some(1000),
            ..Fault::default()
        },
    );
    bench.hub.rule_after("storage:", 5, 1, status(503, &[]));
    bench.hub.rule_after("storage:", 5, 1, status(403, &[]));
    bench.hub.rule_after(
        "storage:",
        7,
        1,
        Fault {
            stall_after: Some(1000),
            ..Fault::default()
        },
    );
    bench.hub.rule_after(
        "storage:",
        8,
        2,
        Fault {
            ignore_range: true,
            ..Fault::default()
        },
    );
    assert_eq!(weights_of(&bench.pull().unwrap()), weights);
    bench.assert_clean();
}

/// (32) Offline is offline; a server that is down is no reason to fail while the cache is warm.
#[test]
fn offline() {
    let (mut bench, weights) = Bench::with_model(MB);
    bench.pull().unwrap();
    let tripwire = Tripwire::start();
    bench.settings.endpoint = tripwire.url.clone();
    bench.settings.offline = true;
    assert_eq!(weights_of(&bench.pull().unwrap()), weights);
    assert!(matches!(
        bench.get(&request("org/other"), Freshness::Cached).unwrap_err(),
        Error::Offline { .. }
    ));
    assert!(!tripwire.touched());
    bench.settings.offline = false;
    bench.settings.endpoint = "http://127.0.0.1:1".into();
    bench.events.clear();
    assert_eq!(weights_of(&bench.pull().unwrap()), weights);
    assert!(
        bench
            .events
            .iter()
            .any(|event| matches!(event, Event::Warning(text) if text.contains(COMMIT)))
    );
}

/// (35) Names that lead out of the cache: refused, nothing outside is touched.
#[test]
fn hostile_names() {
    for path in [
        "../../../../pwned",
        "/pwned",
        "a\\..\\pwned",
        "a//b",
        "./a",
        "a\0b",
        "a/../../b",
        "\u{1b}[31m",
    ] {
        let mut bench = Bench::new();
        let files = [
            ("config.json", CONFIG.to_vec(), false),
            ("weights.npz", noise(100, 1), true),
            (path, vec![1], false),
        ];
        bench.hub.repo(REPO, &files);
        let error = bench
            .get(
                &Request {
                    files: Files::All,
                    ..request(REPO)
                },
                Freshness::Newest,
            )
            .unwrap_err();
        assert!(matches!(error, Error::Answer { .. }), "{path:?}: {error}");
        assert_eq!(bench.hub.count("/resolve/"), 0);
        assert!(names(bench.root.path()).is_empty(), "{path:?}");
    }
    for etag in ["../../../x", "", "ABCDEF", "\u{1b}[31m"] {
        let (mut bench, _) = Bench::with_model(MB);
        bench.hub.lie(REPO, "weights.safetensors", Some(etag), None);
        assert!(matches!(bench.pull().unwrap_err(), Error::Answer { .. }), "{etag:?}");
        assert!(names(bench.root.path()).is_empty());
    }
    // A listing's next page on another server.
    let (mut bench, _) = Bench::with_model(MB);
    let tripwire = Tripwire::start();
    let link = format!("<{}/api?Signature=x>; rel=\"next\"", tripwire.url);
    bench.hub.rule(
        "/tree/",
        None,
        Fault {
            headers: vec![("Link".into(), link)],
            ..Fault::default()
        },
    );
    assert!(matches!(bench.pull().unwrap_err(), Error::Answer { .. }));
    assert!(!tripwire.touched());
}

/// (37) What is told of progress only grows, ends at the total, and counts what was there before.
#[test]
fn progress() {
    let (mut bench, weights) = Bench::with_model(5 * MB);
    write(
        bench.repo().blobs().join(format!("{}.incomplete", sha256(&weights))),
        vec![9; 2 * MB],
    );
    bench.hub.rule(
        "storage:",
        1,
        Fault {
            close_after: Some(MB),
            rate: Some(20 << 20),
            ..Fault::default()
        },
    );
    bench.hub.rule(
        "storage:",
        None,
        Fault {
            rate: Some(20 << 20),
            ..Fault::default()
        },
    );
    bench.pull().unwrap();
    let total = (weights.len() + CONFIG.len()) as u64;
    let mut all = 0;
    let mut per_file = [0; 2];
    let mut finished = 0;
    for event in &bench.events {
        match event {
            Event::Started {
                bytes, present, files, ..
            } => {
                assert_eq!((*bytes, *present, files.len()), (total, 2 * MB as u64, 2));
            }
            Event::Progress { file, done, all_done } => {
                assert!(*done > per_file[*file] && *all_done > all && *all_done <= total);
                (per_file[*file], all) = (*done, *all_done);
            }
            Event::Finished { .. } => finished += 1,
            _ => {}
        }
    }
    assert_eq!((all, finished), (total, 2));
    assert!(
        bench.events.iter().any(|event| matches!(event, Event::Warning(_))),
        "begun anew, and said"
    );
}

/// (16) Raising the flag ends the call within a second, wherever it is, and keeps the part.
#[test]
fn cancelled() {
    for (place, fault) in [
        (
            "/revision/",
            Fault {
                hang: Some(Duration::from_secs(30)),
                ..Fault::default()
            },
        ),
        (
            "storage:",
            Fault {
                hang: Some(Duration::from_secs(30)),
                ..Fault::default()
            },
        ),
        (
            "storage:",
            Fault {
                stall_after: Some(2 * MB),
                ..Fault::default()
            },
        ),
        (
            "storage:",
            Fault {
                rate: Some(2 << 20),
                ..Fault::default()
            },
        ),
        ("/revision/", status(503, &[("Retry-After", "4")])),
    ] {
        let (mut bench, weights) = Bench::with_model(20 * MB);
        bench.hub.rule(place, None, fault);
        let cancel = Cancel::new();
        let raised = Arc::new(std::sync::Mutex::new(Instant::now()));
        std::thread::spawn({
            let (cancel, raised) = (cancel.clone(), raised.clone());
            move || {
                std::thread::sleep(Duration::from_millis(700));
                *raised.lock().unwrap() = Instant::now();
                cancel.cancel();
            }
        });
        let error = bench
            .client()
            .snapshot(&request(REPO), Freshness::Cached, &cancel, &mut |_| {})
            .unwrap_err();
        let waited = raised.lock().unwrap().elapsed();
        assert!(
            matches!(error, Error::Cancelled) && waited < Duration::from_secs(1),
            "{error} after {waited:?}"
        );
        bench.hub.clear_rules();
        assert_eq!(weights_of(&bench.pull().unwrap()), weights);
        bench.assert_clean();
    }
}
