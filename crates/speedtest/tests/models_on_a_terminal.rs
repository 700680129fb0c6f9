//! Models as somebody at a terminal sees them: bars, questions, Ctrl-C; and what a hostile server may show there: nothing.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/machine.rs"]
mod machine;
mod support;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use machine::Machine;
use machine::fakehub::{COMMIT, Fault, MB};
use support::terminal::{CTRL_C, CTRL_D, Terminal, screen};

const REPO: &str = "me/whisper";

/// So that there is time to watch.
fn slow(machine: &Machine) {
    let rate = Some(8 << 20);
    let fault = Fault {
        rate,
        ..Fault::default()
    };
    machine.hub.rule("storage:", None, fault);
}

fn blobs(machine: &Machine) -> PathBuf {
    machine.models().join("models--me--whisper/blobs")
}

/// The part of a download and its length.
fn part(machine: &Machine) -> Option<u64> {
    let mut names = fs::read_dir(blobs(machine)).ok()?.flatten();
    let part = names.find(|entry| entry.path().extension().is_some_and(|end| end == "incomplete"))?;
    Some(part.metadata().ok()?.len())
}

/// What a bar said each time it was drawn: percents are not written, so the bytes are.
fn positions(screen: &str, bar: &str) -> Vec<f64> {
    let line = regex::Regex::new(&format!(r"{bar} +[█░▒▓=>#-]* *([0-9.]+) (B|kB|MB) of")).unwrap();
    let unit = |unit: &str| match unit {
        "MB" => 1e6,
        "kB" => 1e3,
        _ => 1.0,
    };
    line.captures_iter(screen)
        .map(|found| found[1].parse::<f64>().unwrap() * unit(&found[2]))
        .collect()
}

#[test]
fn a_bar_for_each_file_and_one_for_all() {
    let machine = Machine::new();
    machine.hub.model(REPO, 12 * MB);
    slow(&machine);
    let command = machine.command(&format!("models pull {REPO}"));
    let Some(terminal) = Terminal::start("a_bar_for_each_file_and_one_for_all", &command) else {
        return;
    };
    let (code, seen) = terminal.end();
    assert_eq!(code, Some(0), "{seen}");
    assert!(seen.contains("downloading me/whisper: 12.58 MB"), "{seen:?}");
    for bar in ["config.json", "weights.safetensors", "all"] {
        assert!(seen.contains(bar), "{bar}: {seen:?}");
    }
    assert!(seen.contains("/s, 0:0") && seen.contains(" left"), "{seen:?}");
    let all = positions(&seen, "all");
    assert!(all.len() > 3 && all.is_sorted(), "{all:?}");
    assert!(all.iter().all(|position| *position <= 12.59e6), "{all:?}");
    // In the end the bars are gone.
    let left = screen(&seen);
    assert_eq!(left[0], "downloading me/whisper: 12.58 MB");
    assert!(left[1..].concat().ends_with(COMMIT), "{left:?}");
    assert!(left.iter().all(|line| !line.contains(" of ")), "{left:#?}");
    assert!(
        !seen.contains("\x1b[?25l") || seen.contains("\x1b[?25h"),
        "the cursor is left hidden"
    );

    // Every byte hashed, with a bar as well.
    let verify = machine.command("models verify");
    let (code, seen) = Terminal::start("a_bar_for_each_file_and_one_for_all", &verify)
        .unwrap()
        .end();
    assert_eq!(code, Some(0));
    assert!(seen.contains("verified     me/whisper"), "{seen:?}");
}

