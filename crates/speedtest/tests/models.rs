//! Models by name: downloaded, found, checked, mended; real processes against a fake Hub.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "the tests of the model store use the rest of it")]
#[path = "../../hub/src/tests/fakehub.rs"]
mod fakehub;
mod support;

use std::fs;
use std::path::PathBuf;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use fakehub::{COMMIT, FakeHub, Fault, Tripwire};
use serde_json::Value;
use tempfile::TempDir;

const TINY: &str = "mlx-community/whisper-tiny-mlx-q4";
const TINY_DENSE: &str = "mlx-community/whisper-tiny-mlx";

/// A user's machine: a home, a folder of models, and a Hub.
struct Machine {
    hub: FakeHub,
    home: TempDir,
}

impl Machine {
    fn new() -> Machine {
        Machine {
            hub: FakeHub::start(),
            home: tempfile::tempdir().unwrap(),
        }
    }

    fn models(&self) -> PathBuf {
        self.home.path().join("models")
    }

    fn shared(&self) -> PathBuf {
        self.home.path().join(".cache/huggingface/hub")
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::from_std(support::program());
        for variable in [
            "HF_HUB_CACHE",
            "HUGGINGFACE_HUB_CACHE",
            "HF_HOME",
            "HF_HUB_OFFLINE",
            "XDG_CACHE_HOME",
        ] {
            command.env_remove(variable);
        }
        command
            .args(line.split_whitespace())
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env("HF_ENDPOINT", self.hub.url())
            .env("HF_TOKEN", "hf_secret")
            .env("NO_PROXY", "127.0.0.1")
            .env("WHISPER_SPEEDTEST_MODELS", self.models());
        command
    }

    fn run(&self, line: &str) -> Assert {
        self.command(line).assert()
    }
}

fn stderr(assert: &Assert) -> String {
    let text = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    assert!(!text.contains("hf_secret") && !text.contains('\u{1b}'), "{text}");
    text
}

fn stdout(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

/// The files of the model that lies in the project.
fn checkpoint() -> Option<[(&'static str, Vec<u8>, bool); 2]> {
    let folder = support::root().join("assets/whisper-base-mlx-5bit");
    Some([
        ("config.json", fs::read(folder.join("config.json")).ok()?, false),
        (
            "weights.safetensors",
            fs::read(folder.join("weights.safetensors")).ok()?,
            true,
        ),
    ])
}

#[test]
fn transcribe_downloads_a_model_once_and_says_so() {
    let Some(files) = checkpoint() else {
        return support::skipped("transcribe_downloads_a_model_once_and_says_so", "assets/ is absent");
    };
    let machine = Machine::new();
    machine.hub.repo("me/whisper", &files);
    let line = format!("transcribe {} -m me/whisper -f json", support::jfk().display());

    let refused = machine.run(&format!("{line} --offline")).code(1).stdout("");
    let told = stderr(&refused);
    assert!(told.contains("me/whisper") && told.contains("--offline"), "{told}");
    assert!(machine.hub.seen().is_empty());

    let first = machine.run(&line).success();
    let told = stderr(&first);
    assert!(told.contains("downloading me/whisper: 51.04 MB"), "{told}");
    let json: Value = serde_json::from_str(&stdout(&first)).unwrap();
    assert_eq!(json["model"]["source"], "me/whisper");
    assert_eq!(json["model"]["revision"], COMMIT);
    assert_eq!(json["model"]["fallback"], false);
    assert!(
        json["text"].as_str().unwrap().contains("ask not what your country"),
        "{json}"
    );

    machine.hub.forget();
    let second = machine.run(&line).success();
    assert!(machine.hub.seen().is_empty(), "what is complete needs no network");
    assert!(!stderr(&second).contains("downloading"));
    assert_eq!(stdout(&second), stdout(&first));
}

#[test]
fn a_fallback_is_said_and_can_be_forbidden() {
    let Some(files) = checkpoint() else {
        return support::skipped("a_fallback_is_said_and_can_be_forbidden", "assets/ is absent");
    };
    let machine = Machine::new();
    machine.hub.repo(TINY_DENSE, &files);
    let line = format!("transcribe {} -m tiny -f json", support::jfk().display());

    let forbidden = machine.run(&format!("{line} --no-fallback")).code(1).stdout("");
    assert!(stderr(&forbidden).contains(TINY));
    assert_eq!(machine.hub.count(&format!("{TINY_DENSE}/")), 0);

    let taken = machine.run(&line).success();
    let told = stderr(&taken);
    assert!(told.contains(&format!("taking the fallback, {TINY_DENSE}")), "{told}");
    let json: Value = serde_json::from_str(&stdout(&taken)).unwrap();
    assert_eq!(json["model"]["fallback"], true);
    assert_eq!(json["model"]["source"], TINY_DENSE);
    assert_eq!(json["model"]["revision"], COMMIT);

    // A first repository that comes and cannot be loaded: the fallback is there, so it is not fetched again.
    machine.hub.model(TINY, 4096);
    machine.hub.forget();
    let taken = machine.run(&line).success();
    assert!(stderr(&taken).contains("cannot be loaded"));
    assert_eq!(machine.hub.count(&format!("{TINY_DENSE}/")), 0);
    let json: Value = serde_json::from_str(&stdout(&taken)).unwrap();
    assert_eq!(json["model"]["fallback"], true);
}

#[test]
fn a_model_of_the_shared_cache_is_used_in_place() {
    let Some(files) = checkpoint() else {
        return support::skipped("a_model_of_the_shared_cache_is_used_in_place", "assets/ is absent");
    };
    let machine = Machine::new();
    machine.hub.repo("me/whisper", &files);
    let line = format!("transcribe {} -m me/whisper", support::jfk().display());
    let shared = format!("{line} --models-dir {}", machine.shared().display());
    let text = stdout(&machine.run(&shared).success());
    machine.hub.forget();
    let again = machine.run(&line).success();
    assert_eq!(stdout(&again), text);
    assert!(machine.hub.seen().is_empty() && !machine.models().exists());
}

#[test]
fn the_benchmark_never_downloads() {
    let machine = Machine::new();
    machine.hub.model(TINY, 4096);
    let tripwire = Tripwire::start();
    let line = "benchmark -m tiny -i native -n 1";
    let refused = machine.command(line).env("HF_ENDPOINT", &tripwire.url).assert().code(1);
    let told = stderr(&refused);
    assert!(
        told.contains(&format!("whisper-speedtest models pull {TINY}")),
        "{told}"
    );
    assert!(!tripwire.touched());
}

#[test]
fn a_server_in_trouble_is_told_and_nothing_is_kept() {
    let machine = Machine::new();
    machine.hub.model("me/whisper", 4096);
    let fault = Fault {
        status: Some(404),
        ..Fault::default()
    };
    machine.hub.rule("/resolve/", None, fault);
    let line = format!("transcribe {} -m me/whisper", support::jfk().display());
    let told = stderr(&machine.run(&line).code(1).stdout(""));
    assert!(told.contains("me/whisper"), "{told}");
    let blobs = machine.models().join("models--me--whisper/blobs");
    assert_eq!(fs::read_dir(blobs).map_or(0, Iterator::count), 0);
}
