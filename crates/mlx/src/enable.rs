//! From an MLX that is somewhere on this machine to one that is compiled for, probed and remembered.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cache::PrivateFolder;
use crate::find::{Candidate, HOW_TO_INSTALL, Installation, Places};
use crate::worker::{About, Mlx};
use crate::{Error, child, shim};

/// What is remembered, in the cache.
const RECORD: &str = "enabled.json";

/// The first start on a GPU compiles its kernels.
const PROBE_LIMIT: Duration = Duration::from_secs(300);

/// An MLX that has passed the probe on this system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enabled {
    /// Where it is.
    pub installation: Installation,
    /// What the probe found.
    pub about: About,
    /// The compiled shim, by its name in the cache.
    shim: String,
    /// The source that it was compiled from.
    source: String,
    /// The system that the probe ran on.
    system: String,
    /// The cache, which is where this was read from.
    #[serde(skip)]
    folder: PathBuf,
}

/// How a child is started that calls [`probe`](crate::probe): the program and its first arguments. Those that follow are the
/// shim and the folder of the installation; on success the child prints [`About`] as JSON and ends with 0.
#[derive(Clone, Debug)]
pub struct Prober {
    /// The program.
    pub program: PathBuf,
    /// Its first arguments.
    pub arguments: Vec<OsString>,
}

/// Where shims and the record are kept, below the cache of the program.
pub fn folder(cache: &Path) -> PathBuf {
    cache.join("mlx")
}

/// What was enabled before, if it is still what it was: the library, the source of this program, the system.
pub fn enabled(cache: &Path, places: &Places) -> Option<Enabled> {
    let path = folder(cache);
    if !path.is_dir() {
        return None; // nothing is made by asking
    }
    let cache = PrivateFolder::at(&path).ok()?;
    let text = std::fs::read_to_string(cache.file(RECORD).ok()?).ok()?;
    let mut enabled: Enabled = serde_json::from_str(&text).ok()?;
    let is_named = places
        .named
        .as_ref()
        .is_none_or(|named| *named == enabled.installation.folder);
    enabled.folder = path;
    let is_current = enabled.source == shim::source_hash() && enabled.system == system() && is_named;
    let is_there = || enabled.installation.is_there() && cache.file(&enabled.shim).is_ok();
    (is_current && is_there()).then_some(enabled)
}

/// Compiles the shim for the first candidate that works, probes it in a child, and remembers it.
///
/// # Errors
/// There is none, or none works: what was wrong with each.
pub fn enable(
    candidates: &[Candidate],
    places: &Places,
    cache: &Path,
    prober: &Prober,
    say: &mut dyn FnMut(&str),
) -> Result<Enabled, Error> {
    if candidates.is_empty() {
        return Err(Error::new("no MLX is installed", HOW_TO_INSTALL));
    }
    let path = folder(cache);
    let cache = PrivateFolder::at(&path)?;
    let mut failures = Vec::new();
    for candidate in candidates {
        let tried = match &candidate.verdict {
            Ok(installation) => one(installation, places, &cache, prober, say),
            Err(problem) => Err(Error::new(
                format!("{}: {problem}", candidate.folder.display()),
                HOW_TO_INSTALL,
            )),
        };
        match tried {
            Ok(enabled) => {
                cache.write(RECORD, &serde_json::to_string(&enabled).unwrap_or_default())?;
                return Ok(Enabled {
                    folder: path,
                    ..enabled
                });
            }
            Err(error) => failures.push((candidate.source, error)),
        }
    }
    let remedy = failures
        .last()
        .map(|(_, error)| error.remedy.clone())
        .unwrap_or_default();
    let told: Vec<String> = failures
        .iter()
        .map(|(source, error)| format!("{source}: {}", error.problem))
        .collect();
    Err(Error::new(told.join("\n  "), remedy))
}

fn one(
    installation: &Installation,
    places: &Places,
    cache: &PrivateFolder,
    prober: &Prober,
    say: &mut dyn FnMut(&str),
) -> Result<Enabled, Error> {
    let shim = shim::shim(installation, cache, places, say)?;
    say(&format!("trying MLX {} in a process of its own", installation.version));
    let mut command = Command::new(&prober.program);
    command.args(&prober.arguments).arg(&shim).arg(&installation.folder);
    let failed = |problem: String| {
        Error::new(
            format!(
                "MLX {} in {}: {problem}",
                installation.version,
                installation.folder.display()
            ),
            "install it again, or name another with WHISPER_MLX",
        )
    };
    let outcome = child::output(&mut command, PROBE_LIMIT).map_err(|problem| failed(format!("the probe {problem}")))?;
    if !outcome.succeeded {
        return Err(failed(match outcome.status.code() {
            Some(_) => outcome.first_lines(),
            None => format!(
                "the probe crashed ({}): the library is damaged, or not made for this machine",
                outcome.status
            ),
        }));
    }
    let last = outcome.stdout.lines().last().unwrap_or_default();
    let about = serde_json::from_str(last).map_err(|_| failed(format!("the probe said {last:?}")))?;
    Ok(Enabled {
        installation: installation.clone(),
        about,
        shim: shim.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        source: shim::source_hash(),
        system: system(),
        folder: PathBuf::new(),
    })
}

impl Enabled {
    /// Opens it in this process.
    ///
    /// # Errors
    /// It has changed, or another one is open.
    pub fn open(&self) -> Result<Mlx, Error> {
        let shim = PrivateFolder::at(&self.folder)?.file(&self.shim)?;
        Mlx::open(&shim, &self.installation, false)
    }
}

/// The kernel's name and version: with a new one, drivers may be new.
fn system() -> String {
    #[cfg(unix)]
    {
        let name = rustix::system::uname();
        let part = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
        [name.sysname(), name.release(), name.version(), name.machine()]
            .map(part)
            .join(" ")
    }
    #[cfg(not(unix))]
    {
        std::env::consts::OS.into()
    }
}
