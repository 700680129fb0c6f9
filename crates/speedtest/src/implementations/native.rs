//! This program's own engine, measured like any other: a child that speaks the protocol.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use mlx::Mlx;
use whisper::language::Language;
use whisper::mel::LogMelBuilder;
use whisper::model::{Alignment, Dims, Feed, Head, MelWindow, Model, Token};
use whisper::{Compat, Options, transcribe};

use super::process::Start;
use super::protocol::{self, Audio, Heard, Identity, Load, Loaded, Reply, Request};
use super::runner;
use crate::cli::values::Batch;
use crate::cli::{Compute, ComputeArgs};
use crate::device::{self, Device};
use crate::engine::{Engine, Network, Origin, windows_at_once};
use crate::implementation::{Here, Implementation, ModelOf, Unavailable, Weights};
use crate::model_names::{self, Source};
use crate::tuning::Way;

/// The engine inside this program.
pub(crate) struct Native;

/// The same, on a GPU through the MLX that `doctor --enable mlx` has made ready.
pub(crate) struct NativeMlx;

/// Why there is no MLX to run on.
const NOT_ENABLED: &str = "no MLX is ready here";

/// The hidden command that serves the protocol.
pub(crate) const COMMAND: &str = "runner";

impl Implementation for Native {
    fn id(&self) -> &str {
        "native"
    }

    fn alias(&self) -> Option<&'static str> {
        Some("MLXWhisperImplementation")
    }

    fn about(&self) -> &'static str {
        "this program's own engine, from MLX checkpoints"
    }

    fn tested(&self) -> bool {
        true
    }

    /// All that [`model_names`] knows: see [`weights`](Implementation::weights).
    fn models(&self) -> &[ModelOf<'static>] {
        &[]
    }

    fn stands_for_bundled(&self) -> &'static str {
        model_names::DEFAULT
    }

    fn start(&self, here: &Here) -> Result<Start, Unavailable> {
        let program = std::env::current_exe().map_err(|error| Unavailable::new(error, ""))?;
        let options = here.computing.iter().map(Into::into);
        Ok(Start {
            program,
            arguments: std::iter::once(COMMAND.into()).chain(options).collect(),
            environment: Vec::new(),
        })
    }

    fn weights(&self, model: &str, here: &Here) -> Result<Weights, Unavailable> {
        weights(self.id(), model, here)
    }
}

impl Implementation for NativeMlx {
    fn id(&self) -> &str {
        "native-mlx"
    }

    fn about(&self) -> &'static str {
        "this program's own engine on a GPU, through an installed MLX"
    }

    fn tested(&self) -> bool {
        true
    }

    fn models(&self) -> &[ModelOf<'static>] {
        &[]
    }

    fn stands_for_bundled(&self) -> &'static str {
        model_names::DEFAULT
    }

    fn start(&self, here: &Here) -> Result<Start, Unavailable> {
        if device::enabled().is_none() {
            return Err(Unavailable::new(NOT_ENABLED, device::ENABLE));
        }
        if here.computing.iter().any(|word| word == "int8") {
            return Err(Unavailable::new("--compute int8 is the processor's", ""));
        }
        let mut start = Native.start(here)?;
        start.arguments.extend(["--device".into(), "mlx".into()]);
        Ok(start)
    }

    fn weights(&self, model: &str, here: &Here) -> Result<Weights, Unavailable> {
        // What the user has named for one row of this engine counts for the other, too.
        weights(self.id(), model, here).or_else(|missing| weights("native", model, here).map_err(|_| missing))
    }
}

/// Where a model is for this engine, whatever it runs on.
fn weights(id: &str, model: &str, here: &Here) -> Result<Weights, Unavailable> {
    if let Some(path) = here.model_path(id, model) {
        return Weights::at(path);
    }
    match model_names::resolve(model).map_err(|problem| Unavailable::new(problem, ""))? {
        Source::Bundled => Ok(Weights {
            name: model_names::DEFAULT.to_owned(),
            path: None,
            fallback: false,
        }),
        Source::Folder(folder) => Weights::at(&folder),
        Source::Repository { primary, fallback } => {
            let named = ModelOf {
                fallback: fallback.as_deref(),
                ..ModelOf::new(model, &primary)
            };
            named.weights(id, here)
        }
    }
}

/// MLX is made for GPUs.
fn handicap(mlx: &Mlx) -> Option<String> {
    (mlx.about().device == mlx::Device::Cpu).then(|| "MLX is made for GPUs; this is its CPU path".into())
}

