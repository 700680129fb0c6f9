//! The program among others: signals, pipes, disks and folders that are not as one would like.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use wait4::Wait4 as _;

mod support;
#[cfg(target_os = "linux")]
use support::jfk;
use support::{all, names, program, python, shared, silence, skipped, speech};

/// Long enough for a busy machine; what hangs is a failure all the same.
const PATIENCE: Duration = Duration::from_secs(120);

/// Ctrl-C, as the terminal sends it.
fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

/// How it ended, if it ended.
fn ended(child: &mut Child) -> ExitStatus {
    let patience = Instant::now() + PATIENCE;
    while Instant::now() < patience {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    panic!("it does not end");
}

/// Everything it says until a line contains `words`.
fn wait_for(words: &str, from: &mut impl BufRead) -> String {
    let mut said = String::new();
    while !said.contains(words) {
        assert_ne!(from.read_line(&mut said).unwrap(), 0, "ended without {words:?}: {said}");
    }
    said
}

fn run(command: &mut Command) -> (Output, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let messages = String::from_utf8(output.stderr.clone()).unwrap();
    (output, messages)
}

// Ctrl-C.

/// Three hours take longer than anybody waits.
#[test]
fn ctrl_c_ends_it_while_a_recording_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (recording, texts, temporary) = (
        folder.path().join("long.wav"),
        folder.path().join("texts"),
        folder.path().join("temporary"),
    );
    silence(&recording, 3 * 3600);
    fs::create_dir(&temporary).unwrap();
    for from_pipe in [false, true] {
        let mut program = program();
        program
            .arg("transcribe")
            .arg("-o")
            .arg(&texts)
            .env("TMPDIR", &temporary);
        if from_pipe {
            program.arg("-").stdin(fs::File::open(&recording).unwrap());
        } else {
            program.arg(&recording);
        }
        let mut child = program.stderr(Stdio::piped()).spawn().unwrap();
        let mut messages = BufReader::new(child.stderr.take().unwrap());
        wait_for("reading", &mut messages);
        interrupt(&child);
        assert_eq!(ended(&mut child).code(), Some(130));
        assert_eq!(names(&texts), [""; 0]);
        assert_eq!(names(&temporary), [""; 0], "what came from the pipe was copied there");
    }
}

/// While the second window is encoded or decoded: the text of the first has been printed.
#[test]
fn ctrl_c_ends_it_while_the_network_computes() {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("speech.wav");
    speech(&recording, 60);
    let mut child = program()
        .args(["transcribe", "--language", "en"])
        .arg(&recording)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = BufReader::new(child.stdout.take().unwrap());
    let mut said = wait_for("country", &mut text);
    interrupt(&child);
    assert_eq!(ended(&mut child).code(), Some(130));
    text.read_to_string(&mut said).unwrap();
    assert!(said.ends_with('\n') && said.lines().count() < 60, "{said}");
}

/// A window that takes many seconds is not waited for. What is counted is the time that the program computes, since a busy
/// machine stretches any other.
#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_does_not_wait_for_a_running_encode() {
    const TICKS_PER_SECOND: f64 = 100.0; // of /proc, on every machine
    let computed = |child: &Child| {
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        let after_name = stat.rsplit_once(')').unwrap().1; // state, and eleven numbers later user and system time
        let times = after_name.split_whitespace().skip(11).take(2);
        times.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / TICKS_PER_SECOND
    };
    let mut child = program()
        .args(["transcribe", "--language", "en", "--compute", "f32", "--threads", "1"])
        .arg(jfk())
        .env("WHISPER_ISA", "scalar")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut text = child.stdout.take().unwrap();
    while computed(&child) < 3.0 {
        thread::sleep(Duration::from_millis(5)); // loading and reading take less, a window much more
    }
    let before = computed(&child);
    interrupt(&child);
    let end = child.wait4().unwrap();
    let after = (end.rusage.utime + end.rusage.stime).as_secs_f64();
    assert_eq!(end.status.code(), Some(130));
    let mut said = String::new();
    text.read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
    assert!(after < before + 1.0, "interrupted at {before} s, ended at {after} s");
}

