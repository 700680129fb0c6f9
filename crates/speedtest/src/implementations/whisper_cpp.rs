//! whisper.cpp, through its own server, or its command-line program where there is no server.
//!
//! Neither speaks our protocol; this program does so for them. The server keeps the model and gets the samples over HTTP, as a
//! WAV file of the same 32-bit floats: a millisecond for eleven seconds of audio.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use tempfile::TempDir;

use super::adapter::{self, Adapter, Engine, Sound};
use super::process::Start;
use super::protocol::{Heard, Load, Loaded};
use crate::implementation::{Here, Implementation, ModelOf, Unavailable};

/// whisper.cpp.
pub(crate) struct WhisperCpp;

pub(super) const ID: &str = "whisper.cpp";

impl Implementation for WhisperCpp {
    fn id(&self) -> &str {
        ID
    }

    fn alias(&self) -> Option<&'static str> {
        Some("WhisperCppCoreMLImplementation")
    }

    fn about(&self) -> &'static str {
        "Whisper in C++, from ggml files; whisper-server or whisper-cli"
    }

    fn tested(&self) -> bool {
        true
    }

    fn models(&self) -> &[ModelOf<'static>] {
        MODELS
    }

    fn start(&self, here: &Here) -> Result<Start, Unavailable> {
        let server = adapter::program(ID, "whisper-server", here);
        let program = server.or_else(|missing| adapter::program(ID, "whisper-cli", here).map_err(|_| missing))?;
        adapter::start(ID, &program)
    }
}

#[rustfmt::skip]
pub(super) const MODELS: &[ModelOf<'static>] = &[
    ggml("tiny",      "ggml-tiny.bin"),
    ggml("base",      "ggml-base.bin"),
    ggml("small",     "ggml-small.bin"),
    ggml("medium",    "ggml-medium.bin"),
    ggml("large",     "ggml-large-v3-turbo.bin"),
    ggml("turbo",     "ggml-large-v3-turbo.bin"),
    ggml("large-v2",  "ggml-large-v2.bin"),
    ggml("large-v3",  "ggml-large-v3.bin"),
    ggml("tiny.en",   "ggml-tiny.en.bin"),
    ggml("base.en",   "ggml-base.en.bin"),
    ggml("small.en",  "ggml-small.en.bin"),
    ggml("medium.en", "ggml-medium.en.bin"),
];

const fn ggml(name: &'static str, file: &'static str) -> ModelOf<'static> {
    ModelOf {
        file: Some(file),
        ..ModelOf::new(name, "ggerganov/whisper.cpp")
    }
}

/// The adapter for one of its programs.
pub(super) fn adapter(program: PathBuf) -> anyhow::Result<Adapter> {
    let name = program.file_stem().unwrap_or_default().to_string_lossy();
    // The server does not know its version; the command-line program of the same build lies beside it.
    let cli = match name.strip_suffix("server") {
        Some(stem) => program.with_file_name(format!("{stem}cli{}", std::env::consts::EXE_SUFFIX)),
        None => program.clone(),
    };
    let version = adapter::version_of(&cli, "--version", "version: ")
        .with_context(|| format!("no version of {}: what has none is not measured", program.display()))?;
    let engine: Box<dyn Engine> = if name.ends_with("server") {
        Box::new(Server {
            program,
            folder: TempDir::new()?,
            running: None,
        })
    } else {
        Box::new(Cli {
            program,
            arguments: Vec::new(),
        })
    };
    Adapter::new(ID, version, engine)
}

/// `whisper-server`.
struct Server {
    program: PathBuf,
    /// Its current folder: it would offer files from there.
    folder: TempDir,
    running: Option<Running>,
}

struct Running {
    process: Child,
    url: String,
    http: ureq::Agent,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Engine for Server {
    fn load(&mut self, load: &Load, model: &Path) -> anyhow::Result<Loaded> {
        self.running = None;
        let weights = weights(model)?;
        // Free now, and most likely a moment later.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut process = Command::new(&self.program)
            .arg("--model")
            .arg(model)
            .args([
                "--threads",
                &load.threads.to_string(),
                "--best-of",
                "1",
                "--beam-size",
                "-1",
            ])
            .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--public", "."])
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(io::stderr()) // ours is for replies
            .spawn()
            .with_context(|| self.program.display().to_string())?;
        // It listens once the model is loaded.
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = process.try_wait()? {
                bail!(
                    "{} ended ({status}) while loading {}",
                    self.program.display(),
                    model.display()
                );
            }
            thread::sleep(Duration::from_millis(2));
        }
        let http = ureq::Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .build()
            .into();
        let url = format!("http://127.0.0.1:{port}/inference");
        self.running = Some(Running { process, url, http });
        Ok(Loaded {
            weights: Some(weights),
            ..Loaded::default()
        })
    }