/// How this program's own engine is measured.
#[derive(clap::Args, Debug)]
pub(crate) struct OwnArgs {
    /// Arithmetic of this program's own engine
    #[arg(long, value_enum, default_value_t, value_name = "TYPE", conflicts_with = "id")]
    compute: Compute,
    /// What this program's own engine runs on: cpu or mlx
    #[arg(long, default_value = "cpu", value_parser = ["cpu", "mlx"], value_name = "DEVICE", conflicts_with = "id")]
    device: String,
    /// Decode so many windows of a recording together; auto: as many as suit the model
    #[arg(long, value_name = "N", value_parser = Batch::parse, conflicts_with = "id")]
    batch: Option<Batch>,
    /// How MLX computes [default: as `benchmark --tune` has found best for the model]
    #[arg(long, value_enum, value_name = "WAY", conflicts_with = "id")]
    way: Option<Way>,
    /// Ask for text without timestamps, as some others do who decode windows together
    #[arg(long, conflicts_with = "id")]
    without_timestamps: bool,
}

/// Serves the protocol for this program's own engine, on the processor or on the MLX that is ready here.
///
/// # Errors
/// MLX is asked for and cannot be opened; as [`runner::serve`].
pub(crate) fn serve(args: OwnArgs) -> anyhow::Result<()> {
    let mlx = match &*args.device {
        "mlx" => Some(device::enabled().context(NOT_ENABLED)?.open()?),
        _ => None,
    };
    runner::serve(Runner {
        args,
        mlx,
        engine: None,
        recordings: BTreeMap::new(),
    })
}

struct Runner {
    args: OwnArgs,
    mlx: Option<Mlx>,
    engine: Option<Engine>,
    recordings: BTreeMap<usize, Recording>,
}

struct Recording {
    samples: Vec<f32>,
    language: Option<Language>,
}

impl runner::Runner for Runner {
    fn answer(&mut self, request: Request) -> anyhow::Result<Reply> {
        match request {
            Request::Hello { .. } => Ok(Reply::Hello(Identity {
                protocol: protocol::VERSION,
                implementation: if self.mlx.is_some() { "native-mlx" } else { "native" }.into(),
                version: env!("CARGO_PKG_VERSION").into(),
                components: self
                    .mlx
                    .iter()
                    .map(|mlx| ("mlx".into(), mlx.about().version.clone()))
                    .collect(),
            })),
            Request::Audio(audio) => {
                let number = audio.audio;
                self.recordings.insert(number, Recording::read(&audio)?);
                Ok(Reply::Audio { audio: number })
            }
            Request::Load(load) => self.load(&load).map(Reply::Load),
            Request::Transcribe { audio } => self.transcribe(audio).map(Reply::Transcribe),
            Request::Bye => unreachable!("`serve` has left"),
        }
    }
}

impl Runner {
    fn load(&mut self, load: &Load) -> anyhow::Result<Loaded> {
        let began = Instant::now();
        self.engine = None; // its memory goes before the next takes some
        let computing = ComputeArgs {
            compute: self.args.compute,
            threads: load.threads.try_into().ok(),
            device: Device::Mlx, // where there is one: it was named
            way: self.args.way,
            ..ComputeArgs::default()
        };
        let origin = load.path.as_deref().map_or(Origin::Bundled, Origin::Folder);
        let engine = self
            .engine
            .insert(Engine::load(origin, &computing, Compat::OpenAi, self.mlx.as_ref())?);
        Ok(Loaded {
            seconds: began.elapsed().as_secs_f64(),
            weights: Some(format!(
                "{}, computed in {}",
                engine.used().weights,
                engine.used().compute
            )),
            device: Some(engine.used().device.clone()),
            handicap: self.mlx.as_ref().and_then(handicap),
            differs: self.args.differs(),
        })
    }

    fn transcribe(&self, number: usize) -> anyhow::Result<Heard> {
        let engine = self.engine.as_ref().context("`transcribe` before `load`")?;
        let recording = self.recordings.get(&number).context("no such audio")?;
        match engine.network() {
            Network::Cpu(model) => transcribe_with(&**model, number, recording, &self.args),
            Network::Mlx(model) => transcribe_with(&**model, number, recording, &self.args),
        }
    }
}

impl OwnArgs {
    fn batch(&self) -> Option<Batch> {
        self.batch.or(self.way.and_then(Way::batch).map(Batch::Windows))
    }

