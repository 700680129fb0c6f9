//! What the user sees: results on standard output, messages and progress on standard error.
//!
//! Names of files and what a model wrote are anybody's bytes; on a terminal, control characters could move the cursor,
//! recolour or retitle it. They are shown as escapes there, and left alone in files and pipes.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::cli::ConsoleArgs;

/// Where messages go.
pub(crate) struct Console {
    level: Level,
    /// Of messages.
    colours: bool,
    /// Of results.
    result_colours: bool,
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
            result_colours: wanted && io::stdout().is_terminal(),
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

    /// Whether results may have colours.
    pub(crate) fn colours_results(&self) -> bool {
        self.result_colours
    }

    /// As [`result`](Console::result), for text whose escape sequences are our own and whose names are
    /// [`printable`] already.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn coloured_result(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        self.aside(|| {
            out.write_all(text.as_bytes())?;
            out.flush()
        })
    }

    /// Shows in a line what is being done, until the guard is dropped; nothing where nobody watches.
    pub(crate) fn status(&self) -> Status<'_> {
        let bar = if self.shows_bars() {
            let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style)
        } else {
            ProgressBar::hidden()
        };
        *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = bar.clone();
        Status { console: self, bar }
    }

    /// Shows how far the work on a recording is, until the guard is dropped: a bar on a terminal, else a line now and
    /// then.
    pub(crate) fn progress(&self, name: &str) -> Progress<'_> {
        let bar = if self.shows_bars() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style());
            bar.set_message(printable(name).into_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        } else {
            ProgressBar::hidden()
        };
        *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = bar.clone();
        let now = Instant::now();
        Progress {
            console: self,
            name: name.to_owned(),
            bar,
            transcribing_since: None,
            line_due: now + FIRST_LINE,
        }
    }

    /// A question that can be answered with yes or no at the terminal; `None` where there is none. Only a yes is one.
    ///
    /// # Errors
    /// The terminal cannot be read.
    pub(crate) fn ask(&self, question: impl Display) -> io::Result<Option<bool>> {
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Ok(None);
        }
        let question = question.to_string();
        self.aside(|| eprint!("{}? [y/N] ", printable(&question)));
        let mut answer = String::new();
        if io::stdin().read_line(&mut answer)? == 0 {
            eprintln!(); // Ctrl-D leaves the line open
        }
        Ok(Some(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")))
    }

    /// Whether anything but errors is said.
    pub(crate) fn speaks(&self) -> bool {
        self.level > Level::Quiet
    }

    /// Whether progress is drawn.
    pub(crate) fn shows_bars(&self) -> bool {
        self.speaks() && io::stderr().is_terminal()
    }

    /// Makes messages step aside for a bar, or for the group that it belongs to, until the guard is dropped.
    pub(crate) fn bars(&self, bar: ProgressBar) -> Bars<'_> {
        if !self.shows_bars() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = bar.clone();
        Bars { console: self, bar }
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

    fn take_away(&self, bar: &ProgressBar) {
        bar.finish_and_clear();
        *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = ProgressBar::hidden();
    }

    fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner).suspend(print)
    }
}

/// The progress of one recording.
pub(crate) struct Progress<'a> {
    console: &'a Console,
    name: String,
    bar: ProgressBar,
    transcribing_since: Option<Instant>,
    /// Where there is no bar.
    line_due: Instant,
}

/// Short work needs no lines.
const FIRST_LINE: Duration = Duration::from_secs(2);
const BETWEEN_LINES: Duration = Duration::from_secs(10);

impl Progress<'_> {
    /// So many seconds have been read, of as many as the recording says it has.
    pub(crate) fn reading(&mut self, done_s: f64, stated_s: Option<f64>) {
        if let Some(stated_s) = stated_s {
            self.bar.set_length(milliseconds(stated_s.max(done_s)));
        }
        self.bar.set_prefix("reading ");
        self.bar.set_position(milliseconds(done_s));
        self.line(|| format!("reading {}", so_far(done_s, stated_s, None)));
    }

    /// So many seconds of so many are transcribed.
    pub(crate) fn transcribing(&mut self, done_s: f64, total_s: f64) {
        if self.transcribing_since.is_none() {
            self.bar.reset(); // the speed of reading is not that of transcribing
            self.bar.set_prefix("");
        }
        let since = *self.transcribing_since.get_or_insert_with(Instant::now);
        self.bar.set_length(milliseconds(total_s));
        self.bar.set_position(milliseconds(done_s));
        if done_s < total_s {
            self.line(|| so_far(done_s, Some(total_s), Some(since.elapsed())));
        }
    }

    fn line(&mut self, text: impl FnOnce() -> String) {
        let now = Instant::now();
        if now >= self.line_due && self.bar.is_hidden() {
            self.line_due = now + BETWEEN_LINES;
            self.console.note(format_args!("{}: {}", self.name, text()));
        }
    }
}

