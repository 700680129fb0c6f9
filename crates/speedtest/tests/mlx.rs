//! What can be wrong with an installed MLX, by the end of the real program: an error each time, never a signal.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json};
use tempfile::TempDir;
use whisper::model::Dims;
use whisper::weights::{Part, parts};

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

    /// A copy of `mlx` whose library is `library`, with the libraries that this one needs.
    fn installation(&self, mlx: &Path, library: &[u8]) -> PathBuf {
        let folder = tempfile::tempdir_in(self.home.path()).unwrap().keep();
        let _ = symlink(mlx.join("../mlx_cpu.libs"), self.home.path().join("mlx_cpu.libs"));
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

    // Whole, and what it needs itself is absent.
    let alone = machine.installation(&mlx, &whole);
    fs::remove_file(machine.home.path().join("mlx_cpu.libs")).unwrap();
    machine.refuses(&alone, "cannot open shared object file");

    // Whole from outside, and what it computes with is gone.
    let mut damaged = whole.clone();
    let (start, end) = (whole.len() / 4, whole.len() / 4 * 3);
    damaged[start..end].fill(0xcc);
    machine.refuses(&machine.installation(&mlx, &damaged), "the probe crashed");

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
    machine.refuses(&foreign, ".77, the library is 0.");
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
    let mut command = enable();
    command.env("XDG_CACHE_HOME", "/sys"); // where not even root can make a folder
    command.assert().code(1).stderr(contains("/sys/whisper-speedtest: "));
}

/// Without any OpenBLAS MLX computes, slowly, and the program says so.
#[test]
fn no_openblas() {
    let Some(mlx) = mlx("no_openblas") else {
        return;
    };
    let machine = Machine::new();
    let folder = machine.installation(&mlx, &fs::read(mlx.join("lib/libmlx.so")).unwrap());
    // What lies here is found before the system's, and is none.
    let libraries = machine.home.path().join("libraries");
    fs::create_dir(&libraries).unwrap();
    for name in ["libopenblas.so.0", "libopenblas.so"] {
        fs::write(libraries.join(name), "").unwrap();
    }
    let command = |arguments: &[&str]| {
        let mut command = machine.command(arguments);
        command.env("WHISPER_MLX", &folder).env("PATH", machine.path(true));
        command.env("LD_LIBRARY_PATH", &libraries);
        command
    };
    command(&["doctor", "--enable", "mlx"])
        .assert()
        .success()
        .stdout(contains("on the processor, without OpenBLAS, in"));
    let model = deaf(machine.home.path());
    command(&["transcribe", RECORDING, "--device", "mlx", "-m", &model])
        .assert()
        .success()
        .stderr(contains("without OpenBLAS").and(contains("libopenblas0-pthread")));
}

