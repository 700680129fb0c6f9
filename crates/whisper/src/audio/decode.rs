//! One track of a recording to mono samples at its own rate, each at its time.
//!
//! Packets say when they are to be heard. As long as that is where the samples before them end, samples are passed on;
//! where packets are missing or cannot be decoded, silence takes their place, so that nothing after them is early. Sound
//! before time 0 is the delay of an encoder and dropped.

use std::ffi::OsStr;
use std::io::{BufReader, Read};
use std::path::Path;

use symphonia::core::codecs::audio::AudioDecoder;

use super::input::Input;
use super::track::{Bytes, Fault, Packet, Track};
use super::{AudioOptions, Warning, au, avi, container, ffmpeg, wave};

/// Sample rates we take. Files that claim another are broken, and would make the resampler allocate what they say.
const RATES: std::ops::RangeInclusive<u32> = 1_000..=768_000;

const MAX_CHANNELS: usize = 64;

pub(super) fn check_rate(rate: u32) -> Result<(), String> {
    if RATES.contains(&rate) {
        return Ok(());
    }
    Err(format!(
        "a sample rate of {rate} Hz; expected {} to {} Hz",
        RATES.start(),
        RATES.end()
    ))
}

pub(super) fn check_channels(channels: usize) -> Result<(), String> {
    if (1..=MAX_CHANNELS).contains(&channels) {
        return Ok(());
    }
    Err(format!("{channels} channels; expected 1 to {MAX_CHANNELS}"))
}

/// Times nearer than this are the same: Matroska rounds to 1 ms, browsers stamp packets when they get to it. Packets
/// that can be lost are longer.
const TOLERANCE: f64 = 0.010;

/// A jump in time longer than this, forward or back, is a broken clock: what follows is joined on.
const MAX_GAP: f64 = 600.0;

/// Broken places that a container may report.
const MAX_FAULTS: u32 = 100;

/// Silence put in for what is missing, over a whole recording; after that, what follows is joined on.
const MAX_SILENCE: f64 = 6.0 * 3600.0;

/// Where a recording has several tracks, each is heard for this long to find the first that has sound.
const HEARING: f64 = 300.0;

/// Louder than this (-80 dB) is sound.
const AUDIBLE: f32 = 1e-4;

/// A track on its way to mono samples.
pub(super) struct Decoder {
    track: Track,
    codec: Box<dyn AudioDecoder>,
    /// From 0; `None` is the mean of all.
    channel: Option<usize>,
    rate: u32,
    /// Samples given so far.
    position: i64,
    /// What is added to the time of a packet, after its clock has jumped.
    shift: i64,
    /// Where the last packet ends that could not be decoded.
    failed_until: i64,
    /// Between missing packets and the first that can be decoded after them.
    in_gap: bool,
    /// What is to be given next: silence, then `mono`.
    silence: usize,
    mono_waits: bool,
    mono: Vec<f32>,
    interleaved: Vec<f32>,
    ended: bool,
    started: bool,
    damage: Damage,
}

/// What was wrong so far, in samples.
#[derive(Default)]
struct Damage {
    gaps: u64,
    first_gap: i64,
    missing: i64,
    not_numbers: u64,
    packets: u64,
    faults: u32,
    /// Why reading stopped before the end.
    broken: Option<String>,
}

impl Decoder {
    /// Opens the track that `options` ask for, else the first that has sound.
    pub(super) fn open(input: &Input, name: &Path, options: &AudioOptions) -> Result<Decoder, String> {
        let open = |n| -> Result<(usize, Result<Decoder, String>), String> {
            let found = find_track(input, name, n, options)?;
            Ok((
                found.count,
                found.track.and_then(|track| Decoder::start(track, options)),
            ))
        };
        if let Some(number) = options.track {
            let n = number.checked_sub(1).ok_or("audio tracks are counted from 1")?;
            return open(n)
                .and_then(|(_, track)| track)
                .map_err(|fault| format!("audio track {number}: {fault}"));
        }
        let (count, first) = open(0)?;
        let heard = |n: &usize| open(*n).is_ok_and(|(_, track)| track.is_ok_and(|mut track| track.has_sound()));
        match (0..count).filter(|_| count > 1).find(heard) {
            Some(n) if n > 0 => open(n)?.1,
            _ => first,
        }
    }

