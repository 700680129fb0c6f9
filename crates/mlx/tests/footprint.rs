//! What MLX has in memory: a process of its own, since MLX counts for all of one.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking; a child talks to its parent"
)]

mod support;

use mlx::network::{self, Form};
use mlx::{MlxModel, Options};
use whisper::model::{MelWindow, Model, Token};

#[test]
fn probe_child() {
    support::probe_child();
}

/// 200 windows with `WHISPER_TEST_ALL`, else 40, one or three at a time, with texts of 1 to 61 tokens: what MLX keeps stays below its
/// limit, and what it uses in the end is the model.
#[test]
fn the_footprint_is_flat() {
    let Some(mlx) = support::mlx("the_footprint_is_flat") else {
        return;
    };
    let model = MlxModel::load(&mlx, network::checkpoint(Form::Dense).unwrap(), &Options::default()).unwrap();
    let mel = network::mel();
    let alone = mlx.memory().unwrap().active;
    let (mut most, mut used) = (0, 0);
    let times = if std::env::var_os("WHISPER_TEST_ALL").is_some() {
        100
    } else {
        20
    };
    for i in 0..times {
        let window = MelWindow {
            values: &mel[..network::N_MELS * (10 + 2800 / times * i)],
            n_mels: network::N_MELS,
        };
        let audio = model.encode(&vec![window; 1 + i % 2 * 2]).unwrap();
        let tokens: Vec<Token> = (0..).take(1 + i % 61).map(Token).collect();
        model.align(&audio[i % audio.len()], &tokens, &[]).unwrap();
        let memory = mlx.memory().unwrap();
        most = most.max(memory.cached);
        used = used.max(memory.peak);
    }
    let now = mlx.memory().unwrap();
    assert!(most <= 512 << 20, "{most} bytes are kept");
    assert!(used > alone, "{used} bytes at most: nothing was counted");
    assert_eq!(
        now.active, alone,
        "of {used} bytes at most, windows and texts are not given back"
    );
}
