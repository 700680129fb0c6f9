//! MPEG audio (MP1, MP2, MP3) as a bare stream of frames, whose time must not slide where frames are lost.
//!
//! The stream has no clock: a frame's time is the number of frames before it. Symphonia finds the first frame and reads
//! the header that LAME writes; its own reader then skips what is broken without a trace and all that follows comes too
//! early. So frames are walked here: each says how long it is, and where the next one is not at its place, bytes are
//! counted until two frames in a row are, and turned into the frames they must have held.

use std::io::Read;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::formats::FormatReader;
use symphonia::core::io::{MediaSourceStream, ReadOnlySource};
use symphonia::core::packet::PacketBuilder;
use symphonia::core::units::{Duration, Timestamp};
use symphonia::default::formats::MpaReader;

use super::track::{Bytes, Clock, Fault, Packet, Packets, Track};

/// Longer than any frame: 384 kbit/s at 32 kHz in layer 2 is 1728 bytes, 160 kbit/s at 8 kHz 2880.
const MAX_FRAME: usize = 4096;

/// A stream of frames in another container.
pub(super) fn open(bytes: Bytes) -> Result<Track, String> {
    let stream = MediaSourceStream::new(Box::new(ReadOnlySource::new(bytes)), Default::default());
    match MpaReader::try_new(stream, Default::default()) {
        Ok(reader) => from_reader(Box::new(reader)),
        Err(fault) => Err(format!("no MPEG audio where there should be ({fault})")),
    }
}

/// Takes over from Symphonia's reader, which stands at the first frame of sound.
pub(super) fn from_reader(reader: Box<dyn FormatReader>) -> Result<Track, String> {
    let track = reader.tracks().first().ok_or("there is no audio track in it")?.clone();
    let Some(CodecParameters::Audio(parameters)) = track.codec_params else {
        return Err("there is no audio track in it".to_owned());
    };
    let rate = parameters.sample_rate.unwrap_or(0);
    // Without LAME's header the length is a guess.
    let frames = track.num_frames.filter(|_| track.delay.is_some());
    let end = frames.and_then(|frames| i64::try_from(frames).ok());
    Ok(Track {
        clock: Clock::samples(rate),
        pre_skip: 0,
        end,
        stated: frames.map(|frames| frames as f64 / f64::from(rate)),
        unfinished: false,
        packets: Box::new(MpegPackets {
            source: reader.into_inner(),
            window: Vec::new(),
            start: 0,
            source_ended: false,
            kind: None,
            time: -i64::from(track.delay.unwrap_or(0)),
            end,
            skipped: 0,
            frames: 0,
            frame_bytes: 0,
        }),
        parameters,
    })
}

struct MpegPackets {
    source: MediaSourceStream<'static>,
    /// Bytes read, those from `start` on not yet looked at.
    window: Vec<u8>,
    start: usize,
    source_ended: bool,
    /// What all headers of this stream have in common.
    kind: Option<u32>,
    /// Of the next frame, in samples.
    time: i64,
    end: Option<i64>,
    /// Bytes since the last frame that belong to none.
    skipped: u64,
    /// Frames so far, and their bytes.
    frames: u64,
    frame_bytes: u64,
}

impl Packets for MpegPackets {
    fn next_packet(&mut self) -> Result<Option<Packet>, Fault> {
        loop {
            self.fill()?;
            let window = &self.window[self.start..];
            let Some(frame) = Frame::read(window).filter(|frame| self.kind.is_none_or(|kind| frame.kind == kind))
            else {
                if window.len() < Frame::HEADER {
                    return Ok(None);
                }
                self.skip_byte();
                continue;
            };
            let Some(data) = window.get(..frame.bytes) else {
                // The file ends within a frame, or these four bytes only look like one.
                self.skip_byte();
                continue;
            };
            let in_step = self.kind.is_some() && self.skipped == 0;
            let next = &window[frame.bytes..];
            if !in_step && !next.is_empty() && Frame::read(next).is_none_or(|next| next.kind != frame.kind) {
                self.skip_byte();
                continue;
            }
            self.kind = Some(frame.kind);
            self.time = self.time.saturating_add(self.lost_samples(&frame));
            self.skipped = 0;
            self.frames += 1;
            self.frame_bytes += frame.bytes as u64;
            let packet = PacketBuilder::new()
                .track_id(0)
                .pts(Timestamp::new(self.time))
                .trimmed_dur(Duration::from(u64::from(frame.samples)), self.end.map(Timestamp::new))
                .data(data)
                .build();
            self.start += frame.bytes;
            self.time = self.time.saturating_add(i64::from(frame.samples));
            return Ok(Some(packet));
        }
    }
}