    fn start(track: Track, options: &AudioOptions) -> Result<Decoder, String> {
        let codec = container::decoder(&track).map_err(|fault| format!("we cannot decode its sound ({fault})"))?;
        let rate = track.parameters.sample_rate.unwrap_or(0);
        check_rate(rate)?;
        let channel = match options.channel {
            Some(0) => return Err("channels are counted from 1".to_owned()),
            channel => channel.map(|number| number - 1),
        };
        let mut decoder = Decoder {
            track,
            codec,
            channel,
            rate,
            position: 0,
            shift: 0,
            failed_until: 0,
            in_gap: false,
            silence: 0,
            mono_waits: false,
            mono: Vec::new(),
            interleaved: Vec::new(),
            ended: false,
            started: false,
            damage: Damage::default(),
        };
        // Up to the first sound: what is all broken is no recording, and only the decoder knows the true sample rate.
        while !decoder.started && !decoder.ended {
            decoder.step()?;
        }
        if !decoder.started && decoder.damage.packets > 0 {
            return Err("nothing in it can be decoded".to_owned());
        }
        Ok(decoder)
    }

    /// Samples a second.
    pub(super) fn sample_rate(&self) -> u32 {
        self.rate
    }

    /// Seconds that the file says it holds.
    pub(super) fn stated(&self) -> Option<f64> {
        self.track.stated
    }

    /// Seconds given so far.
    pub(super) fn seconds(&self) -> f64 {
        self.position as f64 / f64::from(self.rate)
    }

    /// The next samples; `None` at the end.
    pub(super) fn next_chunk(&mut self) -> Result<Option<&[f32]>, String> {
        loop {
            if self.silence > 0 {
                let n = self.silence.min(self.rate as usize);
                self.silence -= n;
                self.position += i64::try_from(n).unwrap_or(0);
                self.interleaved.clear();
                self.interleaved.resize(n, 0.0);
                return Ok(Some(&self.interleaved));
            }
            if std::mem::take(&mut self.mono_waits) {
                self.position += i64::try_from(self.mono.len()).unwrap_or(0);
                return Ok(Some(&self.mono));
            }
            if self.ended {
                return Ok(None);
            }
            self.step()?;
        }
    }

