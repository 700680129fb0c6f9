//! Where the sound of an MP4 begins: its edit lists, which Symphonia does not read.
//!
//! AAC encoders put 20 ms and more of nothing before the sound, and an edit list says from where to play. Only the boxes
//! on the way to it are read: `moov/mvhd`, and of every `trak` the `tkhd`, `edts/elst` and `mdia/mdhd`
//! (ISO 14496-12, 8.6.6).

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};

/// What to play of a track, in its own ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Edit {
    /// The tick that plays first; negative where silence comes before tick 0.
    pub(super) start: i64,
    /// The tick that is not played any more.
    pub(super) end: Option<i64>,
}

/// The edits of all tracks, by the tracks' ids. Tracks without one, with several, or unreadable, are left out.
pub(super) fn edits<F: Read + Seek>(file: &mut F) -> HashMap<u32, Edit> {
    let mut found = Found::default();
    let whole = file.seek(SeekFrom::End(0)).unwrap_or(0);
    // What cannot be read is as if it were not there: Symphonia says what is wrong with the file.
    let _ = found.walk(file, 0..whole, 0);
    found.finish_track();
    found
        .tracks
        .iter()
        .filter_map(|track| Some((track.id?, track.edit(found.movie_scale)?)))
        .collect()
}

#[derive(Default)]
struct Found {
    movie_scale: u32,
    tracks: Vec<Track>,
    track: Track,
}

#[derive(Default)]
struct Track {
    id: Option<u32>,
    scale: u32,
    /// Length in ticks of the movie, first tick (-1: silence).
    entries: Vec<(u64, i64)>,
}

/// Boxes nest four deep on our way, and a file has a few hundred of them before its sound.
const MAX_DEPTH: usize = 4;
const MAX_TRACKS: usize = 64;
const MAX_BODY: u64 = 4096;

impl Found {
    fn walk<F: Read + Seek>(&mut self, file: &mut F, span: std::ops::Range<u64>, depth: usize) -> std::io::Result<()> {
        let mut at = span.start;
        while at.saturating_add(8) <= span.end && self.tracks.len() < MAX_TRACKS {
            file.seek(SeekFrom::Start(at))?;
            let mut header = [0; 8];
            file.read_exact(&mut header)?;
            let short = u64::from(u32::from_be_bytes([header[0], header[1], header[2], header[3]]));
            let (head, size) = match short {
                0 => (8, span.end - at),
                1 => {
                    let mut long = [0; 8];
                    file.read_exact(&mut long)?;
                    (16, u64::from_be_bytes(long))
                }
                size => (8, size),
            };
            let end = at.saturating_add(size).min(span.end);
            if size < head || at + head > end {
                return Ok(());
            }
            let body = at + head..end;
            match &header[4..] {
                b"moov" | b"edts" | b"mdia" if depth < MAX_DEPTH => self.walk(file, body, depth + 1)?,
                b"trak" if depth < MAX_DEPTH => {
                    self.walk(file, body, depth + 1)?;
                    self.finish_track();
                }
                kind @ (b"mvhd" | b"tkhd" | b"mdhd" | b"elst") => {
                    let mut bytes = Vec::new();
                    file.by_ref()
                        .take((body.end - body.start).min(MAX_BODY))
                        .read_to_end(&mut bytes)?;
                    self.read(kind, &bytes);
                }
                _ => {}
            }
            at = end;
        }
        Ok(())
    }

    fn finish_track(&mut self) {
        self.tracks.push(std::mem::take(&mut self.track));
    }

    fn read(&mut self, kind: &[u8], body: &[u8]) -> Option<()> {
        // Version 1 has 64-bit times: two dates come before what we want.
        let long = *body.first()? == 1;
        let dates = if long { 20 } else { 12 };
        match kind {
            b"mvhd" => self.movie_scale = u32_at(body, dates)?,
            b"mdhd" => self.track.scale = u32_at(body, dates)?,
            b"tkhd" => self.track.id = Some(u32_at(body, dates)?),
            _ => {
                let size = if long { 20 } else { 12 };
                let count = u32_at(body, 4)? as usize;
                for entry in body.get(8..)?.chunks_exact(size).take(count) {
                    self.track.entries.push(if long {
                        (u64_at(entry, 0)?, u64_at(entry, 8)?.cast_signed())
                    } else {
                        (u64::from(u32_at(entry, 0)?), i64::from(u32_at(entry, 4)?.cast_signed()))
                    });
                }
            }
        }
        Some(())
    }
}

impl Track {
    /// Silence first, then one stretch: all that recorders and muxers write. Real cuts are played as if they were not.
    fn edit(&self, movie_scale: u32) -> Option<Edit> {
        let (&(length, start), silences) = self.entries.split_last()?;
        if start < 0 || silences.iter().any(|&(_, tick)| tick >= 0) {
            return None;
        }
        let ticks = |length: u64| {
            let ticks = u128::from(length) * u128::from(self.scale) / u128::from(movie_scale.max(1));
            i64::try_from(ticks).unwrap_or(i64::MAX)
        };
        let silence = silences
            .iter()
            .fold(0_i64, |sum, &(length, _)| sum.saturating_add(ticks(length)));
        // A fragmented file writes 0: until its end. The end is rounded to the movie's coarse ticks.
        let end = (length > 0).then(|| start.saturating_add(ticks(length)));
        Some(Edit {
            start: start.saturating_sub(silence),
            end,
        })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