/// Checkpoints that are no Whisper's are refused before MLX sees them.
#[test]
fn checkpoints_that_do_not_fit() {
    let Some(mlx) = mlx("checkpoints_that_do_not_fit") else {
        return;
    };
    let machine = Machine::new();
    let whole = support::root().join("crates/whisper/tests/golden/random/8bit-g64");
    let (config, weights) = (whole.join("config.json"), whole.join("weights.safetensors"));
    let (config, weights) = (fs::read_to_string(config).unwrap(), fs::read(weights).unwrap());
    let refuses = |config: &str, weights: &[u8], words: &str| {
        let folder = tempfile::tempdir_in(machine.home.path()).unwrap();
        fs::write(folder.path().join("config.json"), config).unwrap();
        fs::write(folder.path().join("weights.safetensors"), weights).unwrap();
        let arguments = [
            "transcribe",
            RECORDING,
            "--device",
            "mlx",
            "-m",
            folder.path().to_str().unwrap(),
        ];
        let mut command = machine.command(&arguments);
        command.env("WHISPER_MLX", &mlx).env("PATH", machine.path(true));
        command.assert().code(1).stderr(contains(words));
    };
    // In the header of the file, whose length stays.
    let renamed = |from: &str, to: &str| {
        let place = weights.windows(from.len()).position(|window| window == from.as_bytes());
        let mut weights = weights.clone();
        weights[place.unwrap()..][..to.len()].copy_from_slice(to.as_bytes());
        weights
    };
    refuses(
        &config,
        &renamed("decoder.ln.weight", "decoder.lm.weight"),
        "decoder.ln.weight",
    );
    refuses(&config, &renamed("\"F16\"", "\"F61\""), "F61");
    refuses(&config, &weights[..weights.len() - 1], "weights.safetensors");
    refuses(&config.replace("\"bits\": 8", "\"bits\": 7"), &weights, "7");
    refuses(
        &config.replace("\"group_size\": 64", "\"group_size\": 48"),
        &weights,
        "48",
    );
    refuses(
        &config.replace("\"n_audio_state\": 128", "\"n_audio_state\": 256"),
        &weights,
        "expected",
    );
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

/// The rows of the speed test: MLX by its name; every way to compute on it; and what was found fastest is taken from then on.
#[test]
fn rows_of_the_speed_test() {
    let Some(mlx) = mlx("rows_of_the_speed_test") else {
        return;
    };
    let machine = Machine::new();
    let model = deaf(machine.home.path());
    let command = |arguments: &[&str]| {
        let mut command = machine.command(arguments);
        command.env("WHISPER_MLX", &mlx).env("PATH", machine.path(true));
        command
    };
    let benchmark = |options: &[&str]| {
        let rows = [
            "benchmark",
            "-m",
            &model,
            "--warmup",
            "0",
            "--json",
            "-i",
            "native,native-mlx",
        ];
        let end = command(&[&rows, options].concat()).assert().success();
        let said = String::from_utf8_lossy(&end.get_output().stderr).into_owned();
        let results: Value = serde_json::from_slice(&end.get_output().stdout).unwrap();
        (results["entries"].as_array().unwrap().clone(), said)
    };

    let words = contains("native-mlx is not measured");
    command(&["benchmark", "-i", "native", "--tune"])
        .assert()
        .code(1)
        .stderr(words);
    let words = contains("no MLX is ready here").and(contains("doctor --enable mlx"));
    command(&["benchmark", "-i", "native-mlx", "--tune"])
        .assert()
        .code(1)
        .stderr(words);

    command(&["benchmark", "--tune", "--compute", "f32"])
        .assert()
        .code(2)
        .stderr(contains("leave --compute out"));

    // Asked for by name it is made ready, and is a row of its own beside the processor's.
    let (entries, said) = benchmark(&["-n", "1", "--device", "mlx"]);
    assert!(said.contains("compiling the connection to MLX"), "{said}");
    for (entry, device) in entries.iter().zip(["cpu", "cpu (MLX "]) {
        assert!(
            entry["loaded"]["device"].as_str().unwrap().starts_with(device),
            "{entry}"
        );
        assert_eq!(entry["rows"][0]["runs"].as_array().unwrap().len(), 1, "{entry}");
    }
    let found = |of: &Value| {
        (
            of["identity"]["implementation"].clone(),
            of["loaded"]["handicap"].is_string(),
        )
    };
    assert_eq!(found(&entries[0]), ("native".into(), false));
    assert_eq!(found(&entries[1]), ("native-mlx".into(), true));
    let (entries, _) = benchmark(&["-n", "1", "--compute", "f32"]);
    assert!(
        entries[1]["loaded"]["weights"]
            .as_str()
            .unwrap()
            .ends_with("computed in f32")
    );
    let words = contains("--compute int8 is the processor's");
    command(&["benchmark", "-i", "native-mlx", "--compute", "int8"])
        .assert()
        .code(1)
        .stderr(words);

    let (entries, said) = benchmark(&["-n", "8", "--tune"]);
    let names: Vec<&str> = entries
        .iter()
        .map(|entry| entry["implementation"].as_str().unwrap())
        .collect();
    let ways = ["native-mlx+f16", "native-mlx+bf16", "native-mlx+pipelined"];
    assert_eq!(names, [&["native", "native-mlx"][..], &ways].concat());
    for (entry, computed) in entries[1..].iter().zip(["f32", "f16", "bf16", "f32, pipelined"]) {
        let weights = entry["loaded"]["weights"].as_str().unwrap();
        assert!(weights.ends_with(&format!("computed in {computed}")), "{weights}");
        assert_eq!(entry["rows"][0]["runs"].as_array().unwrap().len(), 8, "{entry}");
    }
    assert!(said.contains("--device auto never takes MLX on a processor"), "{said}");

    // As if this had been a GPU: what was kept decides.
    let caches = machine.home.path().join("cache/whisper-speedtest");
    let change = |file: &str, change: &dyn Fn(&mut Value)| {
        let mut json = serde_json::from_str(&fs::read_to_string(caches.join(file)).unwrap()).unwrap();
        change(&mut json);
        fs::write(caches.join(file), json.to_string()).unwrap();
    };
    let keep = |on_processor: bool, way: &str| {
        change("tuned.json", &|json| {
            json["mlx"]["about"]["device"] = "metal".into();
            for (_, fastest) in json["models"].as_object_mut().unwrap() {
                *fastest = json!({"on_processor": on_processor, "way": way});
            }
        });
    };
    change("mlx/enabled.json", &|json| json["about"]["device"] = "metal".into());
    let taken = |device: &str| {
        let arguments = [
            "transcribe",
            RECORDING,
            "-m",
            &model,
            "-f",
            "json",
            "--temperature-increment-on-fallback",
            "None",
        ];
        let end = command(&[&arguments[..], &["--device", device]].concat())
            .assert()
            .success();
        let said = String::from_utf8_lossy(&end.get_output().stderr).into_owned();
        let json: Value = serde_json::from_slice(&end.get_output().stdout).unwrap();
        let of = |name: &str| json["model"][name].as_str().unwrap().to_owned();
        (
            of("device").replace(|c: char| c.is_ascii_digit() || c == '.', ""),
            of("compute"),
            said,
        )
    };
    let on_mlx = "cpu (MLX )";
    keep(false, "f16");
    let (device, compute, _) = taken("auto");
    assert_eq!((device.as_str(), compute.as_str()), (on_mlx, "f16"));
    keep(true, "pipelined");
    let (device, _, said) = taken("auto");
    assert!(device == "cpu" && said.contains("found it faster"), "{device}: {said}");
    let (device, compute, _) = taken("mlx");
    assert_eq!((device.as_str(), compute.as_str()), (on_mlx, "f32, pipelined"));
    change("tuned.json", &|json| json["version"] = "0.0.0".into());
    let (device, compute, _) = taken("auto");
    assert_eq!(
        (device.as_str(), compute.as_str()),
        (on_mlx, "f32"),
        "measured with another version"
    );
    fs::write(caches.join("tuned.json"), "{").unwrap();
    assert_eq!(taken("auto").0, on_mlx);
}

/// In float32 the texts of real recordings are the CPU engine's, token by token. `tools/compare-devices.py` hears them all.
#[test]
fn texts_are_the_cpu_engines() {
    const TEST: &str = "texts_are_the_cpu_engines";
    let Some(mlx) = mlx(TEST) else {
        return;
    };
    let machine = Machine::new();
    for (recording, language, model) in [
        ("ds_new_home.flac", "en", "whisper-tiny.en-mlx"),
        ("cheetah_en.flac", "en", "whisper-tiny.en-mlx"),
        ("cheetah_de.flac", "de", "whisper-base-mlx-8bit"),
    ] {
        let recording = support::shared(TEST, &format!("audio/dev/{recording}"));
        let (Some(recording), Some(model)) = (recording, support::shared(TEST, &format!("models/{model}"))) else {
            continue;
        };
        let paths = [&recording, &model].map(|path| fs::canonicalize(path).unwrap().to_str().unwrap().to_owned());
        let heard = ["cpu", "mlx"].map(|device| {
            let mut command = machine.command(&["transcribe", &paths[0], "-m", &paths[1], "--language", language]);
            command.args([
                "-f",
                "json",
                "--compute",
                "f32",
                "--temperature",
                "0",
                "--device",
                device,
            ]);
            command.args(["--temperature-increment-on-fallback", "None"]);
            command.env("WHISPER_MLX", &mlx).env("PATH", machine.path(true));
            let json: Value = serde_json::from_slice(&command.assert().success().get_output().stdout).unwrap();
            let is_on_mlx = json["model"]["device"].as_str().unwrap().contains("MLX");
            assert_eq!(is_on_mlx, device == "mlx");
            let segments = json["segments"].as_array().unwrap().iter();
            (
                json["text"].clone(),
                segments.map(|segment| segment["tokens"].clone()).collect::<Vec<_>>(),
            )
        });
        assert!(!heard[0].1.is_empty());
        assert_eq!(heard[0], heard[1], "{}", recording.display());
    }
}

/// A Whisper of one layer that computes as any other, and after a first timestamp always says that the text ends: its weights are
/// 0 but for the last shift and the row of that token.
fn deaf(home: &Path) -> String {
    const END_OF_TEXT: usize = 50_256;
    const WIDTH: usize = 64;
    let dims = Dims {
        n_mels: 80,
        n_audio_ctx: 1500,
        n_audio_state: WIDTH,
        n_audio_head: 1,
        n_audio_layer: 1,
        n_vocab: 51_864,
        n_text_ctx: 448,
        n_text_state: WIDTH,
        n_text_head: 1,
        n_text_layer: 1,
    };
    let (mut header, mut weights) = (serde_json::Map::new(), Vec::<u16>::new());
    for part in parts(&dims) {
        let (name, shape) = match part {
            Part::Plain { name, shape } => (name, shape),
            Part::Matrix { path, n, k } => (format!("{path}.weight"), vec![n, k]),
        };
        let start = weights.len();
        weights.resize(start + shape.iter().product::<usize>(), 0);
        let ones = match name.as_str() {
            "decoder.ln.bias" => 0..WIDTH,
            "decoder.token_embedding.weight" => END_OF_TEXT * WIDTH..(END_OF_TEXT + 1) * WIDTH,
            _ => 0..0,
        };
        weights[start..][ones].fill(0x3c00); // 1 in 16 bits
        let place = json!({"dtype": "F16", "shape": shape, "data_offsets": [2 * start, 2 * weights.len()]});
        header.insert(name, place);
    }
    let folder = home.join("deaf");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("config.json"), serde_json::to_string(&dims).unwrap()).unwrap();
    let header = Value::Object(header).to_string();
    let weights: Vec<u8> = weights.iter().flat_map(|value| value.to_le_bytes()).collect();
    let whole = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &weights].concat();
    fs::write(folder.join("weights.safetensors"), whole).unwrap();
    folder.to_str().unwrap().to_owned()
}
