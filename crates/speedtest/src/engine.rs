//! Where the tool meets the engine: a model is loaded here, and a recording given to it.

use anyhow::{Context, bail};
use whisper::audio::{AudioFile, AudioOptions};
use whisper::cpu::{Cpu, CpuModel};
use whisper::language::Language;
use whisper::mel::{LogMel, LogMelBuilder};
use whisper::model::Model;
use whisper::tokenizer::Task;
use whisper::transcript::{Segment, Transcript};
use whisper::weights::{Checkpoint, Form};
use whisper::{Compat, Options, transcribe};

use crate::bundled::BUNDLED;
use crate::cli::{self, TranscribeArgs};
use crate::inputs::Input;
use crate::model_names::Source;
use crate::output::{ModelUsed, Weights};

/// A loaded model.
pub(crate) struct Engine {
    model: CpuModel,
    used: ModelUsed,
}

/// What was heard, and how much there was to hear.
pub(crate) struct Heard {
    pub(crate) transcript: Transcript,
    pub(crate) duration_s: f64,
}

/// Told what happens while it happens; an error ends the work.
pub(crate) trait Listener {
    /// A segment was found.
    fn segment(&mut self, segment: &Segment) -> anyhow::Result<()>;
    /// So many seconds of so many are done.
    fn progress(&mut self, done_s: f64, total_s: f64);
    /// The user should know this.
    fn warning(&mut self, warning: &str);
}

impl Engine {
    /// Loads the weights.
    pub(crate) fn load(source: &Source, args: &TranscribeArgs) -> anyhow::Result<Engine> {
        let (name, checkpoint) = open(source)?;
        let form = match checkpoint.description().form {
            Form::Affine(q) => Weights::Quantization {
                bits: q.bits,
                group: q.group_size,
            },
            Form::Dense(float) => Weights::Type(float),
        };
        let cpu = Cpu::new(args.threads.map(Into::into))?;
        let used = ModelUsed {
            source: name,
            revision: None,
            dims: checkpoint.dims().clone(),
            weights: form,
            compute: "f32".into(),
            device: "cpu".into(),
            fallback: false,
        };
        Ok(Engine {
            model: CpuModel::load(checkpoint, cpu)?,
            used,
        })
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
        let mel = hear(input, self.model.dims().n_mels)?;
        let duration_s = mel.duration();
        listener.progress(0.0, duration_s);

        let options = options(args)?;
        let mut transcription = transcribe(&self.model, &mel, &options).with_context(|| input.to_string())?;
        while let Some(segment) = transcription.next() {
            listener.segment(&segment.with_context(|| input.to_string())?)?;
            listener.progress(options.monitor.frames_done() as f64 / 100.0, duration_s);
        }
        let transcript = transcription.finish()?;
        for warning in &transcript.warnings {
            listener.warning(&format!("{input}: {warning}"));
        }
        Ok(Heard { transcript, duration_s })
    }
}

/// The checkpoint, and what to call it.
fn open(source: &Source) -> anyhow::Result<(String, Checkpoint)> {
    match source {
        Source::Bundled => {
            let bundled = BUNDLED.context("this program was built without the bundled model")?;
            Ok((
                "bundled".into(),
                Checkpoint::from_bytes("bundled", bundled.config, bundled.weights)?,
            ))
        }
        Source::Folder(folder) => Ok((folder.display().to_string(), Checkpoint::open(folder)?)),
        Source::Repository { primary, .. } => bail!(
            "{primary}: models are not downloaded yet (that comes with `models pull`); give a folder with the checkpoint"
        ),
    }
}

/// The log-mel spectrogram of a recording, made while it is decoded.
fn hear(input: &Input, n_mels: usize) -> anyhow::Result<LogMel> {
    let Input::File(path) = input else {
        bail!("{input}: recordings are not read from there yet; give a file");
    };
    let mut audio = AudioFile::open(path, &AudioOptions::default())?;
    let mut mel = LogMelBuilder::new(n_mels);
    while let Some(samples) = audio.next_chunk()? {
        mel.push(samples);
    }
    Ok(mel.finish())
}

fn options(args: &TranscribeArgs) -> anyhow::Result<Options> {
    let language = args.language.as_deref().map(str::parse::<Language>).transpose()?;
    let defaults = Options::default();
    Ok(Options {
        language,
        task: match args.task {
            cli::Task::Transcribe => Task::Transcribe,
            cli::Task::Translate => Task::Translate,
        },
        compat: match args.compat {
            None => Compat::OpenAi,
            Some(cli::Compat::Mlx) => Compat::Mlx,
        },
        condition_on_previous_text: args.condition_on_previous_text,
        initial_prompt: args.initial_prompt.clone(),
        temperatures: match args.compat {
            None => defaults.temperatures,
            Some(cli::Compat::Mlx) => vec![0.0], // its command has no fallback, and its sampling cannot be repeated
        },
        ..defaults
    })
}
