//! Programs that know no protocol: this program, started as a runner, speaks it for them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use super::process::Start;
use super::protocol::{self, Heard, Identity, Load, Loaded, Reply, Request};
use super::runner::{self, Runner};
use super::{fluidaudio, native, whisper_cpp, whisperkit};
use crate::implementation::{Here, Unavailable};

/// What differs where each recording has a process of its own.
pub(super) const A_PROCESS_EACH: &str = "each run is a process that loads the model";

/// The program of an implementation: the one named with `--program`, else the one on PATH.
///
/// # Errors
/// There is none.
pub(super) fn program(id: &str, name: &str, here: &Here) -> Result<PathBuf, Unavailable> {
    let found = here.program(id).map(Path::to_owned).or_else(|| here.on_path(name));
    found.ok_or_else(|| {
        let remedy = format!("put its folder on PATH, or --program {id}=FILE");
        Unavailable::new(format_args!("{name} is not on PATH"), remedy)
    })
}

/// How this program is started to speak for `program`.
///
/// # Errors
/// It does not know itself.
pub(super) fn start(id: &str, program: &Path) -> Result<Start, Unavailable> {
    let own = std::env::current_exe().map_err(|error| Unavailable::new(error, ""))?;
    let program = std::path::absolute(program).unwrap_or_else(|_| program.to_owned());
    Ok(Start {
        program: own,
        arguments: vec![native::COMMAND.into(), id.into(), program.into()],
        environment: Vec::new(),
    })
}

/// Speaks the protocol for `program`, which is the implementation `id`.
///
/// # Errors
/// It knows none of this name, or the program has no version; or as [`runner::serve`].
pub(crate) fn serve(id: &str, program: PathBuf) -> anyhow::Result<()> {
    let adapter = match id {
        whisper_cpp::ID => whisper_cpp::adapter(program),
        whisperkit::ID => whisperkit::adapter(program),
        fluidaudio::ID => fluidaudio::adapter(program),
        other => Err(anyhow::anyhow!("no adapter for {other:?}")),
    };
    runner::serve(adapter?)
}

/// A program, loaded and asked.
pub(super) trait Engine {
    /// Makes `model` ready; `seconds` is filled in.
    ///
    /// # Errors
    /// It cannot be loaded.
    fn load(&mut self, load: &Load, model: &Path) -> anyhow::Result<Loaded>;

    /// Writes down what is said; `audio` and `seconds` are filled in.
    ///
    /// # Errors
    /// It fails.
    fn transcribe(&mut self, sound: &Sound) -> anyhow::Result<Heard>;
}

/// A recording as a WAV file of 32-bit floats.
pub(super) struct Sound {
    pub(super) wav: Vec<u8>,
    /// The same on disk.
    pub(super) path: PathBuf,
    pub(super) language: Option<String>,
}

/// The runner around an engine.
pub(super) struct Adapter {
    id: &'static str,
    version: String,
    engine: Box<dyn Engine>,
    sounds: BTreeMap<usize, Sound>,
    folder: TempDir,
}

impl Adapter {
    pub(super) fn new(id: &'static str, version: String, engine: Box<dyn Engine>) -> anyhow::Result<Adapter> {
        Ok(Adapter {
            id,
            version,
            engine,
            sounds: BTreeMap::new(),
            folder: TempDir::new()?,
        })
    }
}

impl Runner for Adapter {
    fn answer(&mut self, request: Request) -> anyhow::Result<Reply> {
        match request {
            Request::Hello { .. } => Ok(Reply::Hello(Identity {
                protocol: protocol::VERSION,
                implementation: self.id.into(),
                version: self.version.clone(),
                components: BTreeMap::new(),
            })),
            Request::Audio(audio) => {
                let samples = runner::read_samples(&audio.path, audio.samples);
                let wav = wav(&samples.with_context(|| audio.path.display().to_string())?)?;
                let path = self.folder.path().join(format!("{}.wav", audio.audio));
                fs::write(&path, &wav)?;
                let language = audio.language;
                self.sounds.insert(audio.audio, Sound { wav, path, language });
                Ok(Reply::Audio { audio: audio.audio })
            }
            Request::Load(load) => {
                let model = load.path.as_deref().context("weights on disk are needed")?;
                let began = Instant::now();
                let mut loaded = self.engine.load(&load, model)?;
                loaded.seconds = began.elapsed().as_secs_f64();
                Ok(Reply::Load(loaded))
            }
            Request::Transcribe { audio } => {
                let sound = self.sounds.get(&audio).context("no such audio")?;
                let began = Instant::now();
                let mut heard = self.engine.transcribe(sound)?;
                heard.seconds = began.elapsed().as_secs_f64();
                heard.audio = audio;
                Ok(Reply::Transcribe(heard))
            }
            Request::Bye => unreachable!("`serve` has left"),
        }
    }
}

/// A WAV file: 16 kHz, mono, 32-bit floats.
fn wav(samples: &[f32]) -> anyhow::Result<Vec<u8>> {
    const RATE: u32 = 16_000;
    let bytes = u32::try_from(samples.len() * 4).context("longer than a WAV file can be")?;
    let size = bytes.checked_add(36).context("longer than a WAV file can be")?;
    let mut wav = Vec::with_capacity(44 + samples.len() * 4);
    wav.extend(b"RIFF");
    wav.extend(size.to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16_u32.to_le_bytes());
    wav.extend(3_u16.to_le_bytes()); // floats
    wav.extend(1_u16.to_le_bytes());
    wav.extend(RATE.to_le_bytes());
    wav.extend((RATE * 4).to_le_bytes());
    wav.extend(4_u16.to_le_bytes());
    wav.extend(32_u16.to_le_bytes());
    wav.extend(b"data");
    wav.extend(bytes.to_le_bytes());
    wav.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    Ok(wav)
}

/// What a program says on standard output, if it succeeds; what it says on standard error goes to ours.
///
/// # Errors
/// It cannot be started, or fails.
pub(super) fn output(command: &mut Command) -> anyhow::Result<String> {
    let program = PathBuf::from(command.get_program());
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("{} cannot be started", program.display()))?;
    ensure!(
        output.status.success(),
        "{} failed ({})",
        program.display(),
        output.status
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The rest of the first line that contains `before`, of what a program says when asked by `argument`.
///
/// # Errors
/// It fails, or there is no such line.
pub(super) fn version_of(program: &Path, argument: &str, before: &str) -> anyhow::Result<String> {
    let said = output(Command::new(program).arg(argument))?;
    let version = said
        .lines()
        .find_map(|line| line.split_once(before))
        .map(|(_, version)| version.trim());
    let version = version.filter(|version| !version.is_empty());
    Ok(version
        .with_context(|| format!("{} {argument} says none", program.display()))?
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wav_file_is_heard_as_the_samples_it_was_made_from() {
        let samples = [0.0, 0.5, -1.0, 1e-9, 0.25];
        let file = tempfile::Builder::new().suffix(".wav").tempfile().unwrap();
        fs::write(file.path(), wav(&samples).unwrap()).unwrap();
        let mut audio = whisper::audio::AudioFile::open(file.path(), &Default::default()).unwrap();
        let mut heard = Vec::new();
        while let Some(chunk) = audio.next_chunk().unwrap() {
            heard.extend_from_slice(chunk);
        }
        assert_eq!(heard, samples);
    }
}
