//! Where an MLX is installed: the folders that people have it in, in the order in which they count.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

/// The oldest MLX of which an exception while it evaluates comes back; in older ones it ends the process. (The shim compiles from
/// 0.30.1 on.)
pub const OLDEST: Version = Version(0, 32, 1);

/// The command that installs MLX, by system.
pub const HOW_TO_INSTALL: &str = if cfg!(target_os = "macos") {
    "install it with `python3 -m pip install mlx` (or `brew install mlx`)"
} else {
    "install it with `python3 -m pip install mlx[cuda13]` for a GPU of NVIDIA, `mlx[cpu]` without one"
};

/// `major.minor.patch`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version(pub u32, pub u32, pub u32);

/// Headers and a library of one version, on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installation {
    /// Holds `include/` and `lib/`.
    pub folder: PathBuf,
    /// As its headers say.
    pub version: Version,
    /// Bytes of libmlx, and when it was last changed, in nanoseconds since 1970: who replaces it, changes them.
    pub library_bytes: u64,
    /// See `library_bytes`.
    pub library_modified: u128,
}

/// A folder in which an MLX was looked for.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Who named it: `WHISPER_MLX`, `python3`, ...
    pub source: &'static str,
    /// The folder.
    pub folder: PathBuf,
    /// The installation there, or why it is none to take.
    pub verdict: Result<Installation, String>,
}

/// Where to look: the environment of the process, or that of a test.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// `WHISPER_MLX`: a folder with `include/` and `lib/`; where it is set, nothing else counts.
    pub named: Option<PathBuf>,
    /// `VIRTUAL_ENV`: the active virtual environment.
    pub environment: Option<PathBuf>,
    /// `PATH`, on which `python3` is looked for.
    pub path: OsString,
    /// Prefixes of Homebrew.
    pub brew: Vec<PathBuf>,
}

impl Places {
    /// Those of this process.
    pub fn here() -> Places {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let brew = ["/opt/homebrew", "/usr/local", "/home/linuxbrew/.linuxbrew"].map(PathBuf::from);
        Places {
            named: variable("WHISPER_MLX").map(PathBuf::from),
            environment: variable("VIRTUAL_ENV").map(PathBuf::from),
            path: variable("PATH").unwrap_or_default(),
            brew: variable("HOMEBREW_PREFIX")
                .map(PathBuf::from)
                .into_iter()
                .chain(brew)
                .collect(),
        }
    }

    /// Every place with an MLX, or what looks like one, in the order in which they count. None lies in the current folder.
    pub fn candidates(&self) -> Vec<Candidate> {
        if let Some(folder) = &self.named {
            return vec![Candidate::judged("WHISPER_MLX", folder.clone())];
        }
        let of_environment = self.environment.iter().flat_map(|folder| site_packages(folder));
        let folders = of_environment.map(|folder| ("the active virtual environment", folder.join("mlx")));
        let python = self.python_packages().into_iter();
        let folders = folders.chain(python.map(|folder| ("python3", folder.join("mlx"))));
        let brew = self.brew.iter().map(|prefix| ("Homebrew", prefix.join("opt/mlx")));
        let mut found: Vec<Candidate> = Vec::new();
        for (source, folder) in folders.chain(brew) {
            let real = fs::canonicalize(&folder).unwrap_or_else(|_| folder.clone());
            if folder.is_dir() && found.iter().all(|other| other.folder != real) {
                found.push(Candidate::judged(source, real));
            }
        }
        found
    }

    /// The package folders of `python3`: it is asked, isolated, and imports nothing of them.
    fn python_packages(&self) -> Vec<PathBuf> {
        const ASK: &str = "import site, sysconfig; p = sysconfig.get_paths(); \
                           print(*dict.fromkeys([p['purelib'], p['platlib'], site.getusersitepackages(), \
                           *getattr(site, 'getsitepackages', list)()]), sep='\\n')";
        let Some(python) = self.program("python3") else {
            return Vec::new();
        };
        let asked = Command::new(python)
            .args(["-I", "-c", ASK])
            .current_dir("/")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output();
        let Ok(answer) = asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()) else {
            return Vec::new();
        };
        let folders = answer.lines().map(PathBuf::from);
        folders.filter(|folder| folder.is_absolute()).collect()
    }

    /// The first program of this name in the absolute folders of `PATH`. What Apple's systems have under `/usr/bin` until
    /// the developer tools are installed opens a dialog and is left alone.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        let program = std::env::split_paths(&self.path)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(name))
            .find(|program| program.is_file())?;
        let may_be_stub = cfg!(target_os = "macos") && program.starts_with("/usr/bin");
        (!may_be_stub || has_developer_tools()).then_some(program)
    }
}

