//! The shim: C++ source inside this program, compiled on first use against the headers of the MLX that is there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::cache::{self, PrivateFolder};
use crate::find::{Installation, Places};
use crate::{Error, child};

const HEADER: &str = include_str!("../shim/wmx.h");
const SOURCE: &str = include_str!("../shim/wmx.cpp");

/// It takes about five seconds; a machine that swaps takes longer.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// What to install where there is no compiler.
const COMPILER: &str = if cfg!(target_os = "macos") {
    "install Apple's with `xcode-select --install`, then try again"
} else {
    "install one that knows C++20, as with `apt install g++`, or name it in CXX"
};

/// The shim for `installation`: that of the cache, else compiled now. `say` is told before the compiler starts.
///
/// # Errors
/// The cache is not to be trusted or cannot be written; there is no compiler; it fails, with its first errors.
pub(crate) fn shim(
    installation: &Installation,
    cache: &PrivateFolder,
    places: &Places,
    say: &mut dyn FnMut(&str),
) -> Result<PathBuf, Error> {
    let compiler = Compiler::find(places)?;
    let name = name(installation, &compiler.version);
    if cache.path().join(&name).exists() {
        return cache.file(&name);
    }
    say(&format!(
        "compiling the connection to MLX {} with {}: takes some seconds, once",
        installation.version,
        compiler.program.display()
    ));
    let workshop = cache.workshop()?;
    let made = compiler.compile(installation, workshop.path())?;
    cache::only_ours(&made)?;
    cache.keep(&made, &name)
}

/// The hash of the source, part of what is remembered of a machine.
pub(crate) fn source_hash() -> String {
    hash(&[HEADER, SOURCE])
}

/// `wmx-0.32.4-0123456789abcdef.so`: another MLX, source or compiler is another file.
fn name(installation: &Installation, compiler: &str) -> String {
    let key = serde_json::to_string(installation).unwrap_or_default();
    let hash = hash(&[&key, HEADER, SOURCE, compiler]);
    format!(
        "wmx-{}-{hash}.{}",
        installation.version,
        std::env::consts::DLL_EXTENSION
    )
}

fn hash(parts: &[&str]) -> String {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update((part.len() as u64).to_le_bytes());
        sha.update(part);
    }
    sha.finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

struct Compiler {
    program: PathBuf,
    /// What it says of itself.
    version: String,
}

impl Compiler {
    /// `CXX`, else the first of c++, clang++, g++.
    fn find(places: &Places) -> Result<Compiler, Error> {
        let named = std::env::var("CXX").ok().filter(|name| !name.trim().is_empty());
        let names: Vec<&str> = match &named {
            Some(name) => vec![name.trim()],
            None => vec!["c++", "clang++", "g++"],
        };
        let absolute = |name: &&str| Path::new(name).is_absolute().then(|| PathBuf::from(name));
        let program = names
            .iter()
            .find_map(|name| absolute(name).or_else(|| places.program(name)));
        let program = program
            .ok_or_else(|| Error::new(format!("no C++ compiler: neither {}", names.join(", nor ")), COMPILER))?;
        let mut ask = Command::new(&program);
        ask.arg("--version");
        let answer = child::output(&mut ask, Duration::from_secs(30))
            .map_err(|problem| Error::new(format!("{}: {problem}", program.display()), COMPILER))?;
        if !answer.succeeded {
            return Err(Error::new(
                format!(
                    "{}: does not say its version: {}",
                    program.display(),
                    answer.first_lines()
                ),
                COMPILER,
            ));
        }
        Ok(Compiler {
            version: format!("{}\n{}", program.display(), answer.stdout),
            program,
        })
    }

    /// Compiles and links in `workshop`, where all its temporary files go as well.
    fn compile(&self, installation: &Installation, workshop: &Path) -> Result<PathBuf, Error> {
        for (name, text) in [("wmx.h", HEADER), ("wmx.cpp", SOURCE)] {
            let path = workshop.join(name);
            fs::write(&path, text).map_err(|error| Error::io(&path, &error, ""))?;
        }
        let made = workshop.join("wmx").with_extension(std::env::consts::DLL_EXTENSION);
        let library = installation.library();
        let run_path = library.parent().unwrap_or(Path::new("/"));
        let mut command = Command::new(&self.program);
        command
            .args(["-std=c++20", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-w"])
            .arg("-I")
            .arg(installation.folder.join("include"))
            .args(["wmx.cpp", "-o"])
            .arg(&made)
            .arg(&library)
            .arg(format!("-Wl,-rpath,{}", run_path.display()))
            .current_dir(workshop)
            .env("TMPDIR", workshop)
            .env("LC_ALL", "C");
        for variable in [
            "CPATH",
            "CPLUS_INCLUDE_PATH",
            "LIBRARY_PATH",
            "COMPILER_PATH",
            "GCC_EXEC_PREFIX",
        ] {
            command.env_remove(variable);
        }
        let began = Instant::now();
        let outcome = child::output(&mut command, TIME_LIMIT)
            .map_err(|problem| Error::new(format!("{}: {problem}", self.program.display()), COMPILER))?;
        if outcome.succeeded && made.is_file() {
            return Ok(made);
        }
        Err(Error::new(
            format!(
                "{} cannot compile the connection to MLX {} in {} ({:.0} s): {}",
                self.program.display(),
                installation.version,
                installation.folder.display(),
                began.elapsed().as_secs_f64(),
                outcome.first_lines()
            ),
            "a compiler that knows C++20 is needed, and the headers that belong to the library",
        ))
    }
}