    fn transcribe(&mut self, sound: &Sound) -> anyhow::Result<Heard> {
        #[derive(Deserialize)]
        struct Answer {
            text: Option<String>,
            error: Option<String>,
        }
        let running = self.running.as_ref().context("`transcribe` before `load`")?;
        let mut answer = running
            .http
            .post(&running.url)
            .content_type(format!("multipart/form-data; boundary={BOUNDARY}"))
            .send(&form(sound)[..])?;
        let answer: Answer = serde_json::from_str(&answer.body_mut().read_to_string()?)?;
        match answer {
            Answer { text: Some(text), .. } => Ok(Heard {
                text: joined(&text),
                ..Heard::default()
            }),
            Answer { error, .. } => bail!("whisper-server: {}", error.unwrap_or_else(|| "no text".into())),
        }
    }
}

const BOUNDARY: &str = "5a1f6e0c-samples";

/// The request: greedy, no other temperature, and no times of words, for which the server would do extra work.
fn form(sound: &Sound) -> Vec<u8> {
    let fields = [
        ("temperature", "0"),
        ("temperature_inc", "0"),
        ("token_timestamps", "false"),
        ("response_format", "json"),
        ("language", sound.language.as_deref().unwrap_or("auto")),
    ];
    let mut form = Vec::new();
    for (name, value) in fields {
        let part = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        form.extend(part.as_bytes());
    }
    let part =
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"samples.wav\"\r\n\r\n");
    form.extend(part.as_bytes());
    form.extend(&sound.wav);
    form.extend(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    form
}

/// `whisper-cli`, a process for each recording.
struct Cli {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Engine for Cli {
    fn load(&mut self, load: &Load, model: &Path) -> anyhow::Result<Loaded> {
        let weights = weights(model)?;
        let threads = load.threads.to_string();
        let decoding = [
            "--best-of",
            "1",
            "--beam-size",
            "1",
            "--no-fallback",
            "--no-prints",
            "--no-timestamps",
        ];
        self.arguments = ["--threads", &threads]
            .iter()
            .chain(&decoding)
            .map(Into::into)
            .collect();
        self.arguments.extend(["--model".into(), model.into()]);
        Ok(Loaded {
            weights: Some(weights),
            differs: vec![adapter::A_PROCESS_EACH.into()],
            ..Loaded::default()
        })
    }

    fn transcribe(&mut self, sound: &Sound) -> anyhow::Result<Heard> {
        ensure!(!self.arguments.is_empty(), "`transcribe` before `load`");
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .args(["--language", sound.language.as_deref().unwrap_or("auto"), "--file"]);
        let text = adapter::output(command.arg(&sound.path))?;
        Ok(Heard {
            text: joined(&text),
            ..Heard::default()
        })
    }
}

/// A line for each segment, which begins with its own space.
fn joined(lines: &str) -> String {
    lines.lines().collect::<String>().trim().to_owned()
}

/// What the weights of a ggml file are, by its head.
fn weights(model: &Path) -> anyhow::Result<String> {
    let mut head = [0; 48];
    let read = File::open(model).and_then(|mut file| file.read_exact(&mut head));
    read.with_context(|| format!("{}: cannot be read", model.display()))?;
    let number = |at: usize| head[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    ensure!(number(0) == 0x6767_6d6c, "{}: no ggml file", model.display());
    let name = match number(44) % 1000 {
        0 => "f32",
        1 => "f16",
        2 => "q4_0",
        3 => "q4_1",
        7 => "q8_0",
        8 => "q5_0",
        9 => "q5_1",
        10 => "q2_k",
        11 => "q3_k",
        12 => "q4_k",
        13 => "q5_k",
        14 => "q6_k",
        other => return Ok(format!("ggml form {other}")),
    };
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_a_file_says_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ggml.bin");
        let mut head = [0_u8; 48];
        head[..4].copy_from_slice(b"lmgg");
        head[44..].copy_from_slice(&2007_u32.to_le_bytes());
        std::fs::write(&path, head).unwrap();
        assert_eq!(weights(&path).unwrap(), "q8_0");
        std::fs::write(&path, [0; 48]).unwrap();
        assert!(weights(&path).unwrap_err().to_string().ends_with("no ggml file"));
        std::fs::write(&path, &head[..47]).unwrap();
        assert!(weights(&path).is_err());
    }

    #[test]
    fn segments_are_joined_as_they_are_spaced() {
        assert_eq!(
            joined(" And so\n my fellow Ameri\ncans\n\n"),
            "And so my fellow Americans"
        );
    }
}
