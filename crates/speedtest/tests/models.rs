//! Models by name: downloaded, found, checked, mended; real processes against a fake Hub.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/machine.rs"]
mod machine;
mod support;

use std::fs;
use std::path::PathBuf;

use assert_cmd::assert::{Assert, OutputAssertExt as _};
use machine::Machine;
use machine::fakehub::{self, COMMIT, Fault, Tripwire};
use serde_json::Value;

const TINY: &str = "mlx-community/whisper-tiny-mlx-q4";
const TINY_DENSE: &str = "mlx-community/whisper-tiny-mlx";

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

/// A small model of the structure that the store checks; nothing that could be loaded.
fn pulled(machine: &Machine) -> PathBuf {
    machine.hub.model("me/whisper", 100_000);
    let folder = stdout(&machine.run("models pull me/whisper").success());
    PathBuf::from(folder.trim())
}

fn json(assert: &Assert) -> Value {
    serde_json::from_str(&stdout(assert)).unwrap()
}

#[test]
fn pull_verify_path_and_remove() {
    let machine = Machine::new();
    let folder = pulled(&machine);
    assert!(folder.join("weights.safetensors").is_file() && folder.starts_with(machine.models()));
    assert_eq!(
        stdout(&machine.run("models path me/whisper").success()).trim(),
        folder.to_str().unwrap()
    );
    assert!(stdout(&machine.run("models list").success()).contains("me/whisper"));
    let verified = json(&machine.run("models verify --json").success());
    assert_eq!(
        (&verified[0]["state"], &verified[0]["commit"]),
        (&"verified".into(), &COMMIT.into())
    );

    let pulled = json(&machine.run("models pull me/whisper --json").success());
    assert_eq!(
        (&pulled[0]["fetched_bytes"], &pulled[0]["fallback"]),
        (&0.into(), &false.into())
    );

    // No terminal to ask at, so nothing is removed without --yes.
    machine.run("models remove me/whisper").code(1).stdout("");
    assert!(folder.exists());
    machine.run("models remove me/whisper --yes").success();
    assert!(!folder.exists());
    let told = stderr(&machine.run("models path me/whisper").code(1).stdout(""));
    assert!(told.contains("models pull me/whisper"), "{told}");
    machine.run("models remove me/whisper --yes").code(1);
}

#[test]
fn only_what_is_wrong_is_fetched_again() {
    let machine = Machine::new();
    let folder = pulled(&machine);
    machine.hub.forget();
    machine.run("models repair me/whisper").success();
    assert!(machine.hub.seen().is_empty(), "what is right needs no network");

    let weights = folder.join("weights.safetensors").canonicalize().unwrap();
    let good = fs::read(&weights).unwrap();
    let mut bad = good.clone();
    bad[90_000] ^= 1;
    fs::write(&weights, &bad).unwrap();
    let told = stdout(&machine.run("models verify").code(1));
    assert!(told.contains("corrupt") && told.contains("expected the hash"), "{told}");
    machine.run("models repair --offline").code(1);
    machine.run("models repair").success();
    assert_eq!(fs::read(&weights).unwrap(), good);
    assert_eq!(machine.hub.count("config.json"), 0);
}

#[test]
fn prune_shows_what_it_would_remove() {
    let machine = Machine::new();
    let folder = pulled(&machine);
    let part = folder.join(format!("../../blobs/{}.incomplete", "ab".repeat(32)));
    fs::write(&part, [0; 5000]).unwrap();
    let told = stderr(&machine.run("models prune").code(1).stdout(""));
    assert!(told.contains("5.00 kB  unfinished download"), "{told}");
    assert!(part.exists());
    machine.run("models prune -y").success().stdout("removed 5.00 kB\n");
    assert!(!part.exists() && folder.join("config.json").exists());
    machine.run("models prune").success();
}

#[test]
fn a_model_is_carried_to_a_machine_without_network() {
    let machine = Machine::new();
    let folder = pulled(&machine);
    let stick = machine.home.path().join("stick");
    machine
        .run(&format!("models export me/whisper {}", stick.display()))
        .success();
    let other = Machine::new();
    let tripwire = Tripwire::start();
    let import = format!("models import {}", stick.display());
    other
        .command(&import)
        .env("HF_ENDPOINT", &tripwire.url)
        .assert()
        .success();
    let taken = stdout(&other.run("models path me/whisper").success());
    let weights = |folder: &std::path::Path| fs::read(folder.join("weights.safetensors")).unwrap();
    assert_eq!(weights(taken.trim().as_ref()), weights(&folder));
    assert!(!tripwire.touched());
}

