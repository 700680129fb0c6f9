//! Where the tool meets the engine: a model is loaded here, and a recording given to it.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Context, anyhow};
use mlx::{Mlx, MlxModel};
use whisper::audio::{self, AudioFile, AudioOptions};
use whisper::cpu::{Compute, Cpu, CpuModel};
use whisper::language::Language;
use whisper::mel::{LogMel, LogMelBuilder};
use whisper::model::{Dims, Model, Token};
use whisper::options::Suppress;
use whisper::tokenizer::Task;
use whisper::transcript::{Segment, Transcript};
use whisper::weights::{Checkpoint, Float, Form};
use whisper::{Compat, Options, transcribe};

use crate::bundled::BUNDLED;
use crate::cli::values::Batch;
use crate::cli::{self, ComputeArgs};
use crate::commands::transcribe::args::{self, TranscribeArgs};
use crate::inputs::Input;
use crate::output::{ModelUsed, Weights};
use crate::{device, files, tuning};

/// A loaded model.
pub(crate) struct Engine {
    network: Network,
    used: ModelUsed,
}

/// The network, on the device that was chosen.
pub(crate) enum Network {
    Cpu(Box<CpuModel>),
    Mlx(Box<MlxModel>),
}

/// Where the weights of a model are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin<'a> {
    /// Inside the program.
    Bundled,
    /// A checkpoint on disk.
    Folder(&'a Path),
    /// A repository in a cache.
    Snapshot(&'a hub::Snapshot),
}

/// What was heard, and how much there was to hear.
pub(crate) struct Heard {
    pub(crate) transcript: Transcript,
    pub(crate) duration_s: f64,
    /// Whether some of the recording could not be read.
    pub(crate) damaged: bool,
}

/// Told what happens while it happens; an error ends the work.
pub(crate) trait Listener {
    /// A segment was found.
    fn segment(&mut self, segment: &Segment) -> anyhow::Result<()>;
    /// So many seconds have been read, of as many as the recording says it has.
    fn reading(&mut self, done_s: f64, stated_s: Option<f64>);
    /// So many seconds of so many are transcribed.
    fn progress(&mut self, done_s: f64, total_s: f64);
    /// The user should know this.
    fn warning(&mut self, warning: &str);
}

impl Origin<'_> {
    /// Where they are on disk.
    fn folder(&self) -> Option<&Path> {
        match self {
            Origin::Bundled => None,
            Origin::Folder(folder) => Some(folder),
            Origin::Snapshot(snapshot) => Some(&snapshot.dir),
        }
    }
}

impl Engine {
    /// Loads the weights, into MLX where one is given; unless the device is ours to choose, and the processor was found faster for
    /// this model. To agree with another program, `auto` means float32.
    pub(crate) fn load(
        origin: Origin<'_>,
        computing: &ComputeArgs,
        compat: Compat,
        mlx: Option<&Mlx>,
    ) -> anyhow::Result<Engine> {
        let (name, checkpoint) = open(origin)?;
        let measured = mlx.and_then(|_| tuning::known(origin.folder()));
        let on_processor = measured.is_some_and(|found| found.on_processor) && !computing.device.is_named();
        let form = match checkpoint.description().form {
            Form::Affine(q) => Weights::Quantization {
                bits: q.bits,
                group: q.group_size,
            },
            Form::Dense(float) => Weights::Type(float),
        };
        let compute = match (computing.compute, compat) {
            (cli::Compute::Auto, Compat::OpenAi) | (cli::Compute::Int8, _) => Compute::Int8,
            (cli::Compute::Auto, Compat::Mlx) | (cli::Compute::F32, _) => Compute::F32,
        };
        let threads = computing.threads.map(Into::into);
        let dims = checkpoint.dims().clone();
        let (network, compute, device) = match mlx.filter(|_| !on_processor) {
            None => {
                let cpu = Cpu::new(threads)?.computing(compute);
                let model = CpuModel::load(checkpoint, cpu)?;
                (Network::Cpu(Box::new(model)), compute.to_string(), "cpu".to_owned())
            }
            Some(mlx) => {
                let way = computing.way.or(measured.map(|found| found.way)).unwrap_or_default();
                let options = mlx::Options {
                    threads,
                    max_memory: computing.max_memory,
                    ..way.of(mlx::Options::default())
                };
                let float = (compute == Compute::F32).then_some(Float::F32).or(options.float);
                let options = mlx::Options { float, ..options };
                let model = MlxModel::load(mlx, checkpoint, &options)?;
                let mut compute = format!("{:?}", model.float()).to_lowercase();
                if way.is_no_float() {
                    compute += &format!(", {}", way.name());
                }
                (Network::Mlx(Box::new(model)), compute, device::name(mlx))
            }
        };
        let used = ModelUsed {
            source: name,
            revision: match origin {
                Origin::Snapshot(snapshot) => Some(snapshot.commit.to_string()),
                _ => None,
            },
            dims,
            weights: form,
            compute,
            device,
            fallback: false,
        };
        Ok(Engine { network, used })
    }

