//! What the user sees of a recording while it is transcribed.

use std::fmt;
use std::io;

use crate::console::{Console, Progress};
use crate::engine::Listener;
use crate::output::{ModelUsed, Writer};
use whisper::transcript::{Segment, Transcript};

/// Shows segments and progress as they come.
pub(super) struct Live<'a> {
    /// For standard output, if anything is printed.
    writer: Option<Writer>,
    console: &'a Console,
    progress: Progress<'a>,
}

impl<'a> Live<'a> {
    /// Prints what stands before the first segment, where there is a writer.
    pub(super) fn begin(
        writer: Option<Writer>,
        console: &'a Console,
        progress: Progress<'a>,
    ) -> anyhow::Result<Live<'a>> {
        let live = Live {
            writer,
            console,
            progress,
        };
        live.print(live.writer.as_ref().map_or("", Writer::head))?;
        Ok(live)
    }

    /// Prints what stands after the last segment.
    pub(super) fn end(mut self, transcript: &Transcript, model: &ModelUsed) -> anyhow::Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let tail = writer.tail(transcript, model);
        self.print(&end_of_line(tail))
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
        match &mut self.writer {
            Some(writer) => {
                let text = writer.segment(segment);
                self.print(&text)
            }
            None => Ok(()),
        }
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
    if text.is_empty() || text.ends_with('\n') {
        text
    } else {
        text + "\n"
    }
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
