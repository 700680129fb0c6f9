//! What is inside the program, so that a fresh machine without any network can transcribe and measure: Whisper base in
//! 5 bits, and a recording.

#[cfg(target_os = "linux")]
use std::{fs, fs::File, io, ops::Range, os::unix::fs::FileExt};

use whisper::weights::Checkpoint;

/// The files of a checkpoint, in memory.
pub(crate) struct Bundled {
    config: &'static [u8],
    weights: &'static [u8],
}

impl Bundled {
    /// Opens the checkpoint.
    ///
    /// # Errors
    /// As for [`Checkpoint::open`].
    pub(crate) fn open(&self) -> whisper::Result<Checkpoint> {
        #[cfg(target_os = "linux")]
        if let Ok((file, weights)) = self.in_the_program() {
            return Checkpoint::from_part_of_file("bundled", self.config, file, weights);
        }
        Checkpoint::from_bytes("bundled", self.config, self.weights)
    }

    /// The program's file, and where the weights lie in it. Read from memory, all 51 MB of them would stay there.
    #[cfg(target_os = "linux")]
    fn in_the_program(&self) -> io::Result<(File, Range<u64>)> {
        let (start, len) = (self.weights.as_ptr().addr(), self.weights.len());
        // `start-end permissions offset device inode path`, see proc_pid_maps(5)
        let place = fs::read_to_string("/proc/self/maps")?.lines().find_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let (from, to) = fields.next()?.split_once('-')?;
            let [from, to] = [from, to].map(|address| usize::from_str_radix(address, 16).ok());
            let offset = u64::from_str_radix(fields.nth(1)?, 16).ok()?;
            (from? <= start && start + len <= to?).then_some(offset + (start - from?) as u64)
        });
        let place = place.ok_or(io::ErrorKind::NotFound)?;
        let file = File::open("/proc/self/exe")?;
        let mut first = [0; 4096];
        let first = &mut first[..len.min(4096)];
        file.read_exact_at(first, place)?;
        if !self.weights.starts_with(first) {
            return Err(io::ErrorKind::InvalidData.into()); // not our own file after all
        }
        Ok((file, place..place + len as u64))
    }
}

/// What was built in; nothing where `assets/` was absent (registry packages) or the feature `bundled` is off.
pub(crate) const BUNDLED: Option<Bundled> = built_in();

#[cfg(bundled_model)]
const fn built_in() -> Option<Bundled> {
    /// Aligned like any allocation of a tensor, so that reading costs the same wherever the linker puts the file.
    #[repr(C, align(64))]
    struct Aligned<Bytes: ?Sized>(Bytes);
    static WEIGHTS: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("BUNDLED_MODEL"), "/weights.safetensors")));

    Some(Bundled {
        config: include_bytes!(concat!(env!("BUNDLED_MODEL"), "/config.json")),
        weights: &WEIGHTS.0,
    })
}

#[cfg(not(bundled_model))]
const fn built_in() -> Option<Bundled> {
    None
}

/// Eleven seconds of speech, English, as FLAC; nothing where `samples/` was absent.
pub(crate) const RECORDING: Option<&[u8]> = recording();

/// What [`RECORDING`] is called, and what is said in it.
pub(crate) const RECORDING_NAME: &str = "jfk.flac";
pub(crate) const RECORDING_TEXT: &str =
    "And so, my fellow Americans: ask not what your country can do for you; ask what you can do for your country.";

#[cfg(bundled_recording)]
const fn recording() -> Option<&'static [u8]> {
    Some(include_bytes!(env!("BUNDLED_RECORDING")))
}

#[cfg(not(bundled_recording))]
const fn recording() -> Option<&'static [u8]> {
    None
}

#[cfg(all(test, bundled_model))]
mod tests {
    use super::*;

    #[test]
    fn is_aligned_and_whole() {
        let bundled = BUNDLED.unwrap();
        let Bundled { config, weights } = bundled;
        assert_eq!(weights.len(), 51_040_395);
        assert_eq!(weights.as_ptr().addr() % 64, 0);
        let config: serde_json::Value = serde_json::from_slice(config).unwrap();
        assert_eq!(config["quantization"]["bits"], 5);
        assert!(bundled.open().is_ok());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn is_found_in_the_program() {
        let bundled = BUNDLED.unwrap();
        let (file, place) = bundled.in_the_program().unwrap();
        let mut bytes = vec![0; bundled.weights.len()];
        file.read_exact_at(&mut bytes, place.start).unwrap();
        assert!(bytes == bundled.weights && place.end - place.start == bytes.len() as u64);
    }
}