#[test]
fn other_programs_models_come_whole() {
    let machine = Machine::new();
    let files = [
        ("config.json", b"{}".to_vec(), false),
        ("model.bin", fakehub::noise(50_000, 1), true),
        ("vocabulary.txt", b"a\n".to_vec(), false),
    ];
    machine.hub.repo("Systran/faster-whisper-tiny", &files);
    let folder = stdout(&machine.run("models pull Systran/faster-whisper-tiny").success());
    assert_eq!(fs::read_dir(folder.trim()).unwrap().count(), 3);
    let line = "check-models -m tiny --implementations FasterWhisperImplementation";
    machine.run(line).success();
}

#[test]
fn a_name_of_no_model_is_a_wrong_command_line() {
    let machine = Machine::new();
    for line in [
        "models pull smal",
        "models verify smal",
        "check-models -m smal",
        "models path smal",
    ] {
        machine
            .run(line)
            .code(2)
            .stdout("")
            .stderr(predicates::str::contains("Did you mean small?"));
    }
    machine.run("models pull bundled").code(1);
}

#[test]
fn check_models_looks_and_never_fetches() {
    let machine = Machine::new();
    let weights = machine.hub.model(TINY_DENSE, 100_000);
    let tripwire = Tripwire::start();
    let check = |line: &str| {
        let mut command = machine.command(&format!(
            "check-models --model tiny --implementations MLXWhisperImplementation {line}"
        ));
        command.env("HF_ENDPOINT", &tripwire.url).assert()
    };
    let missing = stdout(&check("").code(1));
    for column in [
        "Implementation",
        "HF Hub cache",
        "Local cache",
        "Disk usage",
        "missing",
        TINY,
        "fallback",
        "free in",
    ] {
        assert!(missing.contains(column), "{column}: {missing}");
    }
    // The fallback in the cache of all programs is enough.
    machine
        .run(&format!(
            "models pull {TINY_DENSE} --models-dir {}",
            machine.shared().display()
        ))
        .success();
    for (how, state) in [("", "complete"), ("--verify hash", "verified")] {
        let checked = json(&check(&format!("{how} --json")).success());
        assert_eq!(checked["ready"], true);
        let (first, second) = (&checked["rows"][0], &checked["rows"][1]);
        assert_eq!((&first["repository"], &first["ready"]), (&TINY.into(), &false.into()));
        assert_eq!(second["huggingface_cache"]["state"], state);
        assert_eq!(
            (&second["fallback"], &second["local_cache"]["state"]),
            (&true.into(), &"missing".into())
        );
    }
    // Weights that are whole and no Whisper: only loading finds out.
    let loaded = stdout(&check("--verify load").code(1));
    assert!(loaded.contains("corrupt"), "{loaded}");

    let blob = machine.shared().join(format!(
        "models--{}/blobs/{}",
        TINY_DENSE.replace('/', "--"),
        fakehub::sha256(&weights)
    ));
    fs::write(&blob, &weights[..60_000]).unwrap();
    let corrupt = json(&check("--json").code(1));
    let cell = &corrupt["rows"][1]["huggingface_cache"];
    assert_eq!(
        (&cell["state"], &cell["missing_bytes"]),
        (&"corrupt".into(), &100_000.into())
    );
    assert!(
        cell["reason"]
            .as_str()
            .unwrap()
            .contains("expected 100000 bytes, found 60000"),
        "{cell}"
    );
    assert!(!tripwire.touched());
}

#[test]
fn check_models_hands_over_when_told_to() {
    let machine = Machine::new();
    machine.hub.model(TINY, 100_000);
    machine.run("check-models -m tiny").code(1);
    assert!(machine.hub.seen().is_empty());
    machine.run("check-models -m tiny --download").success();
    machine.run("check-models -m tiny --verify hash").success();
    let folder = stdout(&machine.run("models path tiny").success());
    let weights = PathBuf::from(folder.trim())
        .join("weights.safetensors")
        .canonicalize()
        .unwrap();
    fs::write(&weights, b"<html>").unwrap();
    machine.run("check-models -m tiny").code(1);
    machine.run("check-models -m tiny --repair").success();
    machine.run("check-models -m tiny --verify hash").success();
}

