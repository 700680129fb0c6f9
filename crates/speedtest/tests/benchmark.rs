//! The speed test with real children, good and bad ones. They are copies of `examples/fake.rs`, which does what its file
//! name says.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;

fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_whisper-speedtest"));
    program.arg("benchmark");
    program
}

/// An example of this package, which `cargo test` has built beside the program.
fn example(name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_whisper-speedtest"));
    let folder = program.parent().expect("a program is in a folder").join("examples");
    folder.join(name).with_extension(std::env::consts::EXE_EXTENSION)
}

/// Whether `cargo test` was asked for all of the package, and so has built the fake; says so where not.
fn fake_is_built(test: &str) -> bool {
    let is_built = example("fake").is_file();
    if !is_built {
        writeln!(
            std::io::stderr(),
            "skipped: {test}: examples/fake.rs is not built: cargo build --examples"
        )
        .ok();
    }
    is_built
}

/// Fakes with these behaviours, as the option `-i` takes them.
fn fakes(folder: &Path, behaviours: &[&str]) -> String {
    let copy = |behaviour: &&str| {
        let path = folder.join(behaviour).with_extension(std::env::consts::EXE_EXTENSION);
        fs::copy(example("fake"), &path).expect("the fake is built");
        path.to_str().expect("a temporary folder has a plain name").to_owned()
    };
    behaviours.iter().map(copy).collect::<Vec<_>>().join(",")
}

/// Measures fakes, three runs each: the entries in their order, and the exit code.
fn measure(behaviours: &[&str], options: &[&str]) -> (Vec<Value>, Option<i32>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = program()
        .args(["--json", "-n", "3", "-i", &fakes(folder.path(), behaviours)])
        .args(options)
        .output()
        .expect("the program starts");
    let results: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let entries = results["entries"].as_array().expect("a list").clone();
    (entries, output.status.code())
}

/// Why an entry has no figures: of the whole, or of its row.
fn failure(entry: &Value) -> (String, String, String) {
    let whole = Some(&entry["failure"]).filter(|failure| !failure.is_null());
    let failure = whole.unwrap_or(&entry["rows"][0]["failure"]);
    let text = |name: &str| failure[name].as_str().unwrap_or_default().to_owned();
    (text("kind"), text("message"), text("complaints"))
}

#[test]
fn who_misbehaves_is_a_row_with_the_reason_and_the_rest_goes_on() {
    if !fake_is_built("who_misbehaves_is_a_row_with_the_reason_and_the_rest_goes_on") {
        return;
    }
    let bad = [
        ("crash", "ended", "crashed at \"transcribe\""),
        ("exit", "ended", "ended at \"load\""),
        ("absent", "ended", "ended at \"hello\""),
        ("garbage", "protocol", "Loading model"),
        ("cut", "ended", "ended at \"transcribe\""),
        ("long", "protocol", "longer than 4 MiB"),
        ("chatty", "protocol", "a reply to \"audio\""),
        ("refuse", "refused", "cannot <b>hear</b>"),
        ("future", "protocol", "it speaks protocol 2"),
        ("nameless", "protocol", "does not say its version"),
        ("liar", "protocol", "1000000 s"),
    ];
    let behaviours: Vec<&str> = bad.iter().map(|(behaviour, ..)| *behaviour).chain(["well"]).collect();
    let (entries, code) = measure(&behaviours, &[]);
    assert_eq!(code, Some(1));
    for (entry, (behaviour, kind, message)) in entries.iter().zip(bad) {
        assert_eq!(entry["implementation"], behaviour);
        let found = failure(entry);
        let kind = if cfg!(windows) && behaviour == "crash" {
            "ended"
        } else {
            kind
        };
        assert!(found.0 == kind && found.1.contains(message), "{behaviour}: {found:?}");
    }
    assert!(failure(&entries[0]).2.contains("line 42"), "the last words are kept");
    assert!(failure(&entries[1]).2.contains("no such library"));
    let well = &entries[bad.len()];
    assert_eq!(well["rows"][0]["runs"].as_array().map(Vec::len), Some(3));
    assert_eq!(well["rows"][0]["accuracy"]["words"]["substitutions"], 0);
    assert_eq!(well["identity"]["version"], "1.0");
}

#[test]
fn who_hangs_is_killed_with_its_helpers() {
    if !fake_is_built("who_hangs_is_killed_with_its_helpers") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let began = Instant::now();
    let fakes = fakes(folder.path(), &["hang", "well"]);
    let output = program()
        .args(["--json", "-n", "3", "--timeout", "1", "-i", &fakes])
        .output()
        .expect("it starts");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
    let results: Value = serde_json::from_slice(&output.stdout).expect("results");
    assert_eq!(failure(&results["entries"][0]).0, "timed_out");
    assert_eq!(
        results["entries"][1]["rows"][0]["runs"].as_array().map(Vec::len),
        Some(3)
    );
    #[cfg(target_os = "linux")]
    assert_eq!(living(folder.path()), 0, "a helper lives on");
}