/// `0:27 of 2:07, 11.9x, 0:08 left`: audio time, speed against real time, time left.
fn so_far(done_s: f64, total_s: Option<f64>, spent: Option<Duration>) -> String {
    let mut text = clock(done_s);
    if let Some(total_s) = total_s {
        text += &format!(" of {}", clock(total_s));
    }
    if let (Some(total_s), Some(spent)) = (total_s, spent)
        && done_s > 0.0
    {
        let (spent, left) = (
            spent.as_secs_f64(),
            spent.mul_f64((total_s / done_s - 1.0).clamp(0.0, 1e6)),
        );
        text += &format!(", {:.1}x, {} left", done_s / spent.max(1e-3), clock(left.as_secs_f64()));
    }
    text
}

/// A line that changes.
pub(crate) struct Status<'a> {
    console: &'a Console,
    bar: ProgressBar,
}

impl Status<'_> {
    pub(crate) fn say(&self, text: &str) {
        self.bar.set_message(printable(text).into_owned());
        self.bar.tick();
    }
}

/// A bar that somebody else moves.
pub(crate) struct Bars<'a> {
    console: &'a Console,
    pub(crate) bar: ProgressBar,
}

impl Drop for Bars<'_> {
    fn drop(&mut self) {
        self.console.take_away(&self.bar);
    }
}

impl Drop for Status<'_> {
    fn drop(&mut self) {
        self.console.take_away(&self.bar);
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.console.take_away(&self.bar);
    }
}

/// The bar counts milliseconds of audio.
fn style() -> ProgressStyle {
    let so_far = |state: &ProgressState, out: &mut dyn fmt::Write| {
        let _ = out.write_str(&so_far(
            seconds(state.pos()),
            state.len().map(seconds),
            Some(state.elapsed()),
        ));
    };
    ProgressStyle::with_template("{spinner} {msg} {bar:24} {prefix}{so_far}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("so_far", so_far)
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

/// An error and its causes with `: ` between them, as `{:#}` has it; a cause that was said at the end of the message before, as some
/// libraries do, is not said again.
pub(crate) struct Causes<'a>(pub(crate) &'a anyhow::Error);

impl Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = String::new();
        for cause in self.0.chain().map(ToString::to_string) {
            if said.is_empty() {
                said = cause;
            } else if !said.ends_with(&cause) {
                said = format!("{said}: {cause}");
            }
        }
        f.write_str(&said)
    }
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
    fn causes_are_said_once() {
        #[derive(Debug)]
        struct Says(&'static str, Option<io::Error>);
        impl Display for Says {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0)
            }
        }
        impl std::error::Error for Says {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                self.1.as_ref().map(|error| error as _)
            }
        }
        let gone = || Some(io::Error::other("gone"));
        let said = |message| Causes(&anyhow::Error::new(Says(message, gone())).context("a.wav")).to_string();
        assert_eq!(said("cannot be read: gone"), "a.wav: cannot be read: gone");
        assert_eq!(said("cannot be read"), "a.wav: cannot be read: gone");
        assert_eq!(Causes(&anyhow::anyhow!("alone")).to_string(), "alone");
    }

    #[test]
    fn progress_is_audio_time_speed_and_time_left() {
        let spent = Some(Duration::from_secs(2));
        assert_eq!(so_far(30.0, Some(120.0), spent), "0:30 of 2:00, 15.0x, 0:06 left");
        assert_eq!(so_far(0.0, Some(120.0), spent), "0:00 of 2:00");
        assert_eq!(so_far(130.0, Some(120.0), spent), "2:10 of 2:00, 65.0x, 0:00 left");
        assert_eq!(so_far(30.0, None, None), "0:30");
    }

    #[test]
    fn times_are_read_as_on_a_clock() {
        assert_eq!(
            [0.0, 127.9, 3727.0, f64::NAN].map(clock),
            ["0:00", "2:07", "1:02:07", "0:00"]
        );
    }
}
