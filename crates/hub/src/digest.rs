//! The two hashes that name content on the Hub: SHA-256 for large files, git's SHA-1 for small ones.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::cancel::Cancel;
use crate::error::{Error, Result, printable};

/// The hash that names a blob.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Digest {
    /// Of the content: files in large-file storage.
    Sha256([u8; 32]),
    /// Of `"blob LENGTH\0"` and the content: files in git itself.
    Git([u8; 20]),
}

impl Digest {
    /// A hasher of the same kind, for content of `len` bytes.
    ///
    /// Both use the CPU's own instructions where it has them, found at run time.
    pub fn hasher(&self, len: u64) -> Hasher {
        match self {
            Digest::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Digest::Git(_) => {
                let mut sha = Sha1::new();
                sha.update(format!("blob {len}\0"));
                Hasher::Git(sha)
            }
        }
    }
}

/// Content on its way to a [`Digest`].
pub enum Hasher {
    /// SHA-256.
    Sha256(Sha256),
    /// SHA-1 that has seen git's header.
    Git(Sha1),
}

impl Hasher {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(sha) => sha.update(bytes),
            Hasher::Git(sha) => sha.update(bytes),
        }
    }

    /// The hash of everything taken.
    pub fn finish(self) -> Digest {
        match self {
            Hasher::Sha256(sha) => Digest::Sha256(sha.finalize().into()),
            Hasher::Git(sha) => Digest::Git(sha.finalize().into()),
        }
    }
}

/// Hashes a file with the hash that `like` is, telling `progress` the bytes read since the last call.
///
/// # Errors
/// Where the file cannot be read, and [`Error::Cancelled`].
pub fn hash_file(path: &Path, like: &Digest, cancel: &Cancel, progress: &mut dyn FnMut(u64)) -> Result<Digest> {
    let mut file = File::open(path).map_err(Error::io("open", path))?;
    let len = file.metadata().map_err(Error::io("read", path))?.len();
    let mut hasher = like.hasher(len);
    hash_into(&mut hasher, &mut file, path, cancel, progress)?;
    Ok(hasher.finish())
}

/// Hashes from where `file` stands to its end.
pub(crate) fn hash_into(
    hasher: &mut Hasher,
    file: &mut File,
    path: &Path,
    cancel: &Cancel,
    progress: &mut dyn FnMut(u64),
) -> Result<()> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        cancel.check()?;
        let n = file.read(&mut buffer).map_err(Error::io("read", path))?;
        if n == 0 {
            return Ok(());
        }
        hasher.update(&buffer[..n]);
        progress(n as u64);
    }
}

impl FromStr for Digest {
    type Err = Error;

    /// 64 (SHA-256) or 40 (git) lower-case hexadecimal digits: exactly the names that blobs have.
    fn from_str(text: &str) -> Result<Digest> {
        let fail = || Error::Name {
            what: "hash",
            value: printable(text),
            reason: "64 or 40 lower-case hexadecimal digits expected",
        };
        let nibble = |b: u8| match b {
            b'0'..=b'9' => Ok(b - b'0'),
            b'a'..=b'f' => Ok(b - b'a' + 10),
            _ => Err(fail()),
        };
        let bytes = |out: &mut [u8]| -> Result<()> {
            for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
            }
            Ok(())
        };
        match text.len() {
            64 => {
                let mut out = [0; 32];
                bytes(&mut out)?;
                Ok(Digest::Sha256(out))
            }
            40 => {
                let mut out = [0; 20];
                bytes(&mut out)?;
                Ok(Digest::Git(out))
            }
            _ => Err(fail()),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: &[u8] = match self {
            Digest::Sha256(bytes) => bytes,
            Digest::Git(bytes) => bytes,
        };
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `git hash-object` and `sha256sum` of the empty file and of "hello\n".
    #[test]
    fn known_values() {
        let known = [
            ("", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("hello\n", "ce013625030ba8dba906f756967f9e9ca394464a"),
            (
                "hello\n",
                "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
            ),
        ];
        for (content, name) in known {
            let digest: Digest = name.parse().unwrap();
            let mut hasher = digest.hasher(content.len() as u64);
            hasher.update(content.as_bytes());
            assert_eq!(hasher.finish(), digest);
            assert_eq!(digest.to_string(), name);
        }
    }

    #[test]
    fn only_names_of_blobs_are_digests() {
        for bad in [
            "",
            "abc",
            &"g".repeat(40),
            &"A".repeat(64),
            "../../../../x",
            &"é".repeat(20),
            &"a".repeat(41),
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad:?}");
        }
    }
}