#[test]
fn the_environment_forbids_the_network() {
    let machine = Machine::new();
    for (variable, value) in [
        ("HF_HUB_OFFLINE", "1"),
        ("HF_HUB_OFFLINE", "On"),
        ("HF_HUB_OFFLINE", "yes"),
        ("TRANSFORMERS_OFFLINE", "TRUE"),
    ] {
        let tripwire = Tripwire::start();
        for line in [
            "models pull me/whisper",
            "models repair me/whisper",
            "check-models -m tiny --download",
        ] {
            let mut command = machine.command(line);
            command.env(variable, value).env("HF_ENDPOINT", &tripwire.url);
            let told = stderr(&command.assert().code(1));
            assert!(told.contains("switched off"), "{variable}={value} {line}: {told}");
        }
        assert!(!tripwire.touched(), "{variable}={value}");
    }
}

/// As a service manager or a CI job ends it: what has come is kept, and fetched no more.
#[test]
#[cfg(unix)]
fn a_terminated_download_goes_on_later() {
    let machine = Machine::new();
    machine.hub.model("me/whisper", 30 << 20);
    let fault = Fault {
        rate: Some(8 << 20),
        ..Fault::default()
    };
    machine.hub.rule("storage:", None, fault);
    let mut pull = machine.command("models pull me/whisper");
    let child = pull.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let blobs = machine.models().join("models--me--whisper/blobs");
    let part = || {
        let mut entries = fs::read_dir(&blobs).ok()?.flatten();
        let part = entries.find(|entry| entry.path().extension().is_some_and(|end| end == "incomplete"))?;
        part.metadata().ok().map(|meta| meta.len())
    };
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while part().is_none_or(|len| len < 4 << 20) {
        assert!(std::time::Instant::now() < patience, "no part");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let terminate = std::process::Command::new("kill").arg(child.id().to_string()).status();
    assert!(terminate.unwrap().success());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    assert!(
        String::from_utf8(ended.stderr)
            .unwrap()
            .ends_with("goes on from there\n")
    );
    let kept = part().unwrap();
    machine.hub.clear_rules();
    machine.hub.forget();
    machine.run("models pull me/whisper").success();
    let asked = machine.hub.seen().into_iter().find_map(|seen| seen.range);
    assert_eq!(asked, Some(format!("bytes={kept}-")));
}

#[test]
fn doctor_uses_the_network_only_when_asked() {
    let machine = Machine::new();
    let tripwire = Tripwire::start();
    let alone = machine
        .command("doctor --json")
        .env("HF_ENDPOINT", &tripwire.url)
        .assert()
        .success();
    assert!(!tripwire.touched());
    let found = json(&alone);
    assert!(
        found["machine"]["instruction_set"].is_string() && found["hub"].is_null(),
        "{found}"
    );
    assert!(found["caches"][0]["free_bytes"].as_u64().unwrap() > 0);
    machine.hub.model("mlx-community/whisper-large-v3-turbo", 4096);
    let online = stdout(&machine.run("doctor --online").success());
    assert!(online.contains(COMMIT), "{online}");
    assert_eq!(machine.hub.seen().len(), 1);
}

/// `cargo test --release -p whisper-speedtest --test models measure -- --ignored --nocapture`
#[test]
#[ignore = "measures"]
fn measure_check_models() {
    let machine = Machine::new();
    let names: Vec<String> = (0..20).map(|number| format!("me/whisper-{number}")).collect();
    for name in &names {
        machine.hub.model(name, 1_000_000);
    }
    machine.run(&format!("models pull {}", names.join(" "))).success();
    let line = format!("check-models --model {}", names.join(","));
    let mut times: Vec<f64> = (0..21)
        .map(|_| {
            let began = std::time::Instant::now();
            machine.run(&line).success();
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    eprintln!(
        "check-models over 20 models, process and all: median {:.1} ms",
        times[10]
    );
    assert!(times[10] < 50.0);
}
