//! The program's own runner, over the protocol of docs/protocol.md.

use std::fs;

use assert_cmd::Command;
use serde_json::{Value, json};

/// Says `requests`, and gives the replies.
fn converse(requests: &[Value]) -> Vec<Value> {
    let lines: String = requests.iter().map(|request| format!("{request}\n")).collect();
    let output = Command::new(env!("CARGO_BIN_EXE_whisper-speedtest"))
        .arg("runner")
        .write_stdin(lines)
        .assert()
        .success()
        .get_output()
        .stdout
        .clone();
    let replies = String::from_utf8(output).expect("JSON is UTF-8");
    replies
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is an object"))
        .collect()
}

#[test]
fn says_who_it_is_and_refuses_what_it_cannot() {
    let replies = converse(&[
        json!({"request": "hello", "protocol": 1}),
        json!({"request": "transcribe", "audio": 0}),
        json!({"request": "audio", "audio": 0, "path": "/no/such.f32", "samples": 1, "language": null}),
        json!({"request": "load", "model": "tiny", "path": "/no/such/folder", "threads": 1}),
        json!({"request": "bye"}),
    ]);
    assert_eq!(replies[0]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(replies[0]["protocol"], 1);
    for (reply, why) in replies[1..]
        .iter()
        .zip(["before `load`", "/no/such.f32", "/no/such/folder"])
    {
        assert_eq!(reply["reply"], "error");
        assert!(reply["message"].as_str().unwrap().contains(why), "{reply}");
    }
    assert_eq!(replies.len(), 4);
}

#[test]
fn a_file_of_samples_must_be_as_long_as_announced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("0.f32");
    fs::write(&path, [0; 7]).unwrap();
    let replies = converse(&[json!({"request": "audio", "audio": 0, "path": path, "samples": 1, "language": "en"})]);
    assert!(
        replies[0]["message"].as_str().unwrap().contains("found 7 bytes"),
        "{replies:?}"
    );
}

#[cfg(bundled_model)]
#[test]
fn transcribes_the_bundled_model_s_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("0.f32");
    fs::write(&path, vec![0; 4 * 16_000]).unwrap();
    let replies = converse(&[
        json!({"request": "audio", "audio": 7, "path": path, "samples": 16_000, "language": "en"}),
        json!({"request": "load", "model": "bundled", "path": null, "threads": 2}),
        json!({"request": "transcribe", "audio": 7}),
    ]);
    assert_eq!(replies[1]["weights"], "5 bits, groups of 64, computed in int8");
    let heard = &replies[2];
    assert_eq!(
        (&heard["audio"], &heard["language"]),
        (&json!(7), &json!("en")),
        "{heard}"
    );
    let stages = heard["stages"].as_object().unwrap();
    let sum: f64 = stages.values().map(|seconds| seconds.as_f64().unwrap()).sum();
    let seconds = heard["seconds"].as_f64().unwrap();
    assert!(
        (sum - seconds).abs() < 1e-6 && stages["encode"].as_f64().unwrap() > 0.0,
        "{heard}"
    );
    assert_eq!(heard["counts"]["windows"], 1);
    assert!(heard["first_segment_seconds"].as_f64().unwrap() <= seconds);
}
