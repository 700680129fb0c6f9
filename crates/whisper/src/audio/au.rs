//! Sun's `.au`, as NeXT and Java wrote it: six big-endian words, a comment, samples.

use std::io::{self, Read};

use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_PCM_ALAW, CODEC_ID_PCM_F32BE, CODEC_ID_PCM_F64BE, CODEC_ID_PCM_MULAW, CODEC_ID_PCM_S8, CODEC_ID_PCM_S16BE,
    CODEC_ID_PCM_S24BE, CODEC_ID_PCM_S32BE,
};

use super::pcm::Layout;
use super::track::{Bytes, Track};

/// Words of the header: magic, place of the samples, their bytes, encoding, rate, channels.
const HEADER: usize = 24;

/// Whether `head`, the first bytes of a file, begins a file of this kind.
pub(super) fn recognises(head: &[u8]) -> bool {
    head.starts_with(b".snd")
}

/// Reads up to the first sample.
pub(super) fn open(mut source: Bytes) -> Result<Track, String> {
    let mut header = [0; HEADER];
    source
        .read_exact(&mut header)
        .map_err(|_| "it ends before its first sample")?;
    let word = |n: usize| u32::from_be_bytes([header[4 * n], header[4 * n + 1], header[4 * n + 2], header[4 * n + 3]]);
    let (place, bytes, encoding, rate) = (word(1), word(2), word(3), word(4));
    let channels = u16::try_from(word(5)).unwrap_or(u16::MAX);
    let (codec, sample_bytes) = match encoding {
        1 => (CODEC_ID_PCM_MULAW, 1),
        2 => (CODEC_ID_PCM_S8, 1),
        3 => (CODEC_ID_PCM_S16BE, 2),
        4 => (CODEC_ID_PCM_S24BE, 3),
        5 => (CODEC_ID_PCM_S32BE, 4),
        6 => (CODEC_ID_PCM_F32BE, 4),
        7 => (CODEC_ID_PCM_F64BE, 8),
        27 => (CODEC_ID_PCM_ALAW, 1),
        _ => {
            return Err(format!(
                "its samples are coded in a way that we do not know (AU encoding {encoding})"
            ));
        }
    };
    let comment = u64::from(place).saturating_sub(HEADER as u64);
    io::copy(&mut source.by_ref().take(comment), &mut io::sink()).map_err(|fault| fault.to_string())?;
    // All ones: written to a pipe, length unknown.
    let bytes = (bytes != u32::MAX).then_some(u64::from(bytes));
    Layout::plain(codec, sample_bytes, rate, channels).track(source, bytes, None)
}