    /// What was wrong with what has been read.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        let seconds = |samples: i64| samples as f64 / f64::from(self.rate);
        let mut warnings = Vec::new();
        if let Some(problem) = &self.damage.broken {
            warnings.push(Warning::Broken {
                at: self.seconds(),
                problem: problem.clone(),
            });
        }
        if let Some(stated) = self
            .track
            .stated
            .filter(|stated| self.ended && stated - self.seconds() > 0.1)
        {
            warnings.push(Warning::Truncated {
                stated,
                read: self.seconds(),
            });
        }
        if self.ended && self.track.unfinished {
            warnings.push(Warning::Unfinished { read: self.seconds() });
        }
        if self.damage.gaps > 0 {
            warnings.push(Warning::Gaps {
                count: self.damage.gaps,
                first: seconds(self.damage.first_gap),
                missing: seconds(self.damage.missing),
            });
        }
        if self.damage.not_numbers > 0 {
            warnings.push(Warning::NotNumbers {
                samples: self.damage.not_numbers,
            });
        }
        if self.ended && self.position == 0 {
            warnings.push(Warning::Empty);
        }
        warnings
    }

    fn has_sound(&mut self) -> bool {
        while self.seconds() < HEARING {
            match self.next_chunk() {
                Ok(Some(samples)) if samples.iter().any(|x| x.abs() > AUDIBLE) => return true,
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return false,
            }
        }
        false
    }

    /// Reads a packet; leaves what is to be given in `silence` and `mono`.
    fn step(&mut self) -> Result<(), String> {
        let packet = match self.track.packets.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => return self.end(None),
            Err(Fault::IoError(fault)) if fault.kind() == std::io::ErrorKind::UnexpectedEof => return self.end(None),
            Err(Fault::IoError(fault)) => return Err(fault.to_string()),
            // Most containers find their way again after a broken place; one that does not says so for ever.
            Err(Fault::DecodeError(_)) if self.damage.faults < MAX_FAULTS => {
                self.damage.faults += 1;
                return Ok(());
            }
            Err(fault) => return self.end(Some(fault)),
        };
        self.damage.packets += 1;
        if self.damage.packets == 1 && self.time(&packet) == 0 {
            self.shift = -i64::from(self.track.pre_skip);
        }
        if self.time(&packet) - self.position > self.samples(TOLERANCE) && !self.in_gap {
            // What the codec remembers is not what came before this packet. Once: it may take several packets to begin.
            self.codec.reset();
            self.in_gap = true;
        }
        match self.codec.decode(&packet) {
            Ok(sound) if sound.frames() == 0 => Ok(()),
            Ok(sound) => {
                let (channels, rate) = (sound.spec().channels().count(), sound.spec().rate());
                self.interleaved.clear();
                sound.copy_to_vec_interleaved(&mut self.interleaved);
                self.in_gap = false;
                if self.started && rate != self.rate {
                    return self.end(Some(Fault::Unsupported("its sample rate changes")));
                }
                self.check_format(channels, rate)?;
                self.damage.not_numbers += mix(&self.interleaved, channels, self.channel, &mut self.mono);
                self.place(&packet);
                Ok(())
            }
            Err(Fault::DecodeError(_) | Fault::IoError(_)) => {
                let end = packet.pts.saturating_add(packet.dur).get();
                self.failed_until = self.track.clock.sample_at(end, self.rate) + self.shift;
                Ok(())
            }
            Err(fault) => self.end(Some(fault)),
        }
    }

    /// Only the decoder knows the true rate and channels.
    fn check_format(&mut self, channels: usize, rate: u32) -> Result<(), String> {
        check_rate(rate)?;
        check_channels(channels)?;
        if let Some(channel) = self.channel.filter(|&channel| channel >= channels) {
            return Err(format!("channel {} is asked for, and it has {channels}", channel + 1));
        }
        self.rate = rate;
        self.started = true;
        Ok(())
    }

    /// Puts `mono` at the time of its packet.
    fn place(&mut self, packet: &Packet) {
        let mut start = self.time(packet);
        if start < 0 && self.position == 0 {
            let before = usize::try_from(-start).unwrap_or(usize::MAX).min(self.mono.len());
            self.mono.drain(..before);
            start = 0;
        }
        let mut gap = start - self.position;
        if gap.abs() > self.samples(MAX_GAP) || self.damage.missing + gap > self.samples(MAX_SILENCE) {
            self.shift -= gap;
            gap = 0;
        }
        if gap > self.samples(TOLERANCE) && !self.mono.is_empty() {
            self.miss(gap);
        }
        if let Some(end) = self.track.end {
            let given = self.position + i64::try_from(self.silence).unwrap_or(0);
            let left = self.track.clock.sample_at(end, self.rate) + self.shift - given;
            self.mono.truncate(usize::try_from(left.max(0)).unwrap_or(usize::MAX));
        }
        self.mono_waits = !self.mono.is_empty();
    }

    fn miss(&mut self, samples: i64) {
        self.silence = usize::try_from(samples).unwrap_or(0);
        // Sound that begins late is not damaged.
        if self.position > 0 {
            self.damage.first_gap = if self.damage.gaps == 0 {
                self.position
            } else {
                self.damage.first_gap
            };
            self.damage.gaps += 1;
            self.damage.missing += samples;
        }
    }

    fn end(&mut self, fault: Option<Fault>) -> Result<(), String> {
        self.ended = true;
        self.damage.broken = fault.map(|fault| fault.to_string());
        let gap = self.failed_until - self.position;
        if gap > self.samples(TOLERANCE) && gap < self.samples(MAX_GAP) && self.started {
            self.miss(gap);
        }
        Ok(())
    }

    /// The sample at which a packet's sound begins.
    fn time(&self, packet: &Packet) -> i64 {
        let tick = packet.pts.saturating_add(packet.trim_start).get();
        self.track.clock.sample_at(tick, self.rate) + self.shift
    }

    #[expect(clippy::cast_possible_truncation, reason = "hours at 768 kHz fit")]
    fn samples(&self, seconds: f64) -> i64 {
        (seconds * f64::from(self.rate)) as i64
    }
}

