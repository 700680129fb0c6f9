//! What can be wrong with an installed MLX, by the end of the real program: an error each time, never a signal.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use predicates::prelude::*;
use predicates::str::contains;
use tempfile::TempDir;

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples/jfk.flac");

/// A machine of its own: nothing of the real one is found, but for the system's programs.
struct Machine {
    home: TempDir,
}

impl Machine {
    fn new() -> Machine {
        Machine {
            home: TempDir::new().unwrap(),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_whisper-speedtest"));
        for variable in ["VIRTUAL_ENV", "WHISPER_MLX", "CXX"] {
            command.env_remove(variable);
        }
        command
            .env("HOME", self.home.path())
            .env("XDG_CACHE_HOME", self.home.path().join("cache"))
            .env("HOMEBREW_PREFIX", self.home.path().join("brew"))
            .current_dir(self.home.path())
            .args(arguments);
        command
    }

    /// PATH without any python3, and with a compiler where `compiler` says so.
    fn path(&self, compiler: bool) -> PathBuf {
        let bin = self.home.path().join("bin");
        fs::create_dir_all(&bin).unwrap();
        if compiler {
            for program in ["c++", "as", "ld"] {
                let _ = symlink(Path::new("/usr/bin").join(program), bin.join(program));
            }
        }
        bin
    }

    /// Has MLX made ready from `folder`: it must fail with 1 and these words.
    fn refuses(&self, folder: &Path, words: &str) -> Assert {
        let mut command = self.command(&["doctor", "--enable", "mlx"]);
        let end = command.env("WHISPER_MLX", folder).env("PATH", self.path(true)).assert();
        end.code(1).stderr(contains(words))
    }

    /// A copy of `mlx` whose library is `library`.
    fn installation(&self, mlx: &Path, library: &[u8]) -> PathBuf {
        let folder = tempfile::tempdir_in(self.home.path()).unwrap().keep();
        fs::create_dir(folder.join("lib")).unwrap();
        symlink(mlx.join("include"), folder.join("include")).unwrap();
        fs::write(folder.join("lib/libmlx.so"), library).unwrap();
        folder
    }
}

/// The MLX of `tools/setup-mlx.sh`; says so where there is none.
fn mlx(test: &str) -> Option<PathBuf> {
    let environment = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/mlx/lib");
    let mut versions = fs::read_dir(environment).ok().into_iter().flatten().flatten();
    let found = versions.find_map(|entry| fs::canonicalize(entry.path().join("site-packages/mlx")).ok());
    if found.is_none() {
        writeln!(
            std::io::stderr(),
            "skipped: {test}: no MLX in target/mlx (tools/setup-mlx.sh)"
        )
        .unwrap();
    }
    found
}

/// Without any MLX the program works and says so.
#[test]
fn none_is_installed() {
    let machine = Machine::new();
    let path = machine.path(false);
    let mut command = machine.command(&["transcribe", RECORDING, "--device", "mlx"]);
    let words = contains("no MLX is installed").and(contains("pip install mlx"));
    command.env("PATH", &path).assert().code(1).stderr(words);
    let mut command = machine.command(&["transcribe", RECORDING]);
    command
        .env("PATH", &path)
        .assert()
        .success()
        .stdout(contains("country"));
    let mut command = machine.command(&["doctor"]);
    let words = contains("none is installed: install it with");
    command.env("PATH", &path).assert().success().stdout(words);
    let mut command = machine.command(&["benchmark", "-i", "native-mlx", "-n", "1"]);
    command
        .env("PATH", &path)
        .assert()
        .code(1)
        .stderr(contains("doctor --enable mlx"));
    let mut command = machine.command(&["transcribe", RECORDING, "--device", "tpu"]);
    command.assert().code(2).stderr(contains("expected auto, cpu or mlx"));
    let words = contains("--device cuda").and(contains("--device mlx"));
    let mut command = machine.command(&["transcribe", RECORDING, "--device", "cuda"]);
    command.env("PATH", &path).assert().success().stderr(words);
}

/// Libraries that are absent, cut short, of another form, damaged, of another version.
#[test]
fn libraries_that_do_not_work() {
    let Some(mlx) = mlx("libraries_that_do_not_work") else {
        return;
    };
    let machine = Machine::new();
    let whole = fs::read(mlx.join("lib/libmlx.so")).unwrap();

    machine.refuses(Path::new("/nowhere"), "/nowhere/include/mlx/version.h: No such file");
    machine.refuses(Path::new("mlx"), "not an absolute path");
    let absent = machine.installation(&mlx, &[]);
    fs::remove_file(absent.join("lib/libmlx.so")).unwrap();
    machine.refuses(&absent, "lib/libmlx.so: No such file");
    machine.refuses(&machine.installation(&mlx, &whole[..100]), "cut short: 100 bytes");
    machine.refuses(&machine.installation(&mlx, &[0; 4096]), "no library of this system");
    machine.refuses(&machine.installation(&mlx, &whole[..whole.len() / 2]), "cut short");

    // Whole from outside, and what it computes with is gone.
    let mut damaged = whole.clone();
    let (start, end) = (whole.len() / 4, whole.len() / 4 * 3);
    damaged[start..end].fill(0xcc);
    let end = machine.refuses(&machine.installation(&mlx, &damaged), "install it again");
    drop(end);

    // Headers of one version over a library of another.
    let foreign = machine.installation(&mlx, &whole);
    fs::remove_file(foreign.join("include")).unwrap();
    fs::create_dir_all(foreign.join("include/mlx")).unwrap();
    for entry in fs::read_dir(mlx.join("include/mlx")).unwrap().flatten() {
        if entry.file_name() != "version.h" {
            symlink(entry.path(), foreign.join("include/mlx").join(entry.file_name())).unwrap();
        }
    }
    let header = fs::read_to_string(mlx.join("include/mlx/version.h")).unwrap();
    let header = header.replace("MLX_VERSION_PATCH", "MLX_VERSION_PATCH 77 //");
    fs::write(foreign.join("include/mlx/version.h"), header).unwrap();
    symlink(mlx.join("../mlx_cpu.libs"), foreign.join("../mlx_cpu.libs")).unwrap();
    machine.refuses(&foreign, ".77, the library is");
}

/// No compiler; a cache that is not the user's alone, or cannot be there at all.
#[test]
fn machines_that_are_not_ready() {
    let Some(mlx) = mlx("machines_that_are_not_ready") else {
        return;
    };
    let machine = Machine::new();
    let enable = || {
        let mut command = machine.command(&["doctor", "--enable", "mlx"]);
        command.env("WHISPER_MLX", &mlx).env("PATH", machine.path(true));
        command
    };
    let mut command = enable();
    command.env("PATH", "/nowhere");
    let words = contains("no C++ compiler").and(contains("apt install g++"));
    command.assert().code(1).stderr(words);
    let mut command = enable();
    command.env("CXX", "/bin/false");
    command
        .assert()
        .code(1)
        .stderr(contains("/bin/false: does not say its version"));

    let cache = machine.home.path().join("cache/whisper-speedtest/mlx");
    fs::create_dir_all(&cache).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
    enable().assert().code(1).stderr(contains("can be written by others"));
    fs::remove_dir(&cache).unwrap();
    symlink(machine.home.path(), &cache).unwrap();
    enable().assert().code(1).stderr(contains("is a link"));
    fs::remove_file(&cache).unwrap();
    fs::write(machine.home.path().join("file"), "").unwrap();
    let mut command = enable();
    command.env("XDG_CACHE_HOME", machine.home.path().join("file/cache"));
    command.assert().code(1).stderr(contains("Not a directory"));
}

/// The second of two installations works and is taken; then it computes; then memory is short.
#[test]
fn one_that_works() {
    let Some(mlx) = mlx("one_that_works") else {
        return;
    };
    let machine = Machine::new();
    let broken = machine.home.path().join("venv/lib/python3.11/site-packages");
    fs::create_dir_all(&broken).unwrap();
    fs::rename(machine.installation(&mlx, &[0; 4096]), broken.join("mlx")).unwrap();
    fs::create_dir_all(machine.home.path().join("brew/opt")).unwrap();
    symlink(&mlx, machine.home.path().join("brew/opt/mlx")).unwrap();
    let command = |arguments: &[&str]| {
        let mut command = machine.command(arguments);
        command.env("VIRTUAL_ENV", machine.home.path().join("venv"));
        command.env("PATH", machine.path(true));
        command
    };
    let listed = contains("refused:")
        .and(contains("no library of this system"))
        .and(contains("ready: MLX"));
    command(&["doctor", "--enable", "mlx"])
        .assert()
        .success()
        .stdout(listed);

    // On a processor it is taken where it is asked for, never by itself.
    let heard = contains("what your country can do for you");
    let said = contains("\"compute\": \"f32\"").and(contains("\"device\": \"cpu (MLX "));
    let json = ["transcribe", RECORDING, "-f", "json", "--language", "en"];
    command(&[&json[..], &["--device", "mlx"]].concat())
        .assert()
        .success()
        .stdout(heard.and(said));
    command(&json)
        .assert()
        .success()
        .stdout(contains("\"device\": \"cpu\""));

    let words = contains("not enough memory").and(contains("--max-memory allows 64 MiB"));
    let arguments = ["transcribe", RECORDING, "--device", "mlx", "--max-memory", "64M"];
    command(&arguments).assert().code(1).stderr(words);
    command(&["transcribe", RECORDING, "--device", "mlx", "--compute", "int8"])
        .assert()
        .code(1)
        .stderr(contains("--compute int8 is the processor's"));

    // An address space in which the model has no room.
    let program = env!("CARGO_BIN_EXE_whisper-speedtest");
    let mut limited = Command::new("/bin/sh");
    limited.args([
        "-c",
        "ulimit -v 2000000; exec \"$0\" transcribe \"$1\" --device mlx",
        program,
        RECORDING,
    ]);
    limited.env("XDG_CACHE_HOME", machine.home.path().join("cache"));
    limited.assert().code(1).stderr(contains("are free"));

    // The library changes: what was compiled for it is not used, and MLX is not taken unasked.
    fs::remove_file(machine.home.path().join("brew/opt/mlx")).unwrap();
    fs::remove_dir_all(machine.home.path().join("cache/whisper-speedtest/mlx")).unwrap();
    command(&["transcribe", RECORDING, "--device", "mlx"])
        .assert()
        .code(1)
        .stderr(contains("no library"));
}