    /// Says that this is not the repository that was asked for first.
    pub(crate) fn with_fallback(mut self, fallback: bool) -> Engine {
        self.used.fallback = fallback;
        self
    }

    /// The network.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// What the model really is.
    pub(crate) fn used(&self) -> &ModelUsed {
        &self.used
    }

    /// Transcribes a recording.
    pub(crate) fn transcribe(
        &self,
        input: &Input,
        args: &TranscribeArgs,
        listener: &mut dyn Listener,
    ) -> anyhow::Result<Heard> {
        match &self.network {
            Network::Cpu(model) => transcribe_with(&**model, input, args, listener),
            Network::Mlx(model) => {
                let heard = transcribe_with(&**model, input, args, listener);
                model.mlx().clear_cache(); // the next recording has other shapes
                heard
            }
        }
    }
}

/// Transcribes a recording with the network of a device.
fn transcribe_with<M: Model>(
    model: &M,
    input: &Input,
    args: &TranscribeArgs,
    listener: &mut dyn Listener,
) -> anyhow::Result<Heard> {
    let (mel, damage) = hear(input, args, model.dims().n_mels, listener)?;
    for warning in &damage {
        listener.warning(&format!("{input}: {warning}"));
    }
    let duration_s = mel.duration();
    listener.progress(0.0, duration_s);

    let mut options = options(args)?;
    options.batch = args.batch.map(|batch| windows_at_once(batch, model.dims()));
    let mut transcription = transcribe(model, &mel, &options).with_context(|| input.to_string())?;
    for segment in transcription.by_ref() {
        listener.segment(&segment.with_context(|| input.to_string())?)?;
        listener.progress(options.monitor.frames_done() as f64 / 100.0, duration_s);
    }
    let transcript = transcription.finish()?;
    for warning in &transcript.warnings {
        listener.warning(&format!("{input}: {warning}"));
    }
    Ok(Heard {
        transcript,
        duration_s,
        damaged: !damage.is_empty(),
    })
}

/// The checkpoint, and what to call it.
///
/// # Errors
/// It cannot be read, or holds no Whisper.
pub(crate) fn open(origin: Origin<'_>) -> anyhow::Result<(String, Checkpoint)> {
    match origin {
        Origin::Bundled => {
            let bundled = BUNDLED.context("this program was built without the bundled model")?;
            Ok(("bundled".into(), bundled.open()?))
        }
        Origin::Folder(folder) => Ok((folder.display().to_string(), Checkpoint::open(folder)?)),
        Origin::Snapshot(snapshot) => Ok((snapshot.repo.to_string(), Checkpoint::open(&snapshot.dir)?)),
    }
}

/// The log-mel spectrogram of a recording, made while it is decoded, and what is wrong with the recording.
fn hear(
    input: &Input,
    args: &TranscribeArgs,
    n_mels: usize,
    listener: &mut dyn Listener,
) -> anyhow::Result<(LogMel, Vec<audio::Warning>)> {
    let path = match input {
        Input::File(path) => path,
        Input::Stdin => Path::new("-"),
    };
    let spool = match fs::metadata(path) {
        Ok(file) if file.is_file() => None,
        _ => Some(files::TemporaryFolder::new()?),
    };
    let options = AudioOptions {
        spool: spool.as_ref().map(|folder| folder.path().to_owned()),
        track: args.sound.audio_track.map(Into::into),
        channel: args.sound.channel.map(Into::into),
        ffmpeg: !args.sound.no_ffmpeg,
    };
    let mut audio = AudioFile::open(path, &options)?;
    let mut mel = LogMelBuilder::new(n_mels);
    if args.batch.is_some() && !args.keep_pauses {
        mel = mel.detecting_voice();
    }
    while let Some(samples) = audio.next_chunk()? {
        mel.push(samples);
        listener.reading(audio.position(), audio.stated_duration());
    }
    Ok((mel.finish(), audio.warnings()))
}

