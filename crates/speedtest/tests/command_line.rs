//! The program as a user starts it.

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_whisper-speedtest"))
}

#[test]
fn help_has_examples() {
    for args in [
        &["--help"][..],
        &["transcribe", "--help"],
        &["benchmark", "--help"],
        &["compare", "--help"],
        &["implementations", "--help"],
        &["completions", "--help"],
    ] {
        program()
            .args(args)
            .assert()
            .success()
            .stdout(contains("Example"))
            .stderr("");
    }
}

#[test]
fn version_tells_what_is_inside() {
    program()
        .arg("--version")
        .assert()
        .success()
        .stdout(contains("features: ").and(contains("target: ")));
    program()
        .arg("-V")
        .assert()
        .success()
        .stdout(concat!("whisper-speedtest ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn a_wrong_command_line_is_2_and_helps() {
    for (args, help) in [
        (&["transcribe"][..], "AUDIO"),
        (&["transcribe", "a.wav", "--modle", "x"], "--model"),
        (&["transcribe", "a.wav", "--model", "smal"], "Did you mean small?"),
        (
            &["transcribe", "a.wav", "--language", "Germn"],
            "Did you mean German (de)?",
        ),
        (&["transcribe", "a.wav", "b.wav", "--output-name", "c"], "--output-name"),
        (&["transcribe", "a.wav", "-f", "doc"], "srt"),
        (&["transcribe", "a.wav", "--threads", "0"], "threads"),
        (&["transcribe", "a.wav", "--clip-timestamps", "0-3"], "as in 0,30,60,90"),
        (&["transcribe", "a.wav", "--clip-timestamps", "8,3"], "ascending order"),
        (&["transcribe", "a.wav", "--best-of", "65"], "best_of: expected 1 to 64"),
        (&["transcribe", "a.wav", "--suppress-tokens", "a"], "found \"a\""),
        (
            &["transcribe", "a.wav", "--batch", "2", "--compat", "mlx"],
            "leave out batch or compat",
        ),
        (&["transcribe", "a.wav", "--highlight-words"], "add --word-timestamps"),
        (&["transcribe", "a.wav", "--word-timestmps"], "--word-timestamps"),
        (&["transcirbe", "a.wav"], "transcribe"),
        (&["man", "nothing"], "nothing"),
    ] {
        program().args(args).assert().code(2).stdout("").stderr(contains(help));
    }
}

#[test]
fn a_folder_without_recordings_is_1() {
    let folder = tempfile::tempdir().unwrap();
    program()
        .arg("transcribe")
        .arg(folder.path())
        .assert()
        .code(1)
        .stdout("")
        .stderr(contains("no recordings"));
}

#[test]
#[cfg(unix)]
fn why_something_failed_is_said_once() {
    for args in [
        &["transcribe", "no-such.flac"][..],
        &["benchmark", "-a", "no-such.flac"],
        &["models", "import", "no-such-folder"],
        &["compare", "no-such.json", "no-such.json"],
    ] {
        let failed = program().args(args).assert().code(1);
        let told = String::from_utf8(failed.get_output().stderr.clone()).expect("messages are text");
        assert_eq!(told.matches("No such file or directory").count(), 1, "{args:?}: {told}");
    }
}

#[test]
fn options_come_from_the_environment() {
    let run = |value: &str| {
        program()
            .args(["transcribe", "a.wav"])
            .env("WHISPER_SPEEDTEST_MODEL", value)
            .assert()
    };
    run("smal").code(2).stderr(contains("Did you mean small?"));
    program()
        .args(["transcribe", "a.wav"])
        .env("WHISPER_SPEEDTEST_OUTPUT_FORMAT", "doc")
        .assert()
        .code(2);
}

#[test]
fn completions_and_manual_pages_are_printed() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        program()
            .args(["completions", shell])
            .assert()
            .success()
            .stdout(contains("transcribe"));
    }
    program()
        .arg("man")
        .assert()
        .success()
        .stdout(contains(".TH whisper-speedtest"));
    program()
        .args(["man", "transcribe"])
        .assert()
        .success()
        .stdout(contains("output\\-format"));
}
