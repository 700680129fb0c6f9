//! The other side of the protocol, for what this program itself runs: its own engine, and programs that know no protocol.

use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, ensure};

use super::protocol::{Reply, Request};

/// Answers requests, all but `bye`.
pub(super) trait Runner {
    /// # Errors
    /// It cannot; that is a reply like any other.
    fn answer(&mut self, request: Request) -> anyhow::Result<Reply>;
}

/// Serves the protocol on standard input and output until `bye` or the end of the requests.
///
/// # Errors
/// The replies cannot be written, or a line is no request.
pub(super) fn serve(mut runner: impl Runner) -> anyhow::Result<()> {
    let mut replies = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let request = serde_json::from_str(&line).with_context(|| format!("no request: {line:?}"))?;
        if request == Request::Bye {
            break;
        }
        let reply = runner.answer(request).unwrap_or_else(|error| Reply::Error {
            message: format!("{error:#}"),
        });
        let mut line = serde_json::to_vec(&reply)?;
        line.push(b'\n');
        replies.write_all(&line)?;
        replies.flush()?;
    }
    Ok(())
}

/// Raw 32-bit floats, little-endian.
///
/// # Errors
/// The file cannot be read, or does not hold as many as `expected`.
pub(super) fn read_samples(path: &Path, expected: u64) -> anyhow::Result<Vec<f32>> {
    let bytes = fs::read(path)?;
    let (whole, rest) = bytes.as_chunks();
    ensure!(
        rest.is_empty() && whole.len() as u64 == expected,
        "expected {expected} samples of 4 bytes, found {} bytes",
        bytes.len()
    );
    Ok(whole.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}