impl Candidate {
    fn judged(source: &'static str, folder: PathBuf) -> Candidate {
        Candidate {
            source,
            verdict: Installation::at(&folder),
            folder,
        }
    }
}

impl Installation {
    /// What is in `folder`.
    ///
    /// # Errors
    /// It is not absolute, lacks headers or library, or is too old.
    pub fn at(folder: &Path) -> Result<Installation, String> {
        if !folder.is_absolute() {
            return Err("not an absolute path".into());
        }
        let header = folder.join("include/mlx/version.h");
        let text = fs::read_to_string(&header).map_err(|error| format!("{}: {error}", header.display()))?;
        let version = Version::of_header(&text)
            .ok_or_else(|| format!("{}: no version in it; MLX before {OLDEST}?", header.display()))?;
        if version < OLDEST {
            return Err(format!("version {version}: {OLDEST} or newer is needed"));
        }
        let library = folder.join(LIBRARY);
        let file = fs::metadata(&library).map_err(|error| format!("{}: {error}", library.display()))?;
        looks_whole(&library, file.len()).map_err(|problem| format!("{}: {problem}", library.display()))?;
        let modified = file
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Ok(Installation {
            folder: folder.to_owned(),
            version,
            library_bytes: file.len(),
            library_modified: modified.unwrap_or_default().as_nanos(),
        })
    }

    /// The library.
    pub fn library(&self) -> PathBuf {
        self.folder.join(LIBRARY)
    }

    /// Whether the same is still there.
    pub fn is_there(&self) -> bool {
        Installation::at(&self.folder).as_ref() == Ok(self)
    }
}

/// The library in the folder of an installation.
const LIBRARY: &str = if cfg!(target_os = "macos") {
    "lib/libmlx.dylib"
} else {
    "lib/libmlx.so"
};

