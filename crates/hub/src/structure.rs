//! Whether a file has the shape of what its name says: catches cut-off files and error pages in microseconds, without a hash.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::tree::read_small;

const MAX_CONFIG: u64 = 1 << 20;
const MAX_HEADER: u64 = 100_000_000; // the limit of the safetensors format
const MAX_DIRECTORY: u64 = 64 << 20; // bytes; an archive of a Whisper has some 100 KB

/// Checks a file by the extension of `name`; what cannot be checked passes.
///
/// # Errors
/// One sentence: what was expected, what was found.
pub(crate) fn check(name: &str, path: &Path) -> Result<(), String> {
    let result = match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("json") => json(path),
        Some("safetensors") => File::open(path)
            .map_err(told)
            .and_then(|mut file| safetensors(&mut file)),
        Some("npz") => File::open(path).map_err(told).and_then(|mut file| npz(&mut file)),
        _ => Ok(()),
    };
    result.map_err(|reason| {
        if starts_like_a_page(path) {
            format!("{reason}: the file is a web page")
        } else {
            reason
        }
    })
}

fn json(path: &Path) -> Result<(), String> {
    let bytes = read_small(path, MAX_CONFIG).map_err(told)?;
    match serde_json::from_slice(&bytes) {
        Ok(serde_json::Value::Object(_)) => Ok(()),
        Ok(_) => Err("expected a JSON object, found another value".into()),
        Err(error) => Err(format!(
            "expected a JSON object, but line {} column {} is not JSON",
            error.line(),
            error.column()
        )),
    }
}

/// Length of the header, header, data: the tensors must fill the data exactly.
fn safetensors(file: &mut File) -> Result<(), String> {
    let len = file.metadata().map_err(told)?.len();
    let mut prefix = [0; 8];
    file.read_exact(&mut prefix)
        .map_err(|_| format!("expected a safetensors header, found {len} bytes"))?;
    let header_len = u64::from_le_bytes(prefix);
    let room = len.saturating_sub(8).min(MAX_HEADER);
    if header_len > room {
        return Err(format!(
            "the safetensors header should have {header_len} bytes, but there is room for {room}"
        ));
    }
    let mut header = vec![0; usize::try_from(header_len).map_err(|_| "the header is too large".to_owned())?];
    file.read_exact(&mut header).map_err(told)?;
    let Extent { end, filled } = serde_json::from_slice(&header)
        .map_err(|error| format!("the safetensors header is damaged at byte {}", 8 + error.column()))?;
    let data = len - 8 - header_len;
    match end.cmp(&data) {
        std::cmp::Ordering::Greater => Err(format!("cut off: the tensors need {end} bytes, {data} are there")),
        std::cmp::Ordering::Less => Err(format!("{} bytes behind the last tensor", data - end)),
        std::cmp::Ordering::Equal if filled != end => Err("tensors overlap or leave holes".into()),
        std::cmp::Ordering::Equal => Ok(()),
    }
}

/// End of the last tensor, and the sum of their lengths.
struct Extent {
    end: u64,
    filled: u64,
}

impl<'de> Deserialize<'de> for Extent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Extent, D::Error> {
        #[derive(serde::Deserialize)]
        struct Tensor {
            data_offsets: (u64, u64),
        }
        #[derive(serde::Deserialize)]
        #[expect(non_camel_case_types, reason = "the name in the file")]
        enum Key {
            __metadata__,
            #[serde(other)]
            Tensor, // whatever its name: none is kept
        }
        struct Header;
        impl<'de> Visitor<'de> for Header {
            type Value = Extent;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Extent, A::Error> {
                let mut extent = Extent { end: 0, filled: 0 };
                while let Some(key) = map.next_key()? {
                    let Tensor {
                        data_offsets: (begin, end),
                    } = match key {
                        Key::__metadata__ => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                        Key::Tensor => map.next_value()?,
                    };
                    let len = end
                        .checked_sub(begin)
                        .ok_or_else(|| serde::de::Error::custom("end before begin"))?;
                    extent.end = extent.end.max(end);
                    extent.filled = extent.filled.saturating_add(len);
                }
                Ok(extent)
            }
        }
        deserializer.deserialize_map(Header)
    }
}