#[cfg(unix)]
#[test]
fn who_is_killed_most_likely_ran_out_of_memory() {
    if !fake_is_built("who_is_killed_most_likely_ran_out_of_memory") {
        return;
    }
    let (entries, code) = measure(&["memory", "well"], &[]);
    let (kind, message, _) = failure(&entries[0]);
    assert!(
        kind == "killed" && message.contains("out of memory"),
        "{kind} {message}"
    );
    assert_eq!(code, Some(1));
    assert!(entries[1]["rows"][0]["time"]["median"].is_f64());
}

#[test]
fn slow_is_slow_and_not_wrong() {
    if !fake_is_built("slow_is_slow_and_not_wrong") {
        return;
    }
    let (entries, code) = measure(&["slow", "well"], &["--no-interleave"]);
    assert_eq!(code, Some(0));
    let median = |entry: &Value| entry["rows"][0]["time"]["median"].as_f64().expect("measured");
    assert!(median(&entries[0]) >= 0.3 && median(&entries[1]) < 0.3, "{entries:?}");
    let run = &entries[0]["rows"][0]["runs"][0];
    assert!(run["inside_seconds"].as_f64() <= run["seconds"].as_f64());
    if cfg!(target_os = "linux") {
        assert!(
            entries[0]["peak_memory_bytes"].as_u64() > Some(500_000),
            "{}",
            entries[0]["peak_memory_bytes"]
        );
    }
}

#[test]
fn results_are_exported_by_ending_and_compared() {
    if !fake_is_built("results_are_exported_by_ending_and_compared") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| folder.path().join(name);
    let fakes = fakes(folder.path(), &["well", "refuse"]);
    for name in ["a.json", "b.json"] {
        let others = ["r.csv", "r.md", "r.html"].map(|name| ["-e".into(), file(name).into_os_string()]);
        let run = program()
            .args(["-n", "3", "-i", &fakes, "-e"])
            .arg(file(name))
            .args(others.as_flattened())
            .assert();
        run.code(1).stdout(
            contains("well base")
                .and(contains("cannot <b>hear</b>"))
                .and(contains("\u{1b}").not()),
        );
    }
    let read = |name: &str| fs::read_to_string(file(name)).expect(name);
    let json: Value = serde_json::from_str(&read("a.json")).expect("JSON");
    assert_eq!(
        (&json["schema"], &json["complete"]),
        (&"whisper-speedtest benchmark 1".into(), &true.into())
    );
    assert!(read("r.csv").starts_with("implementation,version,model"));
    assert!(read("r.md").contains("| well base | 1.0 |"));
    assert!(read("r.html").contains("well base") && !read("r.html").contains("<b>hear"));

    let compare = |options: &[&str]| {
        let mut compare = Command::new(env!("CARGO_BIN_EXE_whisper-speedtest"));
        compare
            .arg("compare")
            .arg(file("a.json"))
            .arg(file("b.json"))
            .args(options)
            .assert()
    };
    compare(&[])
        .success()
        .stdout(contains("well base: ").and(contains("refuse base: failed before")));
    // a measurement that is missing is no success
    compare(&["--fail-if-wer", "+0.3"])
        .code(1)
        .stdout(contains("** missing **"));
    fs::write(file("b.json"), "{\"schema\": 7}").expect("written");
    compare(&[])
        .code(1)
        .stderr(contains("expected the results of a benchmark"));
}

#[test]
fn a_wrong_command_line_is_2_and_helps() {
    for (args, help) in [
        (&["-i", "nativ"][..], "Did you mean native?"),
        (&["base", "-m", "base"], "MODEL and --model say the same"),
        (&["base", "0"], "RUNS"),
        (&["-e", "r.txt"], "known are .json, .csv, .md and .html"),
        (&["--timeout=-1"], "0 to 1000000"),
        (&["--model-path", "native"], "NAME=PATH"),
        (&["--language", "klingon", "-a", "x.wav"], "klingon"),
        (&["-a", "x.wav", "--reference", "talk.txt"], "talk.txt: no such file"),
        (&["-a", "x.wav", "--reference", "no/such"], "no/such: no such file"),
    ] {
        program().args(args).assert().code(2).stdout("").stderr(contains(help));
    }
    // One text cannot be what is said in two recordings.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/jfk.flac");
    for name in ["a.flac", "b.flac"] {
        fs::copy(&samples, folder.path().join(name)).expect("it is copied");
    }
    let mut two = program();
    two.arg("-a")
        .arg(folder.path())
        .args(["--reference", "And so my fellow Americans"]);
    two.assert()
        .code(2)
        .stdout("")
        .stderr(contains("there are 2 recordings"));
}

