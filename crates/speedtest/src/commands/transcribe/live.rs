//! What the user sees of a recording while it is transcribed.

use std::fmt;
use std::io;

use crate::console::{Console, Progress};
use crate::engine::Listener;
use crate::output::{Format, ModelUsed};
use whisper::transcript::{Segment, Transcript};

/// Shows segments and progress as they come.
pub(super) struct Live<'a> {
    /// The form on standard output, if any.
    format: Option<Format>,
    found: usize,
    console: &'a Console,
    progress: Progress<'a>,
}

impl<'a> Live<'a> {
    /// Prints what stands before the first segment, where a form is given.
    pub(super) fn begin(
        format: Option<Format>,
        console: &'a Console,
        progress: Progress<'a>,
    ) -> anyhow::Result<Live<'a>> {
        let live = Live {
            format,
            found: 0,
            console,
            progress,
        };
        live.print(format.map_or("", Format::head))?;
        Ok(live)
    }

    /// Prints what stands after the last segment.
    pub(super) fn end(self, transcript: &Transcript, model: &ModelUsed) -> anyhow::Result<()> {
        let Some(format) = self.format else { return Ok(()) };
        self.print(&end_of_line(format.tail(transcript, model)))
    }

    fn print(&self, text: &str) -> anyhow::Result<()> {
        if !text.is_empty() {
            self.console.result(text).map_err(StandardOutput)?;
        }
        Ok(())
    }
}

impl Listener for Live<'_> {
    fn segment(&mut self, segment: &Segment) -> anyhow::Result<()> {
        if let Some(format) = self.format {
            self.print(&format.segment(self.found, segment))?;
        }
        self.found += 1;
        Ok(())
    }

    fn reading(&mut self, done_s: f64, stated_s: Option<f64>) {
        self.progress.reading(done_s, stated_s);
    }

    fn progress(&mut self, done_s: f64, total_s: f64) {
        self.progress.transcribing(done_s, total_s);
    }

    fn warning(&mut self, warning: &str) {
        self.console.warning(warning);
    }
}

/// mlx_whisper's json files have no end of line; on a terminal the prompt should not follow the brace.
fn end_of_line(text: String) -> String {
    if text.is_empty() { text } else { text + "\n" }
}

/// Standard output cannot be written: no fault of a recording.
#[derive(Debug)]
pub(super) struct StandardOutput(io::Error);

impl fmt::Display for StandardOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("standard output")
    }
}

impl std::error::Error for StandardOutput {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}