/// Ctrl-C and `kill -9` in the middle of the seven files of a recording: whoever looks finds whole files.
#[test]
fn only_whole_files_are_left() {
    let folder = tempfile::tempdir().unwrap();
    let recordings = folder.path().join("recordings");
    fs::create_dir(&recordings).unwrap();
    for n in 0..40 {
        silence(&recordings.join(format!("{n:02}.wav")), 1);
    }
    // The same for all of them, but for the name in it.
    let whole = folder.path().join("whole");
    let transcribe = |from: &Path, to: &Path| {
        let mut program = program();
        program.args(["transcribe", "--language", "en", "-f", "all"]);
        program.args(["--temperature-increment-on-fallback", "None"]).arg(from);
        program.arg("-o").arg(to).stdout(Stdio::null()).stderr(Stdio::null());
        program
    };
    let all_forms = transcribe(&recordings.join("00.wav"), &whole).status().unwrap();
    assert!(all_forms.success());
    assert_eq!(names(&whole).len(), 7);

    for (round, signal) in ["-INT", "-KILL", "-INT", "-KILL", "-TERM", "-KILL"]
        .into_iter()
        .enumerate()
    {
        let texts = folder.path().join(format!("texts {round}"));
        let mut child = transcribe(&recordings, &texts).spawn().unwrap();
        // The first of the seven files of a recording is there: the others are being written.
        let first = texts.join(format!("{round:02}.txt"));
        let patience = Instant::now() + PATIENCE;
        while !first.exists() {
            assert!(
                Instant::now() < patience && child.try_wait().unwrap().is_none(),
                "no {first:?}"
            );
            thread::sleep(Duration::from_micros(200));
        }
        Command::new("kill")
            .arg(signal)
            .arg(child.id().to_string())
            .status()
            .unwrap();
        assert!(!ended(&mut child).success());
        for name in names(&texts) {
            if name.ends_with(".part") {
                assert_eq!(signal, "-KILL", "{name} is left");
                continue;
            }
            let expected = whole.join(Path::new("00").with_extension(name.rsplit('.').next().unwrap()));
            assert_eq!(
                fs::read(texts.join(&name)).unwrap(),
                fs::read(expected).unwrap(),
                "{signal}: {name}"
            );
        }
    }
}

// Standard output.

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("speech.wav");
    speech(&recording, 9);
    for form in ["txt", "json"] {
        let mut child = program()
            .args(["transcribe", "--language", "en", "-f", form])
            .arg(&recording)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        if form == "txt" {
            wait_for("\n", &mut BufReader::new(output)); // | head -1
        } else {
            drop(output); // | true
        }
        let output = child.wait_with_output().unwrap();
        let messages = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{messages}");
        assert!(!messages.contains("error"), "{messages}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn standard_output_on_a_full_disk_is_an_error() {
    for form in ["txt", "json"] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut program = program();
        program
            .args(["transcribe", "--language", "en", "-f", form])
            .arg(jfk())
            .stdout(full);
        let output = program
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
            .wait_with_output()
            .unwrap();
        let messages = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{messages}");
        assert!(messages.contains("standard output: No space left"), "{messages}");
    }
}

// Folders and disks.

/// A small file system of its own, where one can be mounted.
#[cfg(target_os = "linux")]
struct Mounted<'a>(&'a Path);

#[cfg(target_os = "linux")]
impl<'a> Mounted<'a> {
    fn new(test: &str, folder: &'a Path, options: &str) -> Option<Mounted<'a>> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "none"])
            .arg(folder)
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Mounted(folder));
        }
        skipped(test, "no file system can be mounted here");
        None
    }
}

#[cfg(target_os = "linux")]
impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_keeps_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_disk) = Mounted::new("a_full_disk_keeps_what_was_there", folder.path(), "size=64k") else {
        return;
    };
    let old = folder.path().join("jfk.json");
    fs::write(&old, "mine").unwrap();
    let filler = folder.path().join("filler");
    let _ = fs::write(&filler, [0; 128 << 10]); // as much as there is room for
    assert!(fs::metadata(&filler).unwrap().len() > 0);

    let mut transcribe = program();
    transcribe
        .args(["transcribe", "--language", "en", "-f", "all", "-o"])
        .arg(folder.path())
        .arg(jfk());
    let (output, messages) = run(&mut transcribe);
    assert_eq!(output.status.code(), Some(1), "{messages}");
    assert!(messages.contains("No space left"), "{messages}");
    assert_eq!(names(folder.path()), ["filler", "jfk.json"]);
    assert_eq!(fs::read_to_string(&old).unwrap(), "mine");

    fs::remove_file(&filler).unwrap();
    assert_eq!(run(&mut transcribe).0.status.code(), Some(0));
    assert_eq!(names(folder.path()).len(), 7);
}