/// The end record of the archive, and the directory that it points to.
///
/// Source: APPNOTE.TXT 4.3.12-4.3.16 (PKWARE).
fn npz(file: &mut File) -> Result<(), String> {
    const END: usize = 22; // bytes of the end record without its comment
    let len = file.metadata().map_err(told)?.len();
    let tail_len = len.min(END as u64 + 20 + 65_535);
    let mut tail = vec![0; usize::try_from(tail_len).map_err(|_| "too large".to_owned())?];
    file.seek(SeekFrom::Start(len - tail_len))
        .and_then(|_| file.read_exact(&mut tail))
        .map_err(told)?;
    let at = (0..(tail.len() + 1).saturating_sub(END))
        .rev()
        .find(|&at| tail[at..].starts_with(b"PK\x05\x06"))
        .ok_or_else(|| format!("cut off: no end of a zip archive in {len} bytes"))?;
    let mut entries = u64::from(le16(&tail, at + 10));
    let mut size = u64::from(le32(&tail, at + 12));
    let mut offset = u64::from(le32(&tail, at + 16));
    if entries == 0xffff || size == 0xffff_ffff || offset == 0xffff_ffff {
        let damaged = || "the zip archive's 64-bit end record is damaged".to_owned();
        let locator = at
            .checked_sub(20)
            .filter(|&l| tail[l..].starts_with(b"PK\x06\x07"))
            .ok_or_else(damaged)?;
        let mut record = [0; 56];
        let place = le64(&tail, locator + 8);
        if place > len - 56.min(len) {
            return Err(damaged());
        }
        file.seek(SeekFrom::Start(place))
            .and_then(|_| file.read_exact(&mut record))
            .map_err(told)?;
        if !record.starts_with(b"PK\x06\x06") {
            return Err(damaged());
        }
        (entries, size, offset) = (le64(&record, 32), le64(&record, 40), le64(&record, 48));
    }
    if offset.checked_add(size).is_none_or(|end| end > len) || size > MAX_DIRECTORY {
        return Err(format!(
            "cut off: the zip directory should end at byte {}, the file has {len}",
            offset.saturating_add(size)
        ));
    }
    let mut directory = vec![0; usize::try_from(size).map_err(|_| "the zip directory is too large".to_owned())?];
    file.seek(SeekFrom::Start(offset))
        .and_then(|_| file.read_exact(&mut directory))
        .map_err(told)?;
    let mut at = 0;
    for entry in 0..entries {
        if directory.len() < at + 46 || !directory[at..].starts_with(b"PK\x01\x02") {
            return Err(format!(
                "the zip directory is damaged at entry {} of {entries}",
                entry + 1
            ));
        }
        let stored = u64::from(le32(&directory, at + 20));
        let begin = u64::from(le32(&directory, at + 42));
        let wide = stored == 0xffff_ffff || begin == 0xffff_ffff; // the real numbers stand in an extra field
        if !wide && begin + 30 + stored > offset {
            return Err(format!(
                "entry {} of {entries} of the zip archive leads past its data",
                entry + 1
            ));
        }
        at += 46
            + usize::from(le16(&directory, at + 28))
            + usize::from(le16(&directory, at + 30))
            + usize::from(le16(&directory, at + 32));
    }
    Ok(())
}

fn starts_like_a_page(path: &Path) -> bool {
    let mut start = [0; 64];
    let n = File::open(path).and_then(|mut file| file.read(&mut start)).unwrap_or(0);
    let start = start[..n].trim_ascii_start().to_ascii_lowercase();
    start.starts_with(b"<!doctype") || start.starts_with(b"<html") || start.starts_with(b"<?xml")
}

fn told(error: io::Error) -> String {
    format!("cannot be read: {error}")
}

fn le16(bytes: &[u8], at: usize) -> u16 {
    bytes
        .get(at..at + 2)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u16::from_le_bytes)
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u32::from_le_bytes)
}

fn le64(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..at + 8)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    fn verdict(name: &str, bytes: &[u8]) -> Result<(), String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        check(name, &path)
    }

    fn safetensors_of(header: &str, data: usize) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![7; data]].concat()
    }

    /// One stored entry `a.npy` of three bytes, made by hand.
    fn zip() -> Vec<u8> {
        let local = [
            b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0".as_slice(),
            &[0; 4],
            &[3, 0, 0, 0],
            &[3, 0, 0, 0],
            &[5, 0, 0, 0],
            b"a.npy",
            b"abc",
        ]
        .concat();
        let mut central = [
            b"PK\x01\x02".as_slice(),
            &[0; 16],
            &[3, 0, 0, 0],
            &[3, 0, 0, 0],
            &[5, 0],
            &[0; 16],
        ]
        .concat();
        central.extend(b"a.npy");
        let mut end = b"PK\x05\x06\0\0\0\0\x01\0\x01\0".to_vec();
        end.extend(u32::try_from(central.len()).unwrap().to_le_bytes());
        end.extend(u32::try_from(local.len()).unwrap().to_le_bytes());
        end.extend([0, 0]);
        [local, central, end].concat()
    }

    #[test]
    fn good_files() {
        let header = r#"{"__metadata__":{"format":"mlx"},"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"F16","shape":[1],"data_offsets":[4,6]}}"#;
        assert_eq!(verdict("weights.safetensors", &safetensors_of(header, 6)), Ok(()));
        assert_eq!(verdict("weights.npz", &zip()), Ok(()));
        assert_eq!(verdict("config.json", b"{\"n_mels\": 80}"), Ok(()));
        assert_eq!(verdict("README.md", b"anything"), Ok(()));
    }

    #[test]
    fn every_cut_is_noticed() {
        let header = r#"{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}"#;
        let good = safetensors_of(header, 4);
        for n in 0..good.len() {
            assert!(verdict("weights.safetensors", &good[..n]).is_err(), "{n}");
        }
        assert!(verdict("weights.safetensors", &[good, vec![0]].concat()).is_err());
        let good = zip();
        for n in 0..good.len() {
            assert!(verdict("weights.npz", &good[..n]).is_err(), "{n}");
        }
    }

    #[test]
    fn lies_and_pages() {
        assert!(verdict("w.safetensors", &u64::MAX.to_le_bytes()).is_err());
        assert!(verdict("w.safetensors", &safetensors_of(r#"{"a":{"data_offsets":[4,0]}}"#, 4)).is_err());
        assert!(
            verdict(
                "w.safetensors",
                &safetensors_of(r#"{"a":{"data_offsets":[0,4]},"b":{"data_offsets":[0,4]}}"#, 4)
            )
            .is_err()
        );
        for name in ["w.safetensors", "w.npz", "config.json"] {
            assert!(
                verdict(name, b"\n<!DOCTYPE html><html>Sorry</html>")
                    .unwrap_err()
                    .contains("web page")
            );
        }
        assert!(verdict("config.json", b"[]").is_err());
        assert!(verdict("config.json", b"").is_err());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), flip in 0..200usize, to: u8) {
            let _ = verdict("w.safetensors", &bytes);
            let _ = verdict("w.npz", &bytes);
            let mut archive = zip();
            let n = archive.len();
            archive[flip % n] = to;
            let _ = verdict("w.npz", &archive);
        }
    }
}
