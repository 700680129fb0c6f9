//! Tells the program what it is built with: the bundled model and recording where their files are, and the target.

use std::path::Path;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/whisper-base-mlx-5bit");
    let weights = folder.join("weights.safetensors");

    println!("cargo::rustc-check-cfg=cfg(bundled_model)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", weights.display());
    let bundled = std::env::var_os("CARGO_FEATURE_BUNDLED").is_some() && weights.is_file();
    if bundled {
        println!("cargo::rustc-cfg=bundled_model");
        println!("cargo::rustc-env=BUNDLED_MODEL={}", folder.display());
    }
    println!(
        "cargo::rustc-env=BUILT_WITH={}",
        if bundled { "bundled" } else { "none" }
    );

    let recording = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/jfk.flac");
    println!("cargo::rustc-check-cfg=cfg(bundled_recording)");
    println!("cargo::rerun-if-changed={}", recording.display());
    if recording.is_file() {
        println!("cargo::rustc-cfg=bundled_recording");
        println!("cargo::rustc-env=BUNDLED_RECORDING={}", recording.display());
    }

    let target = std::env::var("TARGET").expect("cargo sets TARGET for build scripts");
    println!("cargo::rustc-env=TARGET={target}");
}
