//! What is to be measured: entries that can be, entries that cannot with the reason, and recordings as samples on disk.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use whisper::audio::{AudioFile, AudioOptions, SAMPLE_RATE};

use super::measurement::{Recording, Settings};
use crate::accuracy::Reference;
use crate::implementation::{Here, Implementation, Weights};
use crate::implementations::process::{Failure, FailureKind, Start};
use crate::implementations::protocol::Audio;
use crate::model_names;

/// A benchmark to be run.
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    pub(crate) sounds: Vec<Sound>,
    pub(crate) candidates: Vec<Candidate>,
}

/// An implementation with a model.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) implementation: String,
    pub(crate) model: String,
    /// How it is started, with which weights; or why not.
    pub(crate) ready: Result<(Start, Weights), Failure>,
}

/// A recording, ready for everybody.
#[derive(Clone, Debug)]
pub(crate) struct Sound {
    pub(crate) recording: Recording,
    pub(crate) reference: Option<Reference>,
    /// As it is announced to a runner.
    pub(crate) announced: Audio,
}

impl Candidate {
    /// What `implementation` needs for `model`, as far as it is here.
    pub(crate) fn new(implementation: &dyn Implementation, model: &str, here: &Here) -> Candidate {
        let model = match model {
            model_names::DEFAULT => implementation.stands_for_bundled(),
            other => other,
        };
        let ready = implementation
            .start(here)
            .and_then(|start| Ok((start, implementation.weights(model, here)?)))
            .map_err(|unavailable| Failure::new(FailureKind::NotReady, unavailable));
        Candidate {
            implementation: implementation.id().to_owned(),
            model: model.to_owned(),
            ready,
        }
    }

    /// Models of one size are compared with each other; `bundled` is a `base`.
    pub(crate) fn size(model: &str) -> &str {
        match model {
            model_names::DEFAULT => "base",
            "turbo" => "large",
            other => other,
        }
    }
}

/// Recordings as files of samples, which live as long as this.
pub(crate) struct Sounds {
    folder: TempDir,
    ready: Vec<Sound>,
}

impl Sounds {
    pub(crate) fn new() -> anyhow::Result<Sounds> {
        let folder = tempfile::Builder::new().prefix("whisper-speedtest-").tempdir();
        Ok(Sounds {
            folder: folder.context("a temporary folder for samples")?,
            ready: Vec::new(),
        })
    }

    /// Decodes a recording; its warnings come back.
    ///
    /// # Errors
    /// It cannot be read, or holds no sound.
    pub(crate) fn add(
        &mut self,
        name: &str,
        path: &Path,
        reference: Option<Reference>,
        language: Option<String>,
    ) -> anyhow::Result<Vec<String>> {
        let mut audio = AudioFile::open(path, &AudioOptions::default())?;
        let number = self.ready.len();
        let file = self.folder.path().join(format!("{number}.f32"));
        let (samples, sha256) = write_samples(&mut audio, &file)?;
        anyhow::ensure!(samples > 0, "{name}: no sound in it");
        self.ready.push(Sound {
            recording: Recording {
                name: name.to_owned(),
                seconds: samples as f64 / f64::from(SAMPLE_RATE),
                sha256,
                language: language.clone(),
                reference: reference.as_ref().map(|reference| reference.text.clone()),
            },
            reference,
            announced: Audio {
                audio: number,
                path: file,
                samples,
                language,
            },
        });
        Ok(audio.warnings().iter().map(ToString::to_string).collect())
    }

    pub(crate) fn ready(&self) -> &[Sound] {
        &self.ready
    }
}

/// Writes raw 32-bit floats, little-endian; their number and their hash.
fn write_samples(audio: &mut AudioFile, path: &PathBuf) -> anyhow::Result<(u64, String)> {
    let mut file = BufWriter::new(fs::File::create_new(path)?);
    let (mut count, mut hash, mut bytes) = (0, Sha256::new(), Vec::new());
    while let Some(samples) = audio.next_chunk()? {
        bytes.clear();
        bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        hash.update(&bytes);
        file.write_all(&bytes)?;
        count += samples.len() as u64;
    }
    file.flush()?;
    let hex = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((count, hex))
}
