//! What a hostile file may do to the terminal: nothing.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use support::terminal::Terminal;

/// Everything that the program writes to a terminal when it is called with `arguments`.
fn on_a_terminal(test: &str, arguments: &[&str]) -> Option<String> {
    let terminal = Terminal::start(test, support::program().args(arguments))?;
    Some(terminal.end().1)
}

/// Retitles the window, clears the screen, rings; a newer form of the same in one character; deletes.
const HOSTILE: &str = "\x1b]0;owned\x07\x1b[2J\u{9b}31m\x7f\r";
const ESCAPED: &str = r"\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{7f}\r";

#[test]
fn names_of_files_are_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(format!("{HOSTILE}.wav"));
    for (content, message) in [
        (&b"no sound at all"[..], "error: "),
        (WAVE_WITHOUT_SAMPLES, "warning: "),
    ] {
        fs::write(&file, content).unwrap();
        let options = ["transcribe", "--no-color", "--language", "en", file.to_str().unwrap()];
        let Some(seen) = on_a_terminal("names_of_files_are_escaped", &options) else {
            return;
        };
        assert!(seen.contains(message) && seen.contains(ESCAPED), "{seen:?}");
        for raw in ["\x1b]0", "\x07", "\x1b[2J", "\u{9b}", "\x7f"] {
            assert!(!seen.contains(raw), "{raw:?} in {seen:?}");
        }
    }
}

const WAVE_WITHOUT_SAMPLES: &[u8] =
    b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data\0\0\0\0";

/// A checkpoint that hears one token in everything: ESC.
#[test]
fn transcripts_are_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    fs::create_dir(&model).unwrap();
    hears_only(ESC, &model);
    let sound = folder.path().join("sound.wav");
    fs::write(&sound, [WAVE_WITHOUT_SAMPLES, &[0; 64_000]].concat()).unwrap();
    let options = [
        "transcribe",
        "--quiet",
        "--no-color",
        "--temperature-increment-on-fallback",
        "None",
        "--no-speech-threshold",
        "None",
        "--model",
        model.to_str().unwrap(),
        sound.to_str().unwrap(),
    ];
    let Some(seen) = on_a_terminal("transcripts_are_escaped", &options) else {
        return;
    };
    assert!(seen.contains(r"\u{1b}\u{1b}\u{1b}"), "{seen:?}");
    assert!(!seen.contains('\x1b'), "{seen:?}");
}

/// The token of byte 27: the printable bytes come first, then the others.
const ESC: usize = 188 + 27;

/// The smallest Whisper there is, all zeros but for the embedding of one token, which the last layer norm's bias finds.
fn hears_only(token: usize, folder: &Path) {
    const VOCABULARY: usize = 51_864;
    const STATE: usize = 64;
    let config = format!(
        r#"{{"n_mels": 80, "n_audio_ctx": 1500, "n_audio_state": {STATE}, "n_audio_head": 1, "n_audio_layer": 1,
            "n_vocab": {VOCABULARY}, "n_text_ctx": 448, "n_text_state": {STATE}, "n_text_head": 1, "n_text_layer": 1}}"#
    );
    fs::write(folder.join("config.json"), config).unwrap();

    let mut shapes: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut add = |name: String, shape: &[usize]| shapes.insert(name, shape.to_vec());
    for (stack, attentions) in [("encoder", &["attn"][..]), ("decoder", &["attn", "cross_attn"])] {
        let block = format!("{stack}.blocks.0");
        for attention in attentions {
            for linear in ["query", "key", "value", "out"] {
                add(format!("{block}.{attention}.{linear}.weight"), &[STATE, STATE]);
                if linear != "key" {
                    add(format!("{block}.{attention}.{linear}.bias"), &[STATE]);
                }
            }
            add(format!("{block}.{attention}_ln.weight"), &[STATE]);
            add(format!("{block}.{attention}_ln.bias"), &[STATE]);
        }
        for (layer, n, k) in [("mlp1", 4 * STATE, STATE), ("mlp2", STATE, 4 * STATE)] {
            add(format!("{block}.{layer}.weight"), &[n, k]);
            add(format!("{block}.{layer}.bias"), &[n]);
        }
        add(format!("{block}.mlp_ln.weight"), &[STATE]);
        add(format!("{block}.mlp_ln.bias"), &[STATE]);
    }
    for (name, shape) in [
        ("encoder.conv1.weight", &[STATE, 3, 80][..]),
        ("encoder.conv1.bias", &[STATE]),
        ("encoder.conv2.weight", &[STATE, 3, STATE]),
        ("encoder.conv2.bias", &[STATE]),
        ("encoder.ln_post.weight", &[STATE]),
        ("encoder.ln_post.bias", &[STATE]),
        ("decoder.token_embedding.weight", &[VOCABULARY, STATE]),
        ("decoder.positional_embedding", &[448, STATE]),
        ("decoder.ln.weight", &[STATE]),
        ("decoder.ln.bias", &[STATE]),
    ] {
        add(name.into(), shape);
    }

    let (mut header, mut data) = (Vec::new(), Vec::new());
    for (name, shape) in shapes {
        let start = data.len();
        data.resize(start + 2 * shape.iter().product::<usize>(), 0);
        // 8 in 16 bits: 8 times 8, and for all other tokens 0.
        let eight = [0x00, 0x48];
        match name.as_str() {
            "decoder.ln.bias" => data[start..][..2].copy_from_slice(&eight),
            "decoder.token_embedding.weight" => data[start + 2 * token * STATE..][..2].copy_from_slice(&eight),
            _ => {}
        }
        header.push(format!(
            r#""{name}": {{"dtype": "F16", "shape": {shape:?}, "data_offsets": [{start}, {}]}}"#,
            data.len()
        ));
    }
    let header = format!("{{{}}}", header.join(", "));
    let length = u64::try_from(header.len()).unwrap().to_le_bytes();
    fs::write(
        folder.join("weights.safetensors"),
        [&length[..], header.as_bytes(), &data].concat(),
    )
    .unwrap();
}
