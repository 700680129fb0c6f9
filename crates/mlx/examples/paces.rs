//! How long encoding and steps take on an installed MLX; `benches/mlx/pairs.py` runs it beside mlx_whisper's network.
//!
//!     cargo run --release -p mlx --example paces -- SHIM INSTALLATION MODEL [THREADS]
//!
//! Each line of standard input is `encode N` (N times: a window, and the first step over it) or `step N` (N steps); the answer
//! is the median of the seconds of one. A first line says what computes.
#![allow(clippy::print_stdout, reason = "an example")]

use std::error::Error;
use std::io::BufRead;
use std::path::Path;
use std::time::Instant;

use mlx::{Installation, Mlx, MlxModel, Options};
use whisper::model::{Feed, MEL_FRAMES, MelWindow, Model, Token};
use whisper::weights::Checkpoint;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [shim, installation, model, rest @ ..] = &arguments[..] else {
        return Err("SHIM INSTALLATION MODEL [THREADS]".into());
    };
    let mlx = Mlx::open(Path::new(shim), &Installation::at(Path::new(installation))?, false)?;
    let options = Options {
        threads: rest.first().map(|threads| threads.parse()).transpose()?,
        ..Options::default()
    };
    let model = MlxModel::load(&mlx, Checkpoint::open(Path::new(model))?, &options)?;
    println!("{}", serde_json::to_string(mlx.about())?);

    let n_mels = model.dims().n_mels;
    let mel: Vec<f32> = (0..MEL_FRAMES * n_mels).map(|i| (i as f32 * 0.37).sin()).collect();
    let window = MelWindow { values: &mel, n_mels };
    let mut logits = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (what, n) = line.split_once(' ').ok_or("encode N or step N")?;
        let mut seconds = Vec::new();
        let mut hypothesis = model.begin(&model.encode(&[window])?[0])?;
        for i in 0..n.parse::<usize>()? {
            let began = Instant::now();
            if what == "encode" {
                hypothesis = model.begin(&model.encode(&[window])?[0])?;
            }
            let mut feed = [Feed {
                hypothesis: &mut hypothesis,
                tokens: &[Token(u32::try_from(i % 100)?)],
                rows: &[0],
            }];
            model.step(&mut feed, &mut logits)?;
            seconds.push(began.elapsed().as_secs_f64());
        }
        seconds.sort_by(f64::total_cmp);
        println!("{}", seconds[seconds.len() / 2]);
    }
    Ok(())
}