/// Said before any work: the recording is not even opened.
#[cfg(target_os = "linux")]
#[test]
fn a_read_only_folder_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_disk) = Mounted::new("a_read_only_folder_is_refused_at_once", folder.path(), "ro") else {
        return;
    };
    for texts in [folder.path().to_owned(), folder.path().join("new")] {
        let mut transcribe = program();
        transcribe
            .args(["transcribe", "no such recording.wav", "-o"])
            .arg(&texts);
        let (output, messages) = run(&mut transcribe);
        assert_eq!(output.status.code(), Some(1), "{messages}");
        assert!(messages.contains("Read-only file system"), "{messages}");
        assert!(messages.contains(&*texts.to_string_lossy()), "{messages}");
        assert!(!messages.contains("no such recording"), "{messages}");
    }
}

// Many recordings.

/// A thousand recordings with `WHISPER_TEST_ALL`, else forty.
#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_number_of_recordings() {
    const NAME: &str = "memory_does_not_grow_with_the_number_of_recordings";
    let (Some(clip), Some(model)) = (
        shared(NAME, "audio/bad/clip_0_05s.flac"),
        shared(NAME, "models/whisper-tiny.en-mlx"),
    ) else {
        return;
    };
    let count = if all() { 1000 } else { 40 };
    if !all() {
        skipped(NAME, "960 of 1,000 copies (WHISPER_TEST_ALL=1 takes them)");
    }
    let folder = tempfile::tempdir().unwrap();
    let (recordings, texts) = (folder.path().join("recordings"), folder.path().join("texts"));
    fs::create_dir(&recordings).unwrap();
    for n in 0..count {
        fs::copy(&clip, recordings.join(format!("{n:04}.flac"))).unwrap();
    }
    let mut child = program()
        .args(["transcribe", "-q", "-f", "json", "-m"])
        .arg(&model)
        .arg(&recordings)
        .arg("-o")
        .arg(&texts)
        .spawn()
        .unwrap();
    // The peak as the system keeps it, after a third of the recordings and at the end.
    let mut peaks = Vec::new();
    while child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(20));
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        if let (true, Some(peak)) = (texts.exists(), peak) {
            peaks.push((names(&texts).len(), peak));
        }
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(names(&texts).len(), count);
    let (_, early) = peaks.iter().find(|(done, _)| *done > count / 3).unwrap();
    let (_, late) = peaks.last().unwrap();
    assert!(*late < early + 8192, "{early} kB, then {late} kB");
}

/// As the README shows it, but for the name of the folder: every output of all recordings, and one table.
#[test]
fn a_folder_in_one_command() {
    const NAME: &str = "a_folder_in_one_command";
    let Some(recordings) = shared(NAME, "audio/dev") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let n_all = names(&recordings).iter().filter(|name| name.ends_with(".flac")).count();
    let (recordings, count) = if all() {
        (recordings, n_all)
    } else {
        // The shortest of each language.
        skipped(
            NAME,
            format_args!("{} of {n_all} recordings (WHISPER_TEST_ALL=1 takes them)", n_all - 6),
        );
        let few = folder.path().join("interviews");
        fs::create_dir(&few).unwrap();
        for name in [
            "jfk",
            "leopard_de",
            "leopard_fr",
            "leopard_ja",
            "leopard_ko",
            "leopard_pt",
        ] {
            let name = format!("{name}.flac");
            fs::copy(recordings.join(&name), few.join(&name)).unwrap();
        }
        (few, 6)
    };
    let texts = folder.path().join("texts");
    let mut transcribe = program();
    transcribe
        .arg("transcribe")
        .arg(&recordings)
        .args(["-f", "all", "-o"])
        .arg(&texts);
    let (output, messages) = run(&mut transcribe);
    assert_eq!(output.status.code(), Some(0), "{messages}");
    assert!(output.stdout.is_empty());
    assert!(
        messages.contains(&format!("{count} of {count} done, 0 failed")),
        "{messages}"
    );
    assert_eq!(
        messages.lines().filter(|line| line.contains(".flac  ")).count(),
        count,
        "{messages}"
    );
    assert_eq!(names(&texts).len(), 7 * count);
    match python::read_back(&texts) {
        Ok(said) => assert_eq!(said, format!("{count} transcripts read back")),
        Err(reason) => skipped(NAME, format_args!("reading back: {reason}")),
    }
}