/// Whose results are wanted.
pub(crate) fn compat(args: &TranscribeArgs) -> Compat {
    match args.compat {
        None => Compat::OpenAi,
        Some(args::Compat::Mlx) => Compat::Mlx,
    }
}

/// `auto` follows from the checkpoint alone: up to eight windows, while what the decoder keeps of them, keys and values
/// of every block, stays below a quarter of a gigabyte.
pub(crate) fn windows_at_once(batch: Batch, dims: &Dims) -> NonZeroUsize {
    const MOST: usize = 8;
    const ROOM: usize = 256 << 20;
    match batch {
        Batch::Windows(n) => n,
        Batch::Auto => {
            let floats = 2 * dims.n_text_layer * dims.n_audio_ctx * dims.n_text_state;
            NonZeroUsize::new((ROOM / (4 * floats).max(1)).clamp(2, MOST)).unwrap_or(NonZeroUsize::MIN)
        }
    }
}

/// What the library is asked, from the command line.
///
/// # Errors
/// A language or an id that does not exist.
pub(crate) fn options(args: &TranscribeArgs) -> anyhow::Result<Options> {
    let decoding = &args.decoding;
    let compat = compat(args);
    let increment = match (decoding.temperature_increment_on_fallback, compat) {
        (Some(asked), _) => asked.0,
        (None, Compat::OpenAi) => Some(0.2),
        (None, Compat::Mlx) => None, // its command has no fallback, and its sampling cannot be repeated
    };
    let suppress = |id: &String| match id.trim() {
        "-1" => Ok(Suppress::NonSpeech),
        id => id
            .parse()
            .map(|id| Suppress::Token(Token(id)))
            .map_err(|_| anyhow!("--suppress-tokens: expected ids of tokens, or -1, found {id:?}")),
    };
    Ok(Options {
        language: args.language.as_deref().map(str::parse::<Language>).transpose()?,
        task: match args.task {
            args::Task::Transcribe => Task::Transcribe,
            args::Task::Translate => Task::Translate,
        },
        compat,
        temperatures: temperatures(decoding.temperature, increment),
        best_of: decoding.best_of.0.map_or(1, NonZeroUsize::get),
        length_penalty: decoding.length_penalty.and_then(|alpha| alpha.0),
        seed: decoding.seed,
        compression_ratio_threshold: decoding.compression_ratio_threshold.0,
        logprob_threshold: decoding.logprob_threshold.0,
        no_speech_threshold: decoding.no_speech_threshold.0,
        condition_on_previous_text: args.condition_on_previous_text,
        initial_prompt: args.initial_prompt.clone(),
        carry_initial_prompt: args.carry_initial_prompt,
        clip_timestamps: args.clip_timestamps.clone().unwrap_or_default().0,
        suppress_tokens: decoding
            .suppress_tokens
            .iter()
            .filter(|id| !id.is_empty())
            .map(suppress)
            .collect::<Result<_, _>>()?,
        without_timestamps: decoding.without_timestamps,
        max_initial_timestamp: Some(decoding.max_initial_timestamp),
        sample_len: decoding.sample_len,
        batch: match args.batch {
            Some(Batch::Windows(n)) => Some(n),
            Some(Batch::Auto) => Some(NonZeroUsize::MIN), // the model decides
            None => None,
        },
        word_timestamps: args.words.word_timestamps,
        prepend_punctuations: args.words.prepend_punctuations.clone(),
        append_punctuations: args.words.append_punctuations.clone(),
        hallucination_silence_threshold: args.words.hallucination_silence_threshold.and_then(|seconds| seconds.0),
        ..Options::default()
    })
}

/// `first`, and from there in steps up to 1, as OpenAI's command has it.
fn temperatures(first: f64, increment: Option<f64>) -> Vec<f64> {
    let Some(increment) = increment.filter(|increment| *increment >= 0.01) else {
        return vec![first];
    };
    let steps = (0..=100).map(|step| first + f64::from(step) * increment);
    let mut all: Vec<f64> = steps
        .take_while(|t| *t <= 1.0 + 1e-6)
        .map(|t| (t * 1e6).round() / 1e6)
        .collect();
    if all.is_empty() {
        all.push(first);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperatures_rise_to_one() {
        assert_eq!(temperatures(0.0, Some(0.2)), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        assert_eq!(temperatures(0.5, Some(0.3)), [0.5, 0.8]);
        assert_eq!(temperatures(0.0, None), [0.0]);
        assert_eq!(temperatures(2.0, Some(0.2)), [2.0]);
    }
}