/// Replaces `mono` by one channel, or the mean of all; a single one stays bit for bit as it is within -1..1, where
/// mlx_whisper clips too. Returns how many values were no numbers: they become 0.
fn mix(interleaved: &[f32], channels: usize, channel: Option<usize>, mono: &mut Vec<f32>) -> u64 {
    let mut not_numbers = 0;
    let mut clean = |x: f32| {
        not_numbers += u64::from(!x.is_finite());
        if x.is_finite() { x.clamp(-1.0, 1.0) } else { 0.0 }
    };
    let frames = interleaved.chunks_exact(channels);
    mono.clear();
    match channel {
        Some(channel) => mono.extend(frames.map(|frame| clean(frame[channel]))),
        None => mono.extend(frames.map(|frame| frame.iter().map(|&x| clean(x)).sum::<f32>() / channels as f32)),
    }
    not_numbers
}

/// The first bytes of a file, enough to tell what it is.
const HEAD: u64 = 256;

/// An audio track that was looked for.
pub(super) struct Found {
    /// How many the file has.
    pub(super) count: usize,
    pub(super) track: Result<Track, String>,
}

/// Opens the `wanted`-th audio track, from 0. The content of the file decides how.
fn find_track(input: &Input, name: &Path, wanted: usize, options: &AudioOptions) -> Result<Found, String> {
    let file = || input.file().map_err(|fault| fault.to_string());
    let bytes = || file().map(|file| -> Bytes { Box::new(BufReader::new(file)) });
    let mut head = Vec::new();
    file()?
        .take(HEAD)
        .read_to_end(&mut head)
        .map_err(|fault| fault.to_string())?;
    if head.is_empty() {
        return Err("the file is empty".to_owned());
    }
    if avi::recognises(&head) {
        return avi::open(bytes()?, wanted);
    }
    let only = |track| {
        Ok(Found {
            count: 1,
            track: if wanted == 0 {
                track
            } else {
                Err("it has only one".to_owned())
            },
        })
    };
    if wave::recognises(&head) {
        return only(wave::open(bytes()?));
    }
    if au::recognises(&head) {
        return only(au::open(bytes()?));
    }
    let ask_ffmpeg = |what: &str| {
        if options.ffmpeg {
            ffmpeg::open(OsStr::new("ffmpeg"), input.path(), wanted, what)
        } else {
            Err(format!("it is {what}, which needs ffmpeg, and that is not allowed"))
        }
    };
    if let Some(what) = ffmpeg::recognises(&head) {
        return Ok(Found {
            count: 1,
            track: ask_ffmpeg(what),
        });
    }
    let reader = container::probe(file()?, name)
        .map_err(|fault| format!("it is not a recording in any format that we know ({fault})"))?;
    let format = reader.format_info().long_name;
    let mut found = container::open(reader, file()?, wanted);
    if found
        .track
        .as_ref()
        .is_ok_and(|track| container::decoder(track).is_err())
    {
        found.track = ask_ffmpeg(&format!("{format} with a codec that is none of ours"));
    }
    Ok(found)
}
