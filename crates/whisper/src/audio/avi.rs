//! The sound of an AVI: MP3 or samples, in pieces between the pictures.
//!
//! ```text
//! RIFF 'AVI '  LIST 'hdrl'  LIST 'strl' { strh: what kind, strf: WAVEFORMATEX } ...
//!              LIST 'movi'  { 00dc: picture, 01wb: sound of stream 1, LIST 'rec ' { ... } } ...
//! RIFF 'AVIX'  LIST 'movi'  ...                   (OpenDML, past 1 GB)
//! ```
//! Lists are entered, all other chunks skipped, in one pass without seeking; the index is not used.

use std::io::{self, Read};

use super::decode::Found;
use super::track::Bytes;
use super::wave::WaveFormat;

/// A stream's header: 40 bytes and what a codec adds.
const MAX_HEADER: u64 = 64 * 1024;

/// The ids of chunks have two digits for the stream.
const MAX_STREAMS: usize = 100;

/// Whether `head`, the first bytes of a file, begins a file of this kind.
pub(super) fn recognises(head: &[u8]) -> bool {
    head.starts_with(b"RIFF") && head.get(8..12) == Some(b"AVI ")
}

/// Opens the `wanted`-th stream of sound, from 0.
pub(super) fn open(mut source: Bytes, wanted: usize) -> Result<Found, String> {
    let (mut streams, mut sounds) = (0, Vec::new());
    let mut is_sound = false;
    loop {
        let (id, length) = next_chunk(&mut source)?.ok_or("it ends before its first picture or sound")?;
        match &id {
            b"LIST" if length == MOVI_FOLLOWS => break,
            b"LIST" => {}
            b"strh" => {
                is_sound = body(&mut source, length)?.starts_with(b"auds");
                streams += 1;
            }
            b"strf" if is_sound => {
                sounds.push((streams - 1, WaveFormat::parse(&body(&mut source, length)?)?));
                is_sound = false;
            }
            _ => skip(&mut source, length)?,
        }
        if streams > MAX_STREAMS {
            return Err(format!("more than {MAX_STREAMS} streams"));
        }
    }
    let count = sounds.len();
    let Some((number, format)) = sounds.into_iter().nth(wanted) else {
        let problem = if count == 0 {
            "there is no audio track in it"
        } else {
            "there are fewer"
        };
        return Ok(Found {
            count,
            track: Err(problem.to_owned()),
        });
    };
    let id = format!("{number:02}wb").into_bytes();
    let pieces = Pieces {
        source,
        id: [id[0], id[1], id[2], id[3]],
        left: 0,
        padding: 0,
    };
    Ok(Found {
        count,
        track: format.track(Box::new(pieces), None, None),
    })
}

/// Stands for the length of the list that holds the sound.
const MOVI_FOLLOWS: u64 = u64::MAX;

/// Id and length of the next chunk. Lists are entered: their length is 0, that of `movi` [`MOVI_FOLLOWS`].
fn next_chunk(source: &mut dyn Read) -> Result<Option<([u8; 4], u64)>, String> {
    let mut header = [0; 8];
    if !fill(source, &mut header)? {
        return Ok(None);
    }
    let id = [header[0], header[1], header[2], header[3]];
    let length = u64::from(u32::from_le_bytes([header[4], header[5], header[6], header[7]]));
    if &id != b"LIST" && &id != b"RIFF" {
        return Ok(Some((id, length)));
    }
    let mut kind = [0; 4];
    if !fill(source, &mut kind)? {
        return Ok(None);
    }
    Ok(Some((*b"LIST", if &kind == b"movi" { MOVI_FOLLOWS } else { 0 })))
}

fn fill(source: &mut dyn Read, bytes: &mut [u8]) -> Result<bool, String> {
    match source.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(fault) if fault.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(fault) => Err(fault.to_string()),
    }
}

fn body(source: &mut dyn Read, length: u64) -> Result<Vec<u8>, String> {
    if length > MAX_HEADER {
        return Err(format!(
            "the header of a stream has {length} bytes; expected at most {MAX_HEADER}"
        ));
    }
    let mut body = Vec::new();
    source
        .take(length)
        .read_to_end(&mut body)
        .map_err(|fault| fault.to_string())?;
    skip(source, length % 2)?;
    Ok(body)
}

fn skip(source: &mut dyn Read, length: u64) -> Result<(), String> {
    io::copy(&mut source.take(length + length % 2), &mut io::sink())
        .map(drop)
        .map_err(|fault| fault.to_string())
}

/// The bytes of one stream, its pieces put together.
struct Pieces {
    source: Bytes,
    id: [u8; 4],
    /// Bytes left of this piece, and the padding behind it.
    left: u64,
    padding: u64,
}

impl Read for Pieces {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            skip_padding(&mut self.source, std::mem::take(&mut self.padding))?;
            match next_chunk(&mut self.source).map_err(io::Error::other)? {
                None => return Ok(0),
                Some((id, length)) if id == self.id => (self.left, self.padding) = (length, length % 2),
                Some((id, _)) if &id == b"LIST" => {}
                Some((_, length)) => skip(&mut self.source, length).map_err(io::Error::other)?,
            }
        }
        let read = self.source.by_ref().take(self.left).read(bytes)?;
        self.left -= read as u64;
        // A piece that the end of the file cuts short.
        self.left *= u64::from(read > 0 || bytes.is_empty());
        Ok(read)
    }
}

fn skip_padding(source: &mut dyn Read, bytes: u64) -> io::Result<()> {
    io::copy(&mut source.take(bytes), &mut io::sink()).map(drop)
}