impl MpegPackets {
    /// Makes the window long enough for a frame and the header after it, where the file is.
    fn fill(&mut self) -> Result<(), Fault> {
        const ENOUGH: usize = MAX_FRAME + Frame::HEADER;
        if self.source_ended || self.window.len() - self.start >= ENOUGH {
            return Ok(());
        }
        self.window.drain(..std::mem::take(&mut self.start));
        let wanted = 4 * ENOUGH - self.window.len();
        let read = self.source.by_ref().take(wanted as u64).read_to_end(&mut self.window)?;
        self.source_ended = read < wanted;
        Ok(())
    }

    fn skip_byte(&mut self) {
        self.start += 1;
        self.skipped += 1;
    }

    /// Samples that the skipped bytes held, judged by the frames so far. Junk before the first frame held none.
    fn lost_samples(&self, frame: &Frame) -> i64 {
        if self.frames == 0 || self.skipped == 0 {
            return 0;
        }
        let lost = (self.skipped * self.frames + self.frame_bytes / 2) / self.frame_bytes;
        i64::try_from(lost)
            .unwrap_or(i64::MAX)
            .saturating_mul(i64::from(frame.samples))
    }
}

/// What a frame's header says (ISO 11172-3, 2.4.1.3 and 13818-3).
struct Frame {
    /// Version, layer and sample rate.
    kind: u32,
    bytes: usize,
    samples: u16,
}

impl Frame {
    const HEADER: usize = 4;

    /// Sync, version, layer, sample rate: the bits that stay the same within a stream.
    const KIND: u32 = 0xfffe_0c00;

    fn read(bytes: &[u8]) -> Option<Frame> {
        let header = u32::from_be_bytes(*bytes.first_chunk()?);
        if header >> 21 != 0x7ff {
            return None;
        }
        let bits = |at: u32, count: u32| header >> at & ((1 << count) - 1);
        // Version 1 halves for version 2 and quarters for 2.5.
        let version = match bits(19, 2) {
            0 => 2,
            2 => 1,
            3 => 0,
            _ => return None,
        };
        let rate = [44_100, 48_000, 32_000].get(bits(10, 2) as usize)? >> version;
        let low = version > 0;
        let layer = 4 - bits(17, 2);
        let kbits: [u16; 14] = match (layer, low) {
            (1, false) => [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
            (2, false) => [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
            (3, false) => [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
            (1, true) => [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
            (2 | 3, true) => [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
            _ => return None,
        };
        // Index 0 is "free", without a length; 15 is forbidden.
        let bits_a_second = 1000 * usize::from(*kbits.get((bits(12, 4) as usize).checked_sub(1)?)?);
        let padding = bits(9, 1) as usize;
        let (samples, bytes) = match (layer, low) {
            (1, _) => (384, (12 * bits_a_second / rate + padding) * 4),
            (3, true) => (576, 72 * bits_a_second / rate + padding),
            _ => (1152, 144 * bits_a_second / rate + padding),
        };
        (bytes > Frame::HEADER && bytes <= MAX_FRAME).then_some(Frame {
            kind: header & Frame::KIND,
            bytes,
            samples,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_how_long_a_frame_is() {
        // Length: samples / 8 * bit rate / sample rate, in whole slots.
        for (header, bytes, samples) in [
            ([0xff, 0xfb, 0x90, 0x64], 417, 1152), // MPEG-1 layer 3, 128 at 44100
            ([0xff, 0xfb, 0x92, 0x64], 418, 1152), // the same with padding
            ([0xff, 0xf3, 0x48, 0xc4], 144, 576),  // MPEG-2 layer 3, 32 at 16000
            ([0xff, 0xe3, 0x28, 0xc4], 144, 576),  // MPEG-2.5 layer 3, 16 at 8000
            ([0xff, 0xfd, 0x80, 0x04], 417, 1152), // MPEG-1 layer 2, 128 at 44100
            ([0xff, 0xff, 0x10, 0x04], 32, 384),   // MPEG-1 layer 1, 32 at 44100
        ] {
            let frame = Frame::read(&header).unwrap();
            assert_eq!((frame.bytes, frame.samples), (bytes, samples), "{header:x?}");
        }
    }

    #[test]
    fn what_is_no_header_is_none() {
        for header in [
            [0xff, 0xdb, 0x90, 0x64], // no sync
            [0xff, 0xeb, 0x90, 0x64], // no such version
            [0xff, 0xf9, 0x90, 0x64], // no such layer
            [0xff, 0xfb, 0x00, 0x64], // free bit rate: no length
            [0xff, 0xfb, 0xf0, 0x64], // no such bit rate
            [0xff, 0xfb, 0x9c, 0x64], // no such sample rate
        ] {
            assert!(Frame::read(&header).is_none(), "{header:x?}");
        }
        assert!(Frame::read(&[0xff, 0xfb, 0x90]).is_none());
    }
}