#[test]
fn ctrl_c_ends_a_download_within_a_second_and_keeps_what_has_come() {
    let machine = Machine::new();
    machine.hub.model(REPO, 30 * MB);
    slow(&machine);
    let pull = machine.command(&format!("models pull {REPO}"));
    let test = "ctrl_c_ends_a_download_within_a_second_and_keeps_what_has_come";
    let Some(mut terminal) = Terminal::start(test, &pull) else {
        return;
    };
    let patience = Instant::now() + Duration::from_secs(60);
    while part(&machine).is_none_or(|len| len < 4 << 20) {
        assert!(Instant::now() < patience, "no part: {:?}", terminal.seen());
        std::thread::sleep(Duration::from_millis(5));
    }
    terminal.press(CTRL_C);
    let pressed = Instant::now();
    let (code, seen) = terminal.end();
    let took = pressed.elapsed();
    assert_eq!(code, Some(130), "{seen:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    // How far it came, once, and what becomes of it.
    let left = screen(&seen);
    assert!(left.last().unwrap().ends_with("goes on from there"), "{left:#?}");
    assert_eq!(
        left.iter().filter(|line| line.starts_with("all ")).count(),
        1,
        "{left:#?}"
    );
    let kept = part(&machine).unwrap();
    assert!(kept >= 4 << 20);

    machine.hub.clear_rules();
    machine.hub.forget();
    let (code, seen) = Terminal::start(test, &pull).unwrap().end();
    assert_eq!(code, Some(0), "{seen:?}");
    assert!(seen.contains("of it are here"), "{seen:?}");
    let asked = machine.hub.seen().into_iter().find_map(|seen| seen.range);
    assert_eq!(asked, Some(format!("bytes={kept}-")));
    assert_eq!(part(&machine), None);
}

#[test]
fn what_is_removed_is_asked_first() {
    let machine = Machine::new();
    machine.hub.model(REPO, 100_000);
    let pull = || machine.run(&format!("models pull {REPO}")).success();
    pull();
    let part = blobs(&machine).join(format!("{}.incomplete", "ab".repeat(32)));
    for (line, question) in [
        ("models prune", "remove this file, 5.00 kB together? [y/N] "),
        ("models remove me/whisper", "remove me/whisper, 105.03 kB? [y/N] "),
    ] {
        for (answer, code, gone) in [
            ("n\n", 1, false),
            ("\n", 1, false),
            ("maybe\n", 1, false),
            (CTRL_D, 1, false),
            (CTRL_C, 130, false),
            ("y\n", 0, true),
        ] {
            fs::write(&part, [0; 5000]).unwrap();
            let command = machine.command(line);
            let Some(mut terminal) = Terminal::start("what_is_removed_is_asked_first", &command) else {
                return;
            };
            terminal.wait_for(question);
            terminal.press(answer);
            let (ended, seen) = terminal.end();
            assert_eq!(ended, Some(code), "{line}, {answer:?}: {seen:?}");
            assert_eq!(part.exists(), !gone, "{line}, {answer:?}");
            assert_eq!(seen.contains("nothing was removed"), code == 1, "{seen:?}");
        }
        pull();
    }
}

/// A server that repeats the token, recolours, moves the cursor, reverses the text.
#[test]
fn a_hostile_server_shows_nothing_but_letters() {
    let hostile = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m hf_secret \u{202e}\r";
    let machine = Machine::new();
    machine.hub.model(REPO, 100_000);
    let json = serde_json::json!({ "error": hostile }).to_string();
    let message = |status, headers: &[(&str, &str)]| Fault {
        status: Some(status),
        body: Some(json.clone().into_bytes()),
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..Fault::default()
    };
    let named = serde_json::json!([{"type": "file", "oid": "x", "size": 1, "path": hostile}]).to_string();
    let sha = serde_json::json!({ "sha": hostile }).to_string();
    let good = |body: String| Fault {
        status: Some(200),
        body: Some(body.into_bytes()),
        ..Fault::default()
    };
    let own = regex::Regex::new("\x1b\\[[0-9;?]*[A-Za-z]").unwrap(); // bars move the cursor, too
    for (place, fault) in [
        ("/revision/", message(400, &[])),
        (
            "/revision/",
            message(400, &[("X-Error-Message", "\u{9b}31m hf_secret")]),
        ),
        ("/revision/", good(sha)),
        ("/tree/", good(named)),
        (
            "/resolve/",
            message(302, &[("Location", "http://x/?Signature=hf_secret\u{9b}")]),
        ),
        ("storage:", message(500, &[])),
        ("storage:", message(404, &[("Retry-After", "\u{9b}")])),
    ] {
        machine.hub.clear_rules();
        machine.hub.rule(place, None, fault);
        let command = machine.command(&format!("models pull {REPO} --no-color"));
        let Some(mut terminal) = Terminal::start("a_hostile_server_shows_nothing_but_letters", &command) else {
            return;
        };
        // A server in trouble is asked again for half a minute; that much need not be seen.
        if place == "storage:" {
            terminal.wait_for("trying again");
            terminal.press(CTRL_C);
        }
        let (code, seen) = terminal.end();
        assert!(matches!(code, Some(1 | 130)), "{place}: {seen:?}");
        let seen = own.replace_all(&seen, |found: &regex::Captures<'_>| match &found[0] {
            foreign @ ("\x1b[2J" | "\x1b[31m") => foreign.to_owned(),
            _ => String::new(),
        });
        for raw in ["\u{1b}", "\u{7}", "\u{9b}", "\u{202e}", "hf_secret", "Signature"] {
            assert!(!seen.contains(raw), "{place}: {raw:?} in {seen:?}");
        }
    }
}