#[test]
fn what_is_not_ready_is_said_and_nothing_is_downloaded() {
    program()
        .args(["medium", "1", "MLXWhisperImplementation"])
        .env("WHISPER_SPEEDTEST_MODELS", "/no/such/folder")
        .assert()
        .code(1)
        .stderr(contains("native medium").and(contains("--model-path native:medium=FOLDER")));
    program()
        .args(["-i", "./no-such-runner"])
        .assert()
        .code(1)
        .stderr(contains("no such file"));
}

/// Two of the same weights, told apart by how they are computed.
#[cfg(bundled_model)]
#[test]
fn our_own_engine_computes_as_it_is_told() {
    for (options, computed) in [
        (&["--compute", "f32"][..], "computed in f32"),
        (&[], "computed in int8"),
    ] {
        let output = program()
            .args(["-i", "native", "-n", "1", "--json"])
            .args(options)
            .output()
            .expect("the program starts");
        let results: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let weights = &results["entries"][0]["loaded"]["weights"];
        let is_right = weights.as_str().is_some_and(|weights| weights.ends_with(computed));
        assert!(is_right, "{options:?}: {weights}");
    }
}

/// Children have groups of their own, which Ctrl-C of a terminal does not reach.
#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_ends_the_children_and_leaves_what_is_measured() {
    if !fake_is_built("ctrl_c_ends_the_children_and_leaves_what_is_measured") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("r.json");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_whisper-speedtest"))
        .args([
            "benchmark",
            "--no-interleave",
            "-n",
            "1",
            "-q",
            "-i",
            &fakes(folder.path(), &["well", "hang"]),
            "-e",
        ])
        .arg(&file)
        .spawn()
        .expect("the program starts");
    let started = Instant::now();
    while living(folder.path()) < 2 {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "the fake that hangs starts a helper"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let interrupt = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupt.expect("kill is there").success());
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    std::thread::sleep(Duration::from_millis(200)); // the system takes the killed away
    assert_eq!(living(folder.path()), 0);
    let results: Value = serde_json::from_slice(&fs::read(&file).expect("saved")).expect("JSON");
    assert_eq!(results["complete"], false);
    assert!(results["entries"][0]["rows"][0]["time"]["median"].is_f64());
}

/// How many processes run programs of this folder.
#[cfg(target_os = "linux")]
fn living(folder: &Path) -> usize {
    let processes = fs::read_dir("/proc").expect("Linux").flatten();
    let programs = processes.filter_map(|process| fs::read_link(process.path().join("exe")).ok());
    programs.filter(|program| program.starts_with(folder)).count()
}

/// A microphone is a program that writes samples; here one that hears a hum.
#[cfg(target_os = "linux")]
#[test]
fn the_microphone_is_recorded_from_enter_to_enter_and_kept() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Stdio;
    use std::thread;

    if !fake_is_built("the_microphone_is_recorded_from_enter_to_enter_and_kept") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recorder = folder.path().join("arecord");
    let script = "#!/bin/sh\nwhile :; do printf '\\001\\002%.0s' 1 2 3 4 5 6 7 8; done\n";
    fs::write(&recorder, script).expect("written");
    fs::set_permissions(&recorder, fs::Permissions::from_mode(0o755)).expect("executable");
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let start = |with_path: &str| {
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_whisper-speedtest"));
        program.args(["benchmark", "--record", "--json", "-n", "1", "--language", "en", "-i"]);
        program
            .arg(fakes(folder.path(), &["well"]))
            .current_dir(folder.path())
            .env("PATH", with_path);
        program
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        program.spawn().expect("the program starts")
    };

    let mut child = start(&path);
    let mut enter = child.stdin.take().expect("a pipe");
    enter.write_all(b"\n").expect("Enter");
    thread::sleep(Duration::from_millis(400));
    enter.write_all(b"\n").expect("Enter");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    let results: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    let name = results["recordings"][0]["name"].as_str().expect("a name");
    assert!(said.contains(name) && name.starts_with("recording-"), "{said}");
    let kept = fs::read(folder.path().join(name)).expect("kept");
    assert_eq!((&kept[..4], &kept[44..46]), (&b"RIFF"[..], &[1, 2][..]));
    let seconds = results["recordings"][0]["seconds"].as_f64().expect("a length");
    assert!(
        (seconds - (kept.len() - 44) as f64 / 32_000.0).abs() < 1e-3 && seconds > 0.0,
        "{seconds}"
    );

    let output = start(folder.path().join("none").to_str().expect("plain"));
    let output = {
        let mut child = output;
        child.stdin.take().expect("a pipe").write_all(b"\n").expect("Enter");
        child.wait_with_output().expect("it ends")
    };
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("install one of arecord"));
}
