//! Rivals run for real, where `benches/rivals/setup.sh` has put them: `target/rivals`, or the folder that WHISPER_RIVALS names.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process::{Child, FailureKind};
use super::protocol::{Audio, Heard, Load, Loaded, Reply, Request, VERSION};
use super::*;
use crate::implementation::Here;

const LIMIT: Duration = Duration::from_secs(300);

/// The rivals and a file in their folder.
fn rivals(test: &str, file: &str) -> Option<(Here, PathBuf)> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/rivals");
    let folder = std::env::var_os("WHISPER_RIVALS").map_or(built, PathBuf::from);
    let file = folder.join(file);
    if !file.exists() {
        writeln!(
            std::io::stderr(),
            "skipped: {test}: no {} (benches/rivals/setup.sh)",
            file.display()
        )
        .unwrap();
        return None;
    }
    let here = Here {
        cache: Some(folder.join("cache/whisper-speedtest")),
        ..Here::default()
    };
    Some((here, file))
}

/// The bundled recording as samples.
fn samples(folder: &Path) -> Audio {
    let recording = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/jfk.flac");
    let mut audio = whisper::audio::AudioFile::open(&recording, &Default::default()).unwrap();
    let path = folder.join("0.f32");
    let mut bytes = Vec::new();
    while let Some(samples) = audio.next_chunk().unwrap() {
        bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    }
    std::fs::write(&path, &bytes).unwrap();
    Audio {
        audio: 0,
        path,
        samples: bytes.len() as u64 / 4,
        language: Some("en".into()),
    }
}

/// What an implementation hears in the bundled recording, twice.
fn hears(implementation: &dyn Implementation, here: &Here, weights: &Path) -> (Loaded, Heard) {
    let folder = tempfile::tempdir().unwrap();
    let start = implementation.start(here).unwrap();
    let mut child = Child::start(&start).unwrap();
    let mut ask = |request: Request| child.ask(&request, LIMIT).map(|(reply, _)| reply);
    let Ok(Reply::Hello(identity)) = ask(Request::Hello { protocol: VERSION }) else {
        panic!("no hello")
    };
    assert_eq!(identity.implementation, implementation.id());
    assert!(
        identity.version.starts_with(|c: char| c.is_ascii_digit()),
        "{identity:?}"
    );
    ask(Request::Audio(samples(folder.path()))).unwrap();

    let load = |path: &Path| {
        Request::Load(Load {
            model: "tiny.en".into(),
            path: Some(path.to_owned()),
            threads: 2,
        })
    };
    let refused = ask(load(&folder.path().join("none"))).unwrap_err();
    assert_eq!(refused.kind, FailureKind::Refused, "{refused:?}");
    let loaded = match ask(load(weights)) {
        Ok(Reply::Load(loaded)) => loaded,
        other => panic!("{other:?}"),
    };
    let mut transcribe = || match ask(Request::Transcribe { audio: 0 }) {
        Ok(Reply::Transcribe(heard)) => heard,
        other => panic!("{other:?}"),
    };
    let (first, second) = (transcribe(), transcribe());
    assert_eq!(first.text, second.text);
    let words = crate::accuracy::normalize(&first.text, "en");
    assert_eq!(
        words.trim(),
        "and so my fellow americans ask not what your country can do for you ask what you can do for your country"
    );
    child.end(Duration::from_secs(10));
    (loaded, second)
}

#[test]
fn faster_whisper_hears() {
    let Some((here, weights)) = rivals("faster_whisper_hears", "models/faster-whisper-tiny.en") else {
        return;
    };
    let (loaded, heard) = hears(&faster_whisper::FASTER_WHISPER, &here, &weights);
    assert!(loaded.weights.unwrap().starts_with("int8"));
    assert_eq!((loaded.differs, loaded.handicap), (vec![], None));
    assert!(heard.counts["tokens"] > 20);
}

#[test]
fn mlx_whisper_hears() {
    let test = "mlx_whisper_hears";
    let Some((here, weights)) = rivals(test, "models/whisper-tiny.en-mlx") else {
        return;
    };
    if let Err(why) = mlx_whisper::MLX_WHISPER.start(&here) {
        writeln!(std::io::stderr(), "skipped: {test}: {why}").unwrap();
        return;
    }
    let (loaded, heard) = hears(&mlx_whisper::MLX_WHISPER, &here, &weights);
    assert_eq!(loaded.weights.as_deref(), Some("dense"));
    assert_eq!(loaded.handicap.is_some(), loaded.device.as_deref() == Some("cpu"));
    assert!(heard.counts["tokens"] > 20);
}
