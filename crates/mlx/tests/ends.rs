//! How a process ends that uses MLX, whatever happens in it: by the exit status of a child.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking; a child talks to its parent"
)]
#![cfg(unix)]

mod support;

use std::path::Path;
use std::process::{Command, Output, exit};
use std::thread;
use std::time::Duration;

use mlx::network::{self, Form};
use mlx::{Mlx, MlxModel, Options};
use whisper::model::{Feed, MelWindow, Model, Token};

/// Names what a child is to do.
const TASK: &str = "WHISPER_MLX_TEST_TASK";

/// Work that is begun and not waited for.
const PIPELINED: &str = ", pipelined";

/// The code of a child that ends itself.
const CODE: i32 = 7;

#[test]
fn probe_child() {
    support::probe_child();
}

/// What this process does where it was started as a child.
#[test]
fn child() {
    let Ok(task) = std::env::var(TASK) else { return };
    let mlx = support::mlx("child").unwrap();
    let pipelined = task.ends_with(PIPELINED);
    match task.trim_end_matches(PIPELINED) {
        "return" => drop(compute(&mlx, pipelined)), // and the harness returns from `main`
        "return with everything alive" => std::mem::forget(compute(&mlx, pipelined)),
        "return at work" => work_on(mlx, pipelined),
        "exit" => {
            drop(compute(&mlx, pipelined));
            exit(CODE);
        }
        "exit at work" => {
            work_on(mlx, pipelined);
            exit(CODE);
        }
        "fail while building" => fail(mlx.provoke(false)),
        "fail while evaluating" => fail(mlx.provoke(true)),
        "open another" => {
            let places = support::places();
            let installation = places.candidates().remove(0).verdict.unwrap();
            fail(Mlx::open(Path::new("/another/wmx.so"), &installation, false));
        }
        _ => panic!("no such task: {task}"),
    }
}

/// Ends with 1 and the reason on standard error, as the program does.
fn fail<T, E: std::fmt::Display>(result: Result<T, E>) {
    let Err(error) = result else { exit(0) };
    #[expect(clippy::print_stderr, reason = "the parent reads it")]
    {
        eprintln!("{error}");
    }
    exit(1);
}

/// A model that has computed, a window and a hypothesis, all there until they are dropped.
fn compute(mlx: &Mlx, pipelined: bool) -> impl Sized + use<> {
    let options = Options {
        threads: Some(1),
        pipelined: Some(pipelined),
        ..Options::default()
    };
    let model = MlxModel::load(mlx, network::checkpoint(Form::Dense).unwrap(), &options).unwrap();
    let mel = network::mel();
    let window = MelWindow {
        values: &mel,
        n_mels: network::N_MELS,
    };
    let audio = model.encode(&[window]).unwrap().remove(0);
    let mut hypothesis = model.begin(&audio).unwrap();
    step(&model, &mut hypothesis, 1);
    (hypothesis, audio, model)
}

/// Leaves a thread at work that never ends by itself, in the middle of it.
fn work_on(mlx: Mlx, pipelined: bool) {
    thread::spawn(move || {
        loop {
            drop(compute(&mlx, pipelined));
        }
    });
    thread::sleep(Duration::from_millis(150));
}

fn step(model: &MlxModel, hypothesis: &mut mlx::Hypothesis, token: u32) {
    let mut feed = [Feed {
        hypothesis,
        tokens: &[Token(token)],
        rows: &[0],
    }];
    model.step(&mut feed, &mut Vec::new()).unwrap();
}

fn run(task: &str) -> Output {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "child", "--nocapture"]).env(TASK, task);
    child.output().unwrap()
}

/// By whichever way: the code is the one that was meant, and no signal. Before ends were put in order, one of two crashed;
/// `WHISPER_TEST_ALL` tries each a hundred times.
#[test]
fn every_end_is_orderly() {
    if support::mlx("every_end_is_orderly").is_none() {
        return;
    }
    let times = if std::env::var_os("WHISPER_TEST_ALL").is_some() {
        100
    } else {
        8
    };
    for (task, code) in [
        ("return", 0),
        ("return with everything alive", 0),
        ("return at work", 0),
        ("exit", CODE),
        ("exit at work", CODE),
    ] {
        for task in [task, &format!("{task}{PIPELINED}")] {
            for time in 0..times {
                let end = run(task);
                let said = String::from_utf8_lossy(&end.stderr);
                assert_eq!(
                    end.status.code(),
                    Some(code),
                    "{task}, time {time}: {}: {said}",
                    end.status
                );
            }
        }
    }
}

/// What MLX throws ends in an error: while a graph is built, and while it is evaluated on a thread of MLX.
#[test]
fn what_is_thrown_is_an_error() {
    if support::mlx("what_is_thrown_is_an_error").is_none() {
        return;
    }
    for (task, words) in [
        ("fail while building", "MLX: [matmul]"),
        ("fail while evaluating", "LU factorization"),
        ("open another", "a process can have one MLX"),
    ] {
        let end = run(task);
        let said = String::from_utf8_lossy(&end.stderr);
        assert_eq!(end.status.code(), Some(1), "{task}: {}: {said}", end.status);
        assert!(said.contains(words), "{task}: {said}");
    }
}
