//! What `benchmark` installs: what somebody says yes to, and nothing else. `uv` is a script that only takes notes.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use assert_cmd::assert::OutputAssertExt as _;
use predicates::boolean::PredicateBooleanExt as _;
use predicates::str::contains;
use support::terminal::{CTRL_D, Terminal};
use tempfile::TempDir;

const QUESTION: &str = "faster-whisper is not installed: install its pinned packages";
const NOT_INSTALLED: &str = "not installed; `whisper-speedtest implementations --install faster-whisper` installs it";
const NO_WEIGHTS: &str = "is not on this machine";

/// A home without anything, and a folder of programs with `uv` alone.
struct Machine(TempDir);

impl Machine {
    fn new() -> Machine {
        let machine = Machine(tempfile::tempdir().unwrap());
        let uv = machine.0.path().join("bin/uv");
        fs::create_dir(uv.parent().unwrap()).unwrap();
        let script = "#!/bin/sh\necho \"$*\" >> \"$HOME/notes\"\n[ \"$1\" = venv ] || exit 0\n\
                      for last; do :; done\n/bin/mkdir -p \"$last/bin\" && : > \"$last/bin/python\"\n";
        fs::write(&uv, script).unwrap();
        fs::set_permissions(uv, fs::Permissions::from_mode(0o755)).unwrap();
        machine
    }

    fn benchmark(&self, options: &str) -> Command {
        let home = self.0.path();
        let mut command = support::program();
        command.args("benchmark tiny.en 1 --implementation faster-whisper".split(' '));
        command.args(options.split_whitespace()).current_dir(home);
        for variable in ["XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE"] {
            command.env_remove(variable);
        }
        command
            .env("HOME", home)
            .env("PATH", format!("{}:/usr/bin:/bin", home.join("bin").display()));
        command
    }

    /// What `uv` was called for.
    fn notes(&self) -> String {
        fs::read_to_string(self.0.path().join("notes")).unwrap_or_default()
    }

    fn environment(&self) -> PathBuf {
        self.0
            .path()
            .join(".cache/whisper-speedtest/environments/faster-whisper")
    }
}

#[test]
fn a_yes_installs_and_anything_else_does_not() {
    let test = "a_yes_installs_and_anything_else_does_not";
    let machine = Machine::new();
    for answer in ["n\n", "\n", CTRL_D] {
        let Some(mut terminal) = Terminal::start(test, &machine.benchmark("")) else {
            return;
        };
        let asked = terminal.wait_for("[y/N]");
        assert!(asked.contains(QUESTION), "{asked}");
        terminal.press(answer);
        let (code, seen) = terminal.end();
        assert_eq!(code, Some(1));
        assert!(seen.contains(NOT_INSTALLED), "{seen}");
        assert_eq!(machine.notes(), "");
    }
    let mut terminal = Terminal::start(test, &machine.benchmark("")).unwrap();
    terminal.wait_for("[y/N]");
    terminal.press("y\n");
    let (code, seen) = terminal.end();
    // Code, not weights: for those there is a command.
    assert_eq!(code, Some(1));
    assert!(seen.contains(NO_WEIGHTS) && seen.contains("models pull"), "{seen}");
    assert!(machine.notes().contains("--require-hashes"), "{}", machine.notes());
    assert!(machine.environment().join("requirements.txt").is_file());
    // What is there is not asked about.
    let (_, seen) = Terminal::start(test, &machine.benchmark("")).unwrap().end();
    assert!(!seen.contains(QUESTION) && seen.contains(NO_WEIGHTS), "{seen}");
}

#[test]
fn nobody_is_asked_who_cannot_answer_or_has_said_no() {
    let test = "nobody_is_asked_who_cannot_answer_or_has_said_no";
    let machine = Machine::new();
    machine.benchmark("").assert().code(1).stderr(contains(NOT_INSTALLED));
    let mut of_environment = machine.benchmark("");
    of_environment.env("HF_HUB_OFFLINE", "1");
    let mut without_uv = machine.benchmark("");
    without_uv.env("PATH", "/nowhere");
    for command in [
        machine.benchmark("--offline"),
        machine.benchmark("--json"),
        of_environment,
        without_uv,
    ] {
        let Some(terminal) = Terminal::start(test, &command) else {
            return;
        };
        let (code, seen) = terminal.end();
        assert_eq!(code, Some(1));
        assert!(
            !seen.contains(QUESTION) && seen.contains(NOT_INSTALLED),
            "{command:?}: {seen}"
        );
    }
    assert_eq!(machine.notes(), "");
}

#[test]
fn install_asks_nobody() {
    let machine = Machine::new();
    let installed = machine.benchmark("--install").assert().code(1);
    installed.stderr(contains("faster-whisper: installed").and(contains(NO_WEIGHTS)));
    assert!(machine.environment().is_dir());

    let machine = Machine::new();
    machine.benchmark("--install --offline").assert().code(2);
    let mut unnamed = support::program();
    unnamed.args(["benchmark", "--install"]);
    unnamed.assert().code(2).stderr(contains("--implementation"));
    let mut failing = machine.benchmark("--install");
    failing.env("PATH", "/nowhere");
    failing
        .assert()
        .code(1)
        .stderr(contains("uv is needed").and(contains(NOT_INSTALLED)));
    assert_eq!(machine.notes(), "");
}
