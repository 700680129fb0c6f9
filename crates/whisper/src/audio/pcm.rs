//! Samples that lie in a file one after the other, cut into packets: what WAVE, Wave64 and AU hold.

use std::io::Read;

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_ADPCM_IMA_WAV, CODEC_ID_ADPCM_MS};
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters};
use symphonia::core::units::{Duration, Timestamp};

use super::decode::{check_channels, check_rate};
use super::track::{Bytes, Clock, Fault, Packet, Packets, Track};

/// Bytes of a packet, about.
const PACKET_BYTES: u64 = 16 * 1024;

/// How samples are stored.
pub(super) struct Layout {
    pub(super) codec: AudioCodecId,
    pub(super) rate: u32,
    pub(super) channels: u16,
    /// The smallest piece that can be decoded by itself: one sample of every channel, or a block of ADPCM.
    pub(super) block_bytes: u64,
    pub(super) block_frames: u64,
}

impl Layout {
    /// One sample of `bytes` bytes a channel.
    pub(super) fn plain(codec: AudioCodecId, bytes: u16, rate: u32, channels: u16) -> Layout {
        Layout {
            codec,
            rate,
            channels,
            block_bytes: u64::from(bytes) * u64::from(channels),
            block_frames: 1,
        }
    }

    /// A track of these samples, read from `source`.
    ///
    /// `bytes`: how many there are, where the file says it; else all that come. `frames`: the same in samples a
    /// channel, where the last block holds padding.
    pub(super) fn track(self, source: Bytes, bytes: Option<u64>, frames: Option<u64>) -> Result<Track, String> {
        check_rate(self.rate)?;
        check_channels(usize::from(self.channels))?;
        if self.block_bytes == 0 || self.block_frames == 0 {
            return Err("0 bits a sample; expected 8 to 64".to_owned());
        }
        let blocks = (PACKET_BYTES / self.block_bytes).max(1);
        let mut parameters = AudioCodecParameters::new();
        parameters
            .for_codec(self.codec)
            .with_sample_rate(self.rate)
            .with_channels(Channels::Discrete(self.channels))
            .with_max_frames_per_packet(blocks * self.block_frames)
            .with_frames_per_block(self.block_frames);
        let held = bytes.map(|bytes| (bytes / self.block_bytes).saturating_mul(self.block_frames));
        let frames = match (frames, held) {
            (Some(frames), Some(held)) => Some(frames.min(held)),
            (one, other) => one.or(other),
        };
        Ok(Track {
            clock: Clock::samples(self.rate),
            pre_skip: 0,
            end: frames.and_then(|frames| i64::try_from(frames).ok()),
            stated: frames.map(|frames| frames as f64 / f64::from(self.rate)),
            unfinished: false,
            packets: Box::new(PcmPackets {
                packet_bytes: blocks * self.block_bytes,
                source: source.take(bytes.unwrap_or(u64::MAX)),
                layout: self,
                next: 0,
            }),
            parameters,
        })
    }
}

/// Frames a block of 4-bit ADPCM holds: a header with `header_frames` samples of each channel, then two a byte.
pub(super) fn adpcm_frames(codec: AudioCodecId, block_bytes: u16, channels: u16) -> Option<u64> {
    let (header, header_frames) = match codec {
        CODEC_ID_ADPCM_MS => (7, 2),
        CODEC_ID_ADPCM_IMA_WAV => (4, 1),
        _ => return None,
    };
    let data = u64::from(block_bytes).checked_sub(header * u64::from(channels))?;
    Some(2 * data / u64::from(channels.max(1)) + header_frames)
}

struct PcmPackets {
    source: std::io::Take<Bytes>,
    layout: Layout,
    packet_bytes: u64,
    /// The frame that comes next.
    next: u64,
}

impl Packets for PcmPackets {
    fn next_packet(&mut self) -> Result<Option<Packet>, Fault> {
        let mut data = Vec::new();
        self.source.by_ref().take(self.packet_bytes).read_to_end(&mut data)?;
        // A piece of a block at the end cannot be decoded.
        let blocks = data.len() as u64 / self.layout.block_bytes;
        if blocks == 0 {
            return Ok(None);
        }
        data.truncate(usize::try_from(blocks * self.layout.block_bytes).unwrap_or(usize::MAX));
        let frames = blocks * self.layout.block_frames;
        let time = i64::try_from(self.next).map_err(|_| Fault::LimitError("longer than time itself"))?;
        self.next += frames;
        Ok(Some(Packet::new(0, Timestamp::new(time), Duration::new(frames), data)))
    }
}
