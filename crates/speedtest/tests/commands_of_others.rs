//! The command lines in the READMEs of mlx_whisper and whisper, with the program's name changed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::process::Stdio;

mod support;
use support::{jfk, names, program, root};

/// As in mlx_whisper's README (0.4.3) and whisper's (20250625): `P` is the program, and where it stands in a pipe the
/// recording comes from there.
const COMMANDS: [(&str, &[&str]); 8] = [
    ("mlx_whisper audio_file.mp3", &[]),
    ("mlx_whisper -h", &[]),
    ("some-process | mlx_whisper -", &[]),
    ("some-process | mlx_whisper - --output-name talk", &["talk.txt"]),
    (
        "whisper audio.flac audio.mp3 audio.wav --model turbo",
        &["audio.txt", "audio-2.txt", "audio-3.txt"],
    ),
    ("whisper japanese.wav --language Japanese", &[]),
    (
        "whisper japanese.wav --model medium --language Japanese --task translate",
        &[],
    ),
    ("whisper --help", &[]),
];

#[test]
fn work_with_the_name_changed() {
    let folder = tempfile::tempdir().unwrap();
    let recordings = ["audio_file.mp3", "audio.flac", "audio.mp3", "audio.wav", "japanese.wav"];
    for name in recordings {
        fs::copy(jfk(), folder.path().join(name)).unwrap(); // the content decides, the name is a hint
    }
    for (command, files) in COMMANDS {
        let (before, arguments) = command.split_once("whisper ").unwrap();
        let mut program = program();
        program
            .arg("transcribe")
            .current_dir(folder.path())
            .stdin(Stdio::null());
        if before.contains('|') {
            program.stdin(fs::File::open(jfk()).unwrap());
        }
        for argument in arguments.split(' ') {
            match argument {
                // Nothing is downloaded in a test: the model at hand is called by its folder.
                "turbo" | "medium" => program.arg(root().join("assets/whisper-base-mlx-5bit")),
                argument => program.arg(argument),
            };
        }
        let output = program.output().unwrap();
        let messages = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{command}: {messages}");
        let written: Vec<String> = names(folder.path())
            .into_iter()
            .filter(|name| !recordings.contains(&name.as_str()))
            .collect();
        let mut files: Vec<_> = files.to_vec();
        files.sort_unstable();
        assert_eq!(written, files, "{command}");
        assert_eq!(
            output.stdout.is_empty(),
            !files.is_empty(),
            "{command}: printed or written"
        );
        for file in files {
            let text = fs::read_to_string(folder.path().join(file)).unwrap();
            assert!(text.contains("my fellow Americans"), "{command}: {text}");
            fs::remove_file(folder.path().join(file)).unwrap();
        }
    }
}

/// Every option of both commands is known under its name, in their spelling.
#[test]
fn every_option_is_known() {
    let of_mlx_whisper = "--model bundled --output-name out --output-dir . --output-format srt --verbose False --task transcribe \
        --language en --temperature 0 --best-of 5 --patience 1.0 --length-penalty 0.5 --suppress-tokens -1 \
        --initial-prompt hello --condition-on-previous-text False --fp16 True --compression-ratio-threshold 2.4 \
        --logprob-threshold -1.0 --no-speech-threshold 0.6 --clip-timestamps 0,5 --word-timestamps True \
        --prepend-punctuations -( --append-punctuations .,! --highlight-words True --max-line-width 40 --max-line-count 2 \
        --max-words-per-line 5 --hallucination-silence-threshold 2";
    let of_whisper = "--model bundled --model_dir models --device cpu --output_dir . --output_format json --verbose False --task transcribe \
        --language English --temperature 0 --best_of None --beam_size 5 --patience None --length_penalty None \
        --suppress_tokens -1 --carry_initial_prompt False --condition_on_previous_text True \
        --fp16 False --temperature_increment_on_fallback 0.2 --compression_ratio_threshold 2.4 \
        --logprob_threshold -1.0 --no_speech_threshold 0.6 --clip_timestamps 0 --threads 2 --word_timestamps True \
        --prepend_punctuations ( --append_punctuations . --highlight_words False --max_line_width None --max_line_count 2 \
        --max_words_per_line None --hallucination_silence_threshold None";
    for options in [of_mlx_whisper, of_whisper] {
        let folder = tempfile::tempdir().unwrap();
        let mut program = program();
        program
            .args(["transcribe", "no such recording.wav"])
            .current_dir(folder.path());
        let output = program.args(options.split_whitespace()).output().unwrap();
        let messages = String::from_utf8_lossy(&output.stderr);
        // That there is no such recording is all there is to complain about.
        assert_eq!(output.status.code(), Some(1), "{messages}");
        assert!(messages.contains("no such recording.wav: No such file"), "{messages}");
        assert_eq!(messages.matches("No such file").count(), 1, "{messages}");
    }
}
