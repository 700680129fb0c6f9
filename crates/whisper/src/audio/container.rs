//! Everything that Symphonia can take apart: MP4, Matroska, Ogg, FLAC, AIFF, CAF, ADTS, MPEG audio.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::LazyLock;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::{
    FORMAT_ID_FLAC, FORMAT_ID_ISOMP4, FORMAT_ID_MP1, FORMAT_ID_MP2, FORMAT_ID_MP3, FORMAT_ID_OGG,
};
use symphonia::core::formats::{FormatId, FormatReader, TrackType};
use symphonia::core::io::MediaSourceStream;

use super::decode::Found;
use super::opus::{self, OpusDecoder};
use super::track::{Clock, Fault, Packet, Packets, Track};
use super::{mp4, mpeg, ogg};

/// The decoders of Symphonia, and Opus.
static CODECS: LazyLock<CodecRegistry> = LazyLock::new(|| {
    let mut codecs = CodecRegistry::new();
    symphonia::default::register_enabled_codecs(&mut codecs);
    codecs.register_audio_decoder::<OpusDecoder>();
    codecs
});

/// A decoder for the track.
pub(super) fn decoder(track: &Track) -> Result<Box<dyn AudioDecoder>, Fault> {
    CODECS.make_audio_decoder(&track.parameters, &Default::default())
}

/// Finds out what the file is, whatever its name says.
pub(super) fn probe(file: File, name: &Path) -> Result<Box<dyn FormatReader>, Fault> {
    let mut hint = Hint::new();
    if let Some(extension) = name.extension().and_then(|e| e.to_str()) {
        hint.with_extension(extension);
    }
    let stream = MediaSourceStream::new(Box::new(file), Default::default());
    symphonia::default::get_probe().probe(&hint, stream, Default::default(), Default::default())
}

/// The `wanted`-th audio track, from 0. `file` is the same file again.
pub(super) fn open(reader: Box<dyn FormatReader>, file: File, wanted: usize) -> Found {
    let is_audio = |track: &&symphonia::core::formats::Track| track.track_type() == Some(TrackType::Audio);
    let count = reader.tracks().iter().filter(is_audio).count();
    let track = match reader.tracks().iter().filter(is_audio).nth(wanted).cloned() {
        None => Err(if count == 0 {
            "there is no audio track in it"
        } else {
            "there are fewer"
        }
        .to_owned()),
        Some(_) if MPEG_AUDIO.contains(&reader.format_info().format) => mpeg::from_reader(reader),
        Some(track) => from_reader(reader, track, file),
    };
    Found { count, track }
}

const MPEG_AUDIO: [FormatId; 3] = [FORMAT_ID_MP1, FORMAT_ID_MP2, FORMAT_ID_MP3];

fn from_reader(
    reader: Box<dyn FormatReader>,
    track: symphonia::core::formats::Track,
    file: File,
) -> Result<Track, String> {
    let format = reader.format_info().format;
    let Some(CodecParameters::Audio(parameters)) = track.codec_params else {
        return Err("it is not known how it is coded".to_owned());
    };
    let mut clock = Clock::samples(parameters.sample_rate.unwrap_or(0));
    clock.base = track.time_base.unwrap_or(clock.base);
    // A recording cut out of a longer one begins at its own beginning.
    clock.origin = reader
        .tracks()
        .iter()
        .map(|t| t.start_ts.get())
        .min()
        .unwrap_or(0)
        .max(0);
    let (mut end, mut stated, mut unfinished) = (None, None, false);
    if format == FORMAT_ID_FLAC {
        stated = track.num_frames.map(|frames| clock.seconds(frames));
    }
    if format == FORMAT_ID_OGG {
        unfinished = !ogg::is_finished(&mut &file);
    }
    if format == FORMAT_ID_ISOMP4 {
        let edit = mp4::edits(&mut BufReader::new(file))
            .get(&track.id)
            .copied()
            .unwrap_or_default();
        clock.origin = edit.start;
        end = edit.end;
        let whole = track
            .duration
            .and_then(|d| i64::try_from(d.get()).ok())
            .filter(|&ticks| ticks > 0);
        let played = whole.map(|whole| end.unwrap_or(whole).min(whole).saturating_sub(edit.start));
        stated = played
            .and_then(|ticks| u64::try_from(ticks).ok())
            .map(|ticks| clock.seconds(ticks));
    }
    let pre_skip = if parameters.codec == CODEC_ID_OPUS {
        opus::pre_skip(&parameters)
    } else {
        None
    };
    let packets = Box::new(ContainerPackets {
        reader,
        track: track.id,
    });
    Ok(Track {
        parameters,
        clock,
        pre_skip: pre_skip.unwrap_or(0),
        end,
        stated,
        unfinished,
        packets,
    })
}

struct ContainerPackets {
    reader: Box<dyn FormatReader>,
    track: u32,
}

impl Packets for ContainerPackets {
    fn next_packet(&mut self) -> Result<Option<Packet>, Fault> {
        loop {
            match self.reader.next_packet()? {
                Some(packet) if packet.track_id != self.track => {}
                packet => return Ok(packet),
            }
        }
    }
}