impl Version {
    /// From `#define MLX_VERSION_MAJOR 0` and its like.
    fn of_header(text: &str) -> Option<Version> {
        let number = |name: &str| {
            let mut lines = text.lines().map(str::split_whitespace);
            lines.find_map(|mut words| {
                (words.next() == Some("#define") && words.next() == Some(name))
                    .then(|| words.next()?.parse().ok())
                    .flatten()
            })
        };
        Some(Version(
            number("MLX_VERSION_MAJOR")?,
            number("MLX_VERSION_MINOR")?,
            number("MLX_VERSION_PATCH")?,
        ))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Whether a library has the form of this system and goes on to its end. Opening one that is cut short ends the process.
///
/// Source: the ELF-64 header; the table of sections is the last thing in a file.
fn looks_whole(library: &Path, len: u64) -> Result<(), String> {
    let mut header = [0; 64];
    let mut file = fs::File::open(library).map_err(|error| error.to_string())?;
    file.read_exact(&mut header)
        .map_err(|_| format!("{len} bytes are no library"))?;
    if cfg!(target_os = "macos") {
        let known = [[0xcf, 0xfa, 0xed, 0xfe], [0xca, 0xfe, 0xba, 0xbe]]; // Mach-O, or several of them
        let is_known = known.iter().any(|magic| header.starts_with(magic));
        return if is_known {
            Ok(())
        } else {
            Err("no library of this system".into())
        };
    }
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return Err("no library of this system".into());
    }
    let number = |at: usize| u64::from(u16::from_le_bytes([header[at], header[at + 1]]));
    let sections = u64::from_le_bytes(*header[40..].first_chunk().unwrap_or(&[0; 8]));
    let end = number(58)
        .checked_mul(number(60))
        .and_then(|size| size.checked_add(sections));
    match end {
        Some(end) if end <= len => Ok(()),
        _ => Err(format!(
            "cut short: {len} bytes, its last part would end at {}",
            end.unwrap_or(u64::MAX)
        )),
    }
}

/// `lib/python3.12/site-packages` of a virtual environment.
fn site_packages(environment: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(environment.join("lib")) else {
        return Vec::new();
    };
    let folders = entries.flatten().map(|entry| entry.path().join("site-packages"));
    let mut folders: Vec<_> = folders
        .filter(|folder| folder.is_absolute() && folder.is_dir())
        .collect();
    folders.sort();
    folders
}

/// Whether Apple's developer tools are installed; this command never opens a dialog.
fn has_developer_tools() -> bool {
    let asked = Command::new("/usr/bin/xcode-select")
        .arg("-p")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installation(folder: &Path, version: &str) {
        let [major, minor, patch] = version.split('.').collect::<Vec<_>>().try_into().unwrap();
        fs::create_dir_all(folder.join("include/mlx")).unwrap();
        fs::create_dir_all(folder.join("lib")).unwrap();
        fs::write(
            folder.join("include/mlx/version.h"),
            format!(
                "#pragma once\n#define MLX_VERSION_MAJOR {major}\n#define MLX_VERSION_MINOR {minor}\n#define MLX_VERSION_PATCH {patch}\n\
                 #define MLX_VERSION_NUMERIC \\\n  (100000 * MLX_VERSION_MAJOR)\n"
            ),
        )
        .unwrap();
        fs::write(folder.join(LIBRARY), library(b'a')).unwrap();
    }

    /// A file of which the form is right.
    fn library(content: u8) -> Vec<u8> {
        let mut bytes = vec![content; 100];
        if cfg!(target_os = "macos") {
            bytes[..4].copy_from_slice(&[0xcf, 0xfa, 0xed, 0xfe]);
        } else {
            bytes[..64].fill(0);
            bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
            bytes[40] = 80; // a table of sections, 20 bytes that hold one
            (bytes[58], bytes[60]) = (20, 1);
        }
        bytes
    }

    #[test]
    fn candidates_are_judged_in_their_order() {
        let home = tempfile::tempdir().unwrap();
        let home = fs::canonicalize(home.path()).unwrap();
        let environment = home.join("venv");
        let brew = home.join("brew");
        installation(&environment.join("lib/python3.12/site-packages/mlx"), "0.32.4");
        installation(&brew.join("opt/mlx"), "0.29.4");
        let mut places = Places {
            environment: Some(environment.clone()),
            brew: vec![brew.clone(), home.join("nothing"), brew.clone()],
            ..Places::default()
        };
        let found = places.candidates();
        let sources: Vec<_> = found.iter().map(|candidate| candidate.source).collect();
        assert_eq!(sources, ["the active virtual environment", "Homebrew"]);
        let taken = found[0].verdict.as_ref().unwrap();
        assert_eq!(taken.version, Version(0, 32, 4));
        assert!(taken.is_there());
        assert_eq!(
            found[1].verdict.as_ref().unwrap_err(),
            "version 0.29.4: 0.32.1 or newer is needed"
        );

        // What is named is the only one that counts, and must be named in full.
        places.named = Some("mlx".into());
        let found = places.candidates();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].verdict.as_ref().unwrap_err(), "not an absolute path");
    }

    /// A python3 that says where its packages are; and none where PATH has only a folder beside us.
    #[cfg(unix)]
    #[test]
    fn python_is_asked() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let home = fs::canonicalize(home.path()).unwrap();
        let python = home.join("python3");
        installation(&home.join("packages/mlx"), "1.0.0");
        fs::write(
            &python,
            format!("#!/bin/sh\necho .\necho {}/packages\n", home.display()),
        )
        .unwrap();
        fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
        let mut places = Places {
            path: home.clone().into(),
            ..Places::default()
        };
        let found = places.candidates();
        assert_eq!((found.len(), found[0].source), (1, "python3"));
        assert_eq!(found[0].verdict.as_ref().unwrap().version, Version(1, 0, 0));
        places.path = ".:bin".into();
        assert!(places.candidates().is_empty());
    }

    #[test]
    fn a_library_that_was_replaced_is_another() {
        let home = tempfile::tempdir().unwrap();
        installation(home.path(), "0.32.4");
        let before = Installation::at(home.path()).unwrap();
        fs::write(home.path().join(LIBRARY), [library(b'b'), vec![0]].concat()).unwrap();
        assert!(!before.is_there());
        let refused = |bytes: &[u8]| {
            fs::write(home.path().join(LIBRARY), bytes).unwrap();
            Installation::at(home.path()).unwrap_err()
        };
        assert!(refused(&library(b'a')[..50]).contains("50 bytes are no library"));
        assert!(refused(&[0; 1000]).contains("no library of this system"));
        if cfg!(not(target_os = "macos")) {
            let error = refused(&library(b'a')[..99]);
            assert!(
                error.contains("cut short: 99 bytes, its last part would end at 100"),
                "{error}"
            );
        }
        fs::remove_file(home.path().join(LIBRARY)).unwrap();
        assert!(Installation::at(home.path()).unwrap_err().contains(LIBRARY));
    }
}
