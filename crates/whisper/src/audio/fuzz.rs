//! The readers of sound, each by itself; see [`crate::fuzz`].

use std::io::{Cursor, Write as _};

use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::registry::RegisterableAudioDecoder as _;
use symphonia::core::units::{Duration, Timestamp};

use super::opus::OpusDecoder;
use super::track::{Bytes, Packet, Track};
use super::{AudioFile, AudioOptions, SAMPLE_RATE, sandbox};

/// Sound that is listened to: a broken clock may ask for hours of silence.
const SECONDS: u32 = 60;

/// A file, as a user gives it.
pub fn audio(bytes: &[u8]) -> bool {
    let Ok(mut file) = tempfile::NamedTempFile::new() else {
        return false;
    };
    if file.write_all(bytes).is_err() {
        return false;
    }
    let options = AudioOptions {
        ffmpeg: false,
        ..AudioOptions::default()
    };
    let mut left = (SECONDS * SAMPLE_RATE) as usize;
    let read = AudioFile::open(file.path(), &options).and_then(|mut audio| {
        while let Some(samples) = audio.next_chunk()? {
            assert!(samples.iter().all(|x| x.is_finite()), "samples are numbers");
            if samples.len() > left {
                break;
            }
            left -= samples.len();
        }
        for warning in audio.warnings() {
            assert!(!warning.to_string().contains("NaN"), "{warning}");
        }
        Ok(())
    });
    if let Err(error) = &read {
        // The panic of a dependency is caught, and its file refused; one of ours is a finding.
        let error = error.to_string();
        assert!(
            !error.contains(sandbox::IS_A_BUG) || !error.contains("whisper/src/"),
            "{error}"
        );
    }
    read.is_ok()
}

/// WAVE, RF64, Wave64.
pub fn wave(bytes: &[u8]) -> bool {
    has_packets(super::wave::open(source(bytes)))
}

/// Sun's au.
pub fn au(bytes: &[u8]) -> bool {
    has_packets(super::au::open(source(bytes)))
}

/// AVI, its first two tracks.
pub fn avi(bytes: &[u8]) -> bool {
    let found =
        [0, 1].map(|wanted| super::avi::open(source(bytes), wanted).is_ok_and(|found| has_packets(found.track)));
    found[0] || found[1]
}

/// A stream of MPEG frames.
pub fn mpeg(bytes: &[u8]) -> bool {
    // Symphonia's reader takes the first steps here.
    sandbox::run(|| Ok(has_packets(super::mpeg::open(source(bytes))))).unwrap_or_else(|problem| {
        assert!(!problem.contains("whisper/src/"), "{problem}");
        false
    })
}

/// The edit lists of an MP4.
pub fn mp4(bytes: &[u8]) -> bool {
    !super::mp4::edits(&mut Cursor::new(bytes)).is_empty()
}

/// The end of an Ogg file.
pub fn ogg(bytes: &[u8]) -> bool {
    super::ogg::is_finished(&mut Cursor::new(bytes))
}

/// The header of an Opus stream and its packets, each after a byte with its length.
pub fn opus(bytes: &[u8]) -> bool {
    let mut pieces = Pieces(bytes);
    let mut parameters = AudioCodecParameters::new();
    parameters
        .for_codec(CODEC_ID_OPUS)
        .with_extra_data(pieces.next().unwrap_or_default().into());
    super::opus::pre_skip(&parameters);
    let decoded = sandbox::run(|| {
        let Ok(mut decoder) = OpusDecoder::try_registry_new(&parameters, &Default::default()) else {
            return Ok(false);
        };
        let mut any = false;
        for piece in pieces {
            let packet = Packet::new(0, Timestamp::new(0), Duration::new(0), piece);
            any |= decoder.decode_ref(&packet.as_packet_ref()).is_ok();
        }
        Ok(any)
    });
    decoded.unwrap_or_else(|problem| {
        assert!(!problem.contains("whisper/src/"), "{problem}");
        false
    })
}

struct Pieces<'a>(&'a [u8]);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (&length, rest) = self.0.split_first()?;
        let (piece, rest) = rest.split_at_checked(usize::from(length)).unwrap_or((rest, &[]));
        self.0 = rest;
        Some(piece)
    }
}

fn source(bytes: &[u8]) -> Bytes {
    Box::new(Cursor::new(bytes.to_vec()))
}

fn has_packets(track: Result<Track, String>) -> bool {
    let Ok(mut track) = track else { return false };
    let mut any = false;
    while let Ok(Some(packet)) = track.packets.next_packet() {
        any |= packet.dur.get() > 0;
    }
    any
}
