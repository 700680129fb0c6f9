//! Container and codec to mono samples at the recording's own rate, through Symphonia.

use std::fs::File;
use std::path::{Path, PathBuf};

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::errors::Error as Fault;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatReader, TrackType};
use symphonia::core::io::MediaSourceStream;

use super::AudioOptions;
use crate::{Error, Result};

/// Sample rates we take. Files that claim another are broken, and would make the resampler allocate what they say.
const RATES: std::ops::RangeInclusive<u32> = 1_000..=768_000;

const MAX_CHANNELS: usize = 64;

/// One track of a recording, decoded packet by packet.
pub(super) struct Decoder {
    path: PathBuf,
    container: Box<dyn FormatReader>,
    codec: Box<dyn AudioDecoder>,
    track: u32,
    rate: u32,
    /// The last packet: all channels interleaved, then their mean.
    interleaved: Vec<f32>,
    mono: Vec<f32>,
}

impl Decoder {
    pub(super) fn open(path: &Path, _options: &AudioOptions) -> Result<Decoder> {
        let wrong = |problem: String| Error::Audio {
            path: path.to_owned(),
            problem,
        };
        let file = File::open(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        let mut hint = Hint::new();
        if let Some(extension) = path.extension().and_then(|e| e.to_str()) {
            hint.with_extension(extension);
        }
        let stream = MediaSourceStream::new(Box::new(file), Default::default());
        let container = symphonia::default::get_probe()
            .probe(&hint, stream, Default::default(), Default::default())
            .map_err(|fault| wrong(format!("not a recording that we can read ({fault})")))?;
        let track = container
            .first_track_known_codec(TrackType::Audio)
            .ok_or_else(|| wrong("there is no audio track in it".to_owned()))?;
        let Some(CodecParameters::Audio(parameters)) = &track.codec_params else {
            return Err(wrong("there is no audio track in it".to_owned()));
        };
        let codec = symphonia::default::get_codecs()
            .make_audio_decoder(parameters, &Default::default())
            .map_err(|fault| wrong(format!("cannot decode its sound ({fault})")))?;
        let rate = parameters.sample_rate.unwrap_or(0);
        if !RATES.contains(&rate) {
            let (least, most) = (RATES.start(), RATES.end());
            return Err(wrong(format!(
                "a sample rate of {rate} Hz; expected {least} to {most} Hz"
            )));
        }
        let track = track.id;
        Ok(Decoder {
            path: path.to_owned(),
            container,
            codec,
            track,
            rate,
            interleaved: Vec::new(),
            mono: Vec::new(),
        })
    }

    /// Samples a second.
    pub(super) fn sample_rate(&self) -> u32 {
        self.rate
    }

    /// The mono samples of the next packet; `None` at the end.
    pub(super) fn next_chunk(&mut self) -> Result<Option<&[f32]>> {
        loop {
            let packet = match self.container.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.track => packet,
                Ok(Some(_)) => continue,
                Ok(None) => return Ok(None),
                Err(Fault::IoError(fault)) if fault.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(fault) => return Err(self.wrong(format!("cannot be read to its end ({fault})"))),
            };
            match self.codec.decode(&packet) {
                Ok(sound) => {
                    let channels = sound.spec().channels().count();
                    if !(1..=MAX_CHANNELS).contains(&channels) {
                        return Err(self.wrong(format!("{channels} channels; expected 1 to {MAX_CHANNELS}")));
                    }
                    self.interleaved.clear();
                    sound.copy_to_vec_interleaved(&mut self.interleaved);
                    mix(&self.interleaved, channels, &mut self.mono);
                    return Ok(Some(&self.mono));
                }
                Err(Fault::DecodeError(_) | Fault::IoError(_)) => {}
                Err(fault) => return Err(self.wrong(format!("cannot be decoded to its end ({fault})"))),
            }
        }
    }

    fn wrong(&self, problem: String) -> Error {
        Error::Audio {
            path: self.path.clone(),
            problem,
        }
    }
}

/// Replaces `mono` by the mean of the channels; one channel stays bit for bit as it is.
fn mix(interleaved: &[f32], channels: usize, mono: &mut Vec<f32>) {
    mono.clear();
    mono.extend(
        interleaved
            .chunks_exact(channels)
            .map(|frame| frame.iter().sum::<f32>() / channels as f32),
    );
}
