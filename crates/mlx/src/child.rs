//! Children whose end is waited for, but not for ever.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How a child ended, and what it said.
pub(crate) struct Outcome {
    pub(crate) succeeded: bool,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// What it complained of, shortened for an error of ours: lines that call themselves errors, else the first ones.
    pub(crate) fn first_lines(&self) -> String {
        let lines: Vec<&str> = self.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
        let errors: Vec<&str> = lines.iter().copied().filter(|line| line.contains("error")).collect();
        let told = if errors.is_empty() { &lines } else { &errors };
        let told: Vec<String> = told
            .iter()
            .take(3)
            .map(|line| line.chars().take(300).collect())
            .collect();
        match told.is_empty() {
            true => format!("it said nothing ({})", self.status),
            false => told.join("; "),
        }
    }
}

/// Runs a command without input until it ends; kills it after `limit`.
///
/// # Errors
/// It cannot be started, or takes too long.
pub(crate) fn output(command: &mut Command, limit: Duration) -> Result<Outcome, String> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cannot be started: {error}"))?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let status = wait(&mut child, limit).map_err(|error| format!("cannot be waited for: {error}"))?;
    let Some(status) = status else {
        let _ = child.kill(); // it may have ended just now
        let _ = child.wait();
        return Err(format!("has taken more than {} s", limit.as_secs()));
    };
    let text =
        |reader: thread::JoinHandle<Vec<u8>>| String::from_utf8_lossy(&reader.join().unwrap_or_default()).into_owned();
    Ok(Outcome {
        succeeded: status.success(),
        status,
        stdout: text(stdout),
        stderr: text(stderr),
    })
}

/// Reads to the end, keeping the first megabyte.
fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.by_ref().take(1 << 20).read_to_end(&mut text); // what could be read is what there is
            let _ = std::io::copy(&mut pipe, &mut std::io::sink());
        }
        text
    })
}

fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let began = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if began.elapsed() > limit {
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (2 * pause).min(Duration::from_millis(50));
    }
}
