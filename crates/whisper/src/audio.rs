//! Recordings: any file in, 16 kHz mono samples out, piece by piece.
//!
//! ```text
//! decode       container and codec -> samples of every channel
//!   mix        the mean of the channels, or one of them
//!   resample   any rate -> 16 kHz
//! ```
//!
//! No step keeps the recording: a file of three hours takes as much memory as one of ten seconds.

mod decode;
mod resample;

use std::path::Path;

use crate::Result;
use decode::Decoder;
use resample::Resampler;

/// Samples a second that Whisper hears.
pub const SAMPLE_RATE: u32 = 16_000;

/// What to take from a recording.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct AudioOptions {}

/// A recording being read.
pub struct AudioFile {
    decoder: Decoder,
    resampler: Resampler,
    chunk: Vec<f32>,
    ended: bool,
}

impl AudioFile {
    /// Opens a recording. Its content decides the format; the name is only a hint.
    ///
    /// # Errors
    /// The file cannot be read, or nothing in it is sound that we can decode.
    pub fn open(path: &Path, options: &AudioOptions) -> Result<AudioFile> {
        let decoder = Decoder::open(path, options)?;
        let resampler = Resampler::new(decoder.sample_rate());
        Ok(AudioFile {
            decoder,
            resampler,
            chunk: Vec::new(),
            ended: false,
        })
    }

    /// The next samples, 16 kHz mono, never empty; `None` at the end.
    pub fn next_chunk(&mut self) -> Result<Option<&[f32]>> {
        self.chunk.clear();
        while self.chunk.is_empty() && !self.ended {
            match self.decoder.next_chunk()? {
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
    pub fn read_all(&mut self) -> Result<Vec<f32>> {
        let mut samples = Vec::new();
        while let Some(chunk) = self.next_chunk()? {
            samples.extend_from_slice(chunk);
        }
        Ok(samples)
    }
}
