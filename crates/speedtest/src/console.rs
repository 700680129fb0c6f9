//! What the user sees: results on standard output, messages and progress on standard error.
//!
//! Names of files and what a model wrote are anybody's bytes; on a terminal, control characters could move the cursor,
//! recolour or retitle it. They are shown as escapes there, and left alone in files and pipes.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::cli::ConsoleArgs;

/// Where messages go.
pub(crate) struct Console {
    level: Level,
    colours: bool,
    /// The bar that is on the terminal, if any: whoever prints makes it step aside.
    bar: Mutex<ProgressBar>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Quiet,
    Normal,
    Verbose,
}

impl Console {
    pub(crate) fn new(args: &ConsoleArgs) -> Console {
        let level = match (args.quiet, args.verbose) {
            (true, _) => Level::Quiet,
            (false, true) => Level::Verbose,
            (false, false) => Level::Normal,
        };
        let wanted = !args.no_color && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Console {
            level,
            colours: wanted && io::stderr().is_terminal(),
            bar: Mutex::new(ProgressBar::hidden()),
        }
    }

    /// Something failed.
    pub(crate) fn error(&self, message: impl Display) {
        self.say("error: ", "1;31", message);
    }

    /// Something is not as one would expect.
    pub(crate) fn warning(&self, message: impl Display) {
        if self.level > Level::Quiet {
            self.say("warning: ", "1;33", message);
        }
    }

    /// What is good to know.
    pub(crate) fn note(&self, message: impl Display) {
        if self.level > Level::Quiet {
            self.say("", "", message);
        }
    }

    /// What only the curious want to know.
    pub(crate) fn detail(&self, message: impl Display) {
        if self.level > Level::Normal {
            self.say("", "", message);
        }
    }

    /// A piece of the result, on standard output, at once.
    ///
    /// # Errors
    /// The reader has closed the pipe, the disk is full, ...
    pub(crate) fn result(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let text = if out.is_terminal() {
            printable(text)
        } else {
            Cow::Borrowed(text)
        };
        self.aside(|| {
            out.write_all(text.as_bytes())?;
            out.flush()
        })
    }

    /// Shows how far the work on a recording is, until the guard is dropped; nothing where nobody watches.
    pub(crate) fn progress(&self, name: &str) -> Progress<'_> {
        let bar = if self.level > Level::Quiet && io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style());
            bar.set_message(printable(name).into_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        } else {
            ProgressBar::hidden()
        };
        *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = bar.clone();
        Progress { console: self, bar }
    }

    fn say(&self, tag: &str, colour: &str, message: impl Display) {
        let message = message.to_string();
        let message = if io::stderr().is_terminal() {
            printable(&message)
        } else {
            Cow::Borrowed(message.as_str())
        };
        let line = if self.colours && !tag.is_empty() {
            format!("\x1b[{colour}m{tag}\x1b[0m{message}\n")
        } else {
            format!("{tag}{message}\n")
        };
        // Nobody is left to tell where standard error is closed.
        let _ = self.aside(|| io::stderr().write_all(line.as_bytes()));
    }

    fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner).suspend(print)
    }
}

/// The progress of one recording.
pub(crate) struct Progress<'a> {
    console: &'a Console,
    bar: ProgressBar,
}

impl Progress<'_> {
    /// So many seconds of so many are done.
    pub(crate) fn set(&self, done_s: f64, total_s: f64) {
        self.bar.set_length(milliseconds(total_s));
        self.bar.set_position(milliseconds(done_s));
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        *self.console.bar.lock().unwrap_or_else(PoisonError::into_inner) = ProgressBar::hidden();
    }
}

/// Audio time, speed against real time, time left; the bar counts milliseconds of audio.
fn style() -> ProgressStyle {
    let of_audio = |state: &ProgressState, out: &mut dyn fmt::Write| {
        let _ = write!(
            out,
            "{} of {}",
            clock(seconds(state.pos())),
            clock(seconds(state.len().unwrap_or(0)))
        );
    };
    let speed = |state: &ProgressState, out: &mut dyn fmt::Write| {
        let spent = state.elapsed().as_secs_f64();
        if state.pos() > 0 && spent > 0.0 {
            let _ = write!(out, "{:.1}x", seconds(state.pos()) / spent);
        }
    };
    ProgressStyle::with_template("{msg} {bar:24} {audio} {speed} {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("audio", of_audio)
        .with_key("speed", speed)
}

/// `2:07`, `1:02:07`.
pub(crate) fn clock(seconds: f64) -> String {
    let seconds = milliseconds(seconds) / 1000;
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

fn seconds(milliseconds: u64) -> f64 {
    Duration::from_millis(milliseconds).as_secs_f64()
}

#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and NaN gives 0")]
fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0) as u64
}

/// `text` with control characters as escapes, but for ends of lines and tabs.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let unprintable = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(unprintable) {
        return Cow::Borrowed(text);
    }
    let escaped = text.chars().fold(String::new(), |mut escaped, c| {
        if unprintable(c) {
            escaped.extend(c.escape_default())
        } else {
            escaped.push(c)
        }
        escaped
    });
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_control_characters() {
        assert_eq!(printable("größer\tals\n日本"), "größer\tals\n日本");
        assert_eq!(
            printable("\x1b[2Jgone\r\u{9b}31m\x07\x7f"),
            "\\u{1b}[2Jgone\\r\\u{9b}31m\\u{7}\\u{7f}"
        );
    }

    #[test]
    fn times_are_read_as_on_a_clock() {
        assert_eq!(
            [0.0, 127.9, 3727.0, f64::NAN].map(clock),
            ["0:00", "2:07", "1:02:07", "0:00"]
        );
    }
}
