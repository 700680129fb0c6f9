//! WAVE in its three wrappings: RIFF, RF64 (also BW64; EBU Tech 3306, for more than 4 GB), and Sony's Wave64.
//!
//! A header says what it is, then chunks follow: an id, a length, that many bytes, padding. `fmt ` says how samples are
//! stored, `data` holds them, and of the rest only two matter: `ds64` has the true lengths of RF64, `fact` the number of
//! samples where a block may hold padding.

use std::io::{self, Read};

use symphonia::core::codecs::audio::AudioCodecId;
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_ADPCM_IMA_WAV, CODEC_ID_ADPCM_MS, CODEC_ID_PCM_ALAW, CODEC_ID_PCM_F32LE, CODEC_ID_PCM_F64LE,
    CODEC_ID_PCM_MULAW, CODEC_ID_PCM_S16LE, CODEC_ID_PCM_S24LE, CODEC_ID_PCM_S32LE, CODEC_ID_PCM_U8,
};

use super::mpeg;
use super::pcm::{self, Layout};
use super::track::{Bytes, Track};

/// Wave64 uses GUIDs as ids: four letters, then always the same twelve bytes; `riff` has twelve of its own.
const W64_RIFF: &[u8; 16] = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00";
const W64_HEADER: u64 = 24;

/// A `fmt ` chunk has 16 to 40 bytes, `ds64` 28 and a table; nothing we read is longer.
const MAX_CHUNK: u64 = 64 * 1024;

/// A length that says "written to a pipe, never filled in".
const UNKNOWN: u64 = u32::MAX as u64;

/// Whether `head`, the first bytes of a file, begins a file of this kind.
pub(super) fn recognises(head: &[u8]) -> bool {
    let riff = head.starts_with(b"RIFF") || head.starts_with(b"RF64") || head.starts_with(b"BW64");
    (riff && head.get(8..12) == Some(b"WAVE")) || head.starts_with(W64_RIFF)
}

/// Reads up to the first sample.
pub(super) fn open(mut source: Bytes) -> Result<Track, String> {
    let chunks = Chunks::begin(&mut source)?;
    let (mut format, mut long_data, mut frames) = (None, None, None);
    loop {
        let (id, length) = chunks.next(&mut source)?;
        match &id {
            b"fmt " => format = Some(WaveFormat::parse(&chunks.body(&mut source, length)?)?),
            b"ds64" => long_data = chunks.body(&mut source, length)?.get(8..16).and_then(u64_le),
            b"fact" => {
                let body = chunks.body(&mut source, length)?;
                let long = body.get(..8).filter(|_| chunks.w64).and_then(u64_le);
                frames = long
                    .or_else(|| body.get(..4).and_then(u32_le).map(u64::from))
                    .filter(|&frames| frames > 0);
            }
            b"data" => {
                let format = format.ok_or("its samples come before the chunk that describes them (fmt)")?;
                // Programs that write to a pipe leave 0 or all ones.
                let length = match (length, long_data) {
                    (UNKNOWN, Some(long)) => Some(long),
                    (0 | UNKNOWN, _) if !chunks.w64 => None,
                    (length, _) => Some(length),
                };
                return format.track(source, length, frames);
            }
            _ => chunks.skip(&mut source, length)?,
        }
    }
}

/// Walks over chunks, at most to the first one of samples.
struct Chunks {
    w64: bool,
}

impl Chunks {
    fn begin(source: &mut dyn Read) -> Result<Chunks, String> {
        let mut head = [0; 12];
        read(source, &mut head)?;
        let w64 = head[..4] == *b"riff";
        if w64 {
            // The rest of the GUID and of the length, then the GUID of "wave".
            skip(source, 4 + 8 + 16)?;
        }
        Ok(Chunks { w64 })
    }

    /// Id and length of the next chunk, the header not counted.
    fn next(&self, source: &mut dyn Read) -> Result<([u8; 4], u64), String> {
        let mut id = [0; 4];
        read(source, &mut id)?;
        if !self.w64 {
            let mut length = [0; 4];
            read(source, &mut length)?;
            return Ok((id, u64::from(u32::from_le_bytes(length))));
        }
        skip(source, 12)?;
        let mut length = [0; 8];
        read(source, &mut length)?;
        let length = u64::from_le_bytes(length)
            .checked_sub(W64_HEADER)
            .ok_or("a chunk is shorter than its own header")?;
        Ok((id, length))
    }

    /// Chunks begin at even places, those of Wave64 at multiples of eight.
    fn padding(&self, length: u64) -> u64 {
        let step = if self.w64 { 8 } else { 2 };
        (step - length % step) % step
    }