    /// What is not as in the other rows.
    fn differs(&self) -> Vec<String> {
        let batch = self
            .batch()
            .map(|_| "pauses left out by a voice detector, several windows at once");
        let text = self.without_timestamps.then_some("text without timestamps");
        batch.into_iter().chain(text).map(str::to_owned).collect()
    }
}

fn transcribe_with<M: Model>(model: &M, number: usize, recording: &Recording, args: &OwnArgs) -> anyhow::Result<Heard> {
    let began = Instant::now();
    let model = Timed::new(model);

    let mut mel = LogMelBuilder::new(model.dims().n_mels);
    if args.batch().is_some() {
        mel = mel.detecting_voice();
    }
    mel.push(&recording.samples);
    let mel = mel.finish();
    let spectrum = began.elapsed();

    let options = Options {
        language: recording.language,
        temperatures: vec![0.0],
        batch: args.batch().map(|batch| windows_at_once(batch, model.dims())),
        without_timestamps: args.without_timestamps,
        ..Options::default()
    };
    let mut transcription = transcribe(&model, &mel, &options)?;
    transcription.next().transpose()?;
    let first_segment = began.elapsed();
    let transcript = transcription.finish()?;
    let whole = began.elapsed();

    let (encode, decode) = (model.encoding.time(), model.decoding.time());
    let rest = whole.saturating_sub(spectrum + encode + decode);
    let stages = [
        ("mel", spectrum),
        ("encode", encode),
        ("decode", decode),
        ("rest", rest),
    ];
    let tokens = transcript
        .segments
        .iter()
        .map(|segment| segment.tokens.len() as u64)
        .sum();
    let counts = [
        ("windows", model.encoding.count()),
        ("steps", model.decoding.count()),
        ("tokens", tokens),
        ("fallbacks", 0), // one temperature
    ];
    Ok(Heard {
        audio: number,
        seconds: whole.as_secs_f64(),
        text: transcript.text,
        language: Some(transcript.language.code().to_owned()),
        first_segment_seconds: Some(first_segment.as_secs_f64()),
        stages: stages.map(|(name, time)| (name.to_owned(), time.as_secs_f64())).into(),
        counts: counts.map(|(name, count)| (name.to_owned(), count)).into(),
    })
}

impl Recording {
    fn read(audio: &Audio) -> anyhow::Result<Recording> {
        let samples =
            runner::read_samples(&audio.path, audio.samples).with_context(|| audio.path.display().to_string())?;
        let language = audio.language.as_deref().map(str::parse).transpose()?;
        Ok(Recording { samples, language })
    }
}

/// A model that watches the time spent in it.
struct Timed<'a, M> {
    model: &'a M,
    encoding: Stopwatch,
    decoding: Stopwatch,
}

impl<'a, M: Model> Timed<'a, M> {
    fn new(model: &'a M) -> Timed<'a, M> {
        Timed {
            model,
            encoding: Stopwatch::default(),
            decoding: Stopwatch::default(),
        }
    }
}

impl<M: Model> Model for Timed<'_, M> {
    type Audio = M::Audio;
    type Hypothesis = M::Hypothesis;

    fn dims(&self) -> &Dims {
        self.model.dims()
    }

    fn encode(&self, mel: &[MelWindow<'_>]) -> whisper::Result<Vec<Arc<M::Audio>>> {
        self.encoding.watch(|| self.model.encode(mel))
    }

    fn begin(&self, audio: &Arc<M::Audio>) -> whisper::Result<M::Hypothesis> {
        self.model.begin(audio)
    }

    fn fork(&self, from: &M::Hypothesis) -> whisper::Result<M::Hypothesis> {
        self.model.fork(from)
    }

    fn truncate(&self, hypothesis: &mut M::Hypothesis, len: usize) {
        self.model.truncate(hypothesis, len);
    }

    fn step(&self, batch: &mut [Feed<'_, M::Hypothesis>], logits: &mut Vec<f32>) -> whisper::Result<()> {
        self.decoding.watch(|| self.model.step(batch, logits))
    }

    fn align(&self, audio: &Arc<M::Audio>, tokens: &[Token], heads: &[Head]) -> whisper::Result<Alignment> {
        self.model.align(audio, tokens, heads)
    }
}

/// How often, and how long in all.
#[derive(Default)]
struct Stopwatch {
    count: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Stopwatch {
    fn watch<T>(&self, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let done = work();
        let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(took, Ordering::Relaxed);
        done
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn time(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }
}
