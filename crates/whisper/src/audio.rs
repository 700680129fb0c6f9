//! Recordings: any file in, 16 kHz mono samples out, piece by piece.
//!
//! ```text
//! input        a file; standard input and FIFOs become one
//! container    what is in it: wave, au, avi, mpeg by ourselves, the rest by Symphonia, what is left by ffmpeg
//! decode       packets -> mono samples, each at its time: delay trimmed, silence for what is missing
//! resample     any rate -> 16 kHz
//! ```
//!
//! No step keeps the recording: a file of three hours takes as much memory as one of ten seconds.

mod au;
mod avi;
mod container;
mod decode;
mod ffmpeg;
pub(crate) mod fuzz;
mod input;
mod mp4;
mod mpeg;
mod ogg;
mod opus;
mod pcm;
mod resample;
mod sandbox;
#[cfg(test)]
mod tests;
mod track;
mod warning;
mod wave;

use std::path::{Path, PathBuf};

use crate::{Error, Result};
use decode::Decoder;
use input::Input;
use resample::Resampler;
pub use warning::Warning;

/// Samples a second that Whisper hears.
pub const SAMPLE_RATE: u32 = 16_000;

/// What to take from a recording, and how.
#[derive(Clone, Debug)]
pub struct AudioOptions {
    /// The audio track, from 1. By default the first that has sound in its first five minutes, else the first.
    pub track: Option<usize>,
    /// The channel, from 1. By default the mean of all.
    pub channel: Option<usize>,
    /// Whether an installed `ffmpeg` may decode what we cannot.
    pub ffmpeg: bool,
    /// Where what can be read only once is copied to. By default the system's folder for temporary files.
    pub spool: Option<PathBuf>,
}

impl Default for AudioOptions {
    fn default() -> AudioOptions {
        AudioOptions {
            track: None,
            channel: None,
            ffmpeg: true,
            spool: None,
        }
    }
}

/// A recording being read.
pub struct AudioFile {
    path: PathBuf,
    decoder: Decoder,
    resampler: Resampler,
    chunk: Vec<f32>,
    ended: bool,
    /// A temporary file lives as long as this.
    _input: Input,
}

impl AudioFile {
    /// Opens a recording. Its content decides the format; the name is only a hint. `-` is standard input.
    ///
    /// # Errors
    /// The file cannot be read, or nothing in it is sound that we can decode.
    pub fn open(path: &Path, options: &AudioOptions) -> Result<AudioFile> {
        let input = Input::open(path, options.spool.as_deref()).map_err(|cause| Error::Io {
            path: path.to_owned(),
            cause,
        })?;
        let decoder = sandbox::run(|| Decoder::open(&input, path, options)).map_err(|problem| Error::Audio {
            path: path.to_owned(),
            problem,
        })?;
        let resampler = Resampler::new(decoder.sample_rate());
        Ok(AudioFile {
            path: path.to_owned(),
            decoder,
            resampler,
            chunk: Vec::new(),
            ended: false,
            _input: input,
        })
    }

    /// The next samples, 16 kHz mono, never empty; `None` at the end. Time 0 is the first sample of the first.
    ///
    /// # Errors
    /// The file cannot be read any more. What is damaged within is no error: see [`warnings`](AudioFile::warnings).
    pub fn next_chunk(&mut self) -> Result<Option<&[f32]>> {
        self.chunk.clear();
        while self.chunk.is_empty() && !self.ended {
            let decoded = sandbox::run(|| self.decoder.next_chunk()).inspect_err(|_| self.ended = true);
            match decoded.map_err(|problem| Error::Audio {
                path: self.path.clone(),
                problem,
            })? {
                Some(samples) => self.resampler.push(samples, &mut self.chunk),
                None => {
                    self.ended = true;
                    self.resampler.finish(&mut self.chunk);
                }
            }
        }
        Ok((!self.chunk.is_empty()).then_some(&self.chunk))
    }

    /// All samples that are left: 230 MB an hour.
    ///
    /// # Errors
    /// As [`next_chunk`](AudioFile::next_chunk).
    pub fn read_all(&mut self) -> Result<Vec<f32>> {
        let mut samples = Vec::new();
        while let Some(chunk) = self.next_chunk()? {
            samples.extend_from_slice(chunk);
        }
        Ok(samples)
    }

    /// Seconds read so far.
    pub fn position(&self) -> f64 {
        self.decoder.seconds()
    }

    /// Seconds that the file says it holds, where it does: for a progress bar, not to be believed.
    pub fn stated_duration(&self) -> Option<f64> {
        self.decoder.stated()
    }

    /// What was wrong with what has been read so far; complete at the end.
    pub fn warnings(&self) -> Vec<Warning> {
        self.decoder.warnings()
    }
}