    fn body(&self, source: &mut dyn Read, length: u64) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        source
            .take(length.min(MAX_CHUNK))
            .read_to_end(&mut body)
            .map_err(|e| e.to_string())?;
        let rest = length.saturating_sub(body.len() as u64);
        skip(source, rest.saturating_add(self.padding(length)))?;
        Ok(body)
    }

    fn skip(&self, source: &mut dyn Read, length: u64) -> Result<(), String> {
        skip(source, length.saturating_add(self.padding(length)))
    }
}

fn read(source: &mut dyn Read, bytes: &mut [u8]) -> Result<(), String> {
    source.read_exact(bytes).map_err(|fault| match fault.kind() {
        io::ErrorKind::UnexpectedEof => "it ends before its first sample".to_owned(),
        _ => fault.to_string(),
    })
}

/// Skipping past the end is no error: the next read finds it.
fn skip(source: &mut dyn Read, bytes: u64) -> Result<(), String> {
    io::copy(&mut source.take(bytes), &mut io::sink())
        .map(drop)
        .map_err(|fault| fault.to_string())
}

/// `WAVEFORMATEX`: how samples are stored; used by AVI too.
pub(super) struct WaveFormat {
    tag: u16,
    channels: u16,
    rate: u32,
    block_bytes: u16,
    bits: u16,
}

const TAG_PCM: u16 = 1;
const TAG_ADPCM_MS: u16 = 2;
const TAG_FLOAT: u16 = 3;
const TAG_ALAW: u16 = 6;
const TAG_MULAW: u16 = 7;
const TAG_ADPCM_IMA: u16 = 0x11;
const TAG_MPEG: u16 = 0x50;
const TAG_MP3: u16 = 0x55;
const TAG_EXTENSIBLE: u16 = 0xfffe;

impl WaveFormat {
    pub(super) fn parse(body: &[u8]) -> Result<WaveFormat, String> {
        let u16_at = |at: usize| {
            body.get(at..at + 2)
                .and_then(u16_le)
                .ok_or("its fmt chunk is too short")
        };
        let rate = body.get(4..8).and_then(u32_le).ok_or("its fmt chunk is too short")?;
        let mut tag = u16_at(0)?;
        if tag == TAG_EXTENSIBLE {
            // The first two bytes of the GUID at 24 are a tag of the old kind.
            tag = u16_at(24)?;
        }
        Ok(WaveFormat {
            tag,
            channels: u16_at(2)?,
            rate,
            block_bytes: u16_at(12)?,
            bits: u16_at(14)?,
        })
    }

    /// A track of samples stored so; `bytes` and `frames` as in [`Layout::track`].
    pub(super) fn track(self, source: Bytes, bytes: Option<u64>, frames: Option<u64>) -> Result<Track, String> {
        if matches!(self.tag, TAG_MPEG | TAG_MP3) {
            return mpeg::open(Box::new(source.take(bytes.unwrap_or(u64::MAX))));
        }
        if let Some(block_frames) = self
            .adpcm_codec()
            .and_then(|c| pcm::adpcm_frames(c, self.block_bytes, self.channels))
        {
            let codec = self.adpcm_codec().ok_or("not ADPCM")?;
            let block_bytes = u64::from(self.block_bytes);
            let layout = Layout {
                codec,
                rate: self.rate,
                channels: self.channels,
                block_bytes,
                block_frames,
            };
            return layout.track(source, bytes, frames);
        }
        let (codec, sample_bytes) = self.plain_codec()?;
        Layout::plain(codec, sample_bytes, self.rate, self.channels).track(source, bytes, None)
    }

    fn adpcm_codec(&self) -> Option<AudioCodecId> {
        match self.tag {
            TAG_ADPCM_MS => Some(CODEC_ID_ADPCM_MS),
            TAG_ADPCM_IMA => Some(CODEC_ID_ADPCM_IMA_WAV),
            _ => None,
        }
    }

    /// Codec and bytes of one sample.
    fn plain_codec(&self) -> Result<(AudioCodecId, u16), String> {
        Ok(match (self.tag, self.bits) {
            (TAG_PCM, 1..=8) => (CODEC_ID_PCM_U8, 1),
            (TAG_PCM, 9..=16) => (CODEC_ID_PCM_S16LE, 2),
            (TAG_PCM, 17..=24) => (CODEC_ID_PCM_S24LE, 3),
            (TAG_PCM, 25..=32) => (CODEC_ID_PCM_S32LE, 4),
            (TAG_FLOAT, 32) => (CODEC_ID_PCM_F32LE, 4),
            (TAG_FLOAT, 64) => (CODEC_ID_PCM_F64LE, 8),
            (TAG_ALAW, 8) => (CODEC_ID_PCM_ALAW, 1),
            (TAG_MULAW, 8) => (CODEC_ID_PCM_MULAW, 1),
            (TAG_PCM | TAG_FLOAT | TAG_ALAW | TAG_MULAW, bits) => return Err(format!("{bits} bits a sample")),
            (tag, _) => {
                return Err(format!(
                    "its samples are coded in a way that we do not know (WAVE format {tag:#06x})"
                ));
            }
        })
    }
}

fn u16_le(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.try_into().ok()?))
}

fn u32_le(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

fn u64_le(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    const PCM_16: [u8; 16] = [1, 0, 1, 0, 0x80, 0x3e, 0, 0, 0, 0x7d, 0, 0, 2, 0, 16, 0];

    fn chunk(id: &[u8; 4], length: u32, body: &[u8]) -> Vec<u8> {
        [&id[..], &length.to_le_bytes(), body].concat()
    }

    fn frames(parts: &[Vec<u8>]) -> Result<u64, String> {
        let mut track = open(Box::new(Cursor::new(parts.concat())))?;
        let mut frames = 0;
        while let Some(packet) = track.packets.next_packet().map_err(|fault| fault.to_string())? {
            frames += packet.dur.get();
        }
        Ok(frames)
    }

    #[test]
    fn lengths_are_taken_from_the_right_place() {
        let (riff, rf64) = (chunk(b"RIFF", 0, b"WAVE"), chunk(b"RF64", u32::MAX, b"WAVE"));
        let format = chunk(b"fmt ", 16, &PCM_16);
        let data = |length| chunk(b"data", length, &[1; 100]);
        let long = chunk(b"ds64", 28, &[[0; 8], [40, 0, 0, 0, 0, 0, 0, 0], [0; 8]].concat());
        let odd = chunk(b"LIST", 3, b"odd\0");
        assert_eq!(frames(&[riff.clone(), format.clone(), data(60)]), Ok(30));
        assert_eq!(frames(&[riff.clone(), odd, format.clone(), data(60)]), Ok(30));
        // Written to a pipe, or more than there is: all there is.
        for length in [0, u32::MAX, 101, 1 << 31] {
            assert_eq!(frames(&[riff.clone(), format.clone(), data(length)]), Ok(50));
        }
        assert_eq!(
            frames(&[rf64, [long, vec![0; 4]].concat(), format.clone(), data(u32::MAX)]),
            Ok(20)
        );
        assert!(
            frames(&[riff.clone(), data(60), format.clone()])
                .unwrap_err()
                .contains("fmt")
        );
        assert!(frames(&[riff.clone(), format]).unwrap_err().contains("ends before"));
        assert!(
            frames(&[riff, chunk(b"fmt ", 4, &[1, 0, 1, 0])])
                .unwrap_err()
                .contains("too short")
        );
    }

    #[test]
    fn blocks_of_adpcm_hold_what_their_size_says() {
        assert_eq!(pcm::adpcm_frames(CODEC_ID_ADPCM_IMA_WAV, 512, 1), Some(1017));
        assert_eq!(pcm::adpcm_frames(CODEC_ID_ADPCM_MS, 1024, 2), Some(1012));
        assert_eq!(pcm::adpcm_frames(CODEC_ID_ADPCM_MS, 13, 2), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_read_or_refused(
            start in prop::sample::select(vec![
                &b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0"[..], b"RF64\0\0\0\0WAVEds64\x1c\0\0\0", W64_RIFF, b"",
            ]),
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let _ = frames(&[start.to_vec(), bytes.clone()]);
            let _ = super::super::au::open(Box::new(Cursor::new([b".snd".to_vec(), bytes.clone()].concat())));
            let start = b"RIFF\0\0\0\0AVI LIST\0\0\0\0hdrlstrh\x04\0\0\0audsstrf\x10\0\0\0";
            let file = [start.to_vec(), bytes.clone()].concat();
            let _ = super::super::avi::open(Box::new(Cursor::new(file)), 0);
            let file = [b"\0\0\xff\0moov\0\0\xff\0trak".to_vec(), bytes].concat();
            let _ = super::super::mp4::edits(&mut Cursor::new(&file));
            let _ = super::super::ogg::is_finished(&mut Cursor::new(&file));
        }
    }
}
