//! What a download looks like: on a terminal a bar for each file and one for all, else a line now and then.

use std::fmt;
use std::time::{Duration, Instant};

use hub::Event;
use indicatif::{DecimalBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::console::{Bars, Console, clock};
use crate::interrupt;

const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Shows the events of the model store.
pub(crate) struct Told<'a> {
    console: &'a Console,
    /// Of the download going on.
    download: Option<Download<'a>>,
    /// Of the file being hashed.
    hashing: Option<(String, Bars<'a>)>,
}

struct Download<'a> {
    name: String,
    bars: Vec<ProgressBar>,
    /// What was here before, so that the speed is that of the network.
    present: u64,
    bytes: u64,
    done: u64,
    since: Instant,
    line_due: Instant,
    all: Bars<'a>,
    /// Says what becomes of it when Ctrl-C ends the program.
    _stopped: interrupt::Guard,
}

impl<'a> Told<'a> {
    pub(crate) fn new(console: &'a Console) -> Told<'a> {
        Told {
            console,
            download: None,
            hashing: None,
        }
    }

    pub(crate) fn event(&mut self, event: Event) {
        let console = self.console;
        match event {
            Event::Started {
                repo,
                files,
                bytes,
                present,
                ..
            } => {
                self.hashing = None;
                let here = if present > 0 {
                    format!(", {} of it are here", DecimalBytes(present))
                } else {
                    String::new()
                };
                console.note(format_args!("downloading {repo}: {}{here}", DecimalBytes(bytes)));
                let files = files.iter().map(|(path, size)| (path.as_str(), *size));
                self.download = Some(Download::new(console, repo.to_string(), files, bytes, present));
            }
            Event::Progress { file, done, all_done } => {
                if let Some(download) = &mut self.download {
                    download.progress(file, done, all_done, console);
                }
            }
            Event::Finished { file } => {
                if let Some(bar) = self.download.as_ref().and_then(|download| download.bars.get(file)) {
                    bar.finish();
                }
            }
            Event::Verified { path, done, of } => {
                let path = path.to_string();
                if self.hashing.as_ref().is_none_or(|(name, _)| *name != path) {
                    self.hashing = None;
                    let bar = bar(&format!("verifying {path}"), of);
                    bar.set_draw_target(ProgressDrawTarget::stderr());
                    self.hashing = Some((path.clone(), console.bars(bar)));
                }
                if let Some((_, bars)) = &self.hashing {
                    bars.bar.set_position(done);
                }
                if done == of {
                    self.hashing = None;
                }
            }
            Event::Waiting { .. } => console.note("another process is fetching the same: waiting for it"),
            Event::Retrying { reason, after } => {
                console.note(format_args!(
                    "{reason}; trying again in {:.0} s",
                    after.as_secs_f64().ceil()
                ));
            }
            Event::Warning(warning) => console.warning(warning),
            _ => {}
        }
    }
}

impl<'a> Download<'a> {
    fn new<'f>(
        console: &'a Console,
        name: String,
        files: impl Iterator<Item = (&'f str, u64)>,
        bytes: u64,
        present: u64,
    ) -> Download<'a> {
        let group = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let shown = console.shows_bars();
        let add = |bar: ProgressBar| if shown { group.add(bar) } else { bar };
        let bars: Vec<_> = files.map(|(path, size)| add(bar(path, size))).collect();
        let all = add(bar("all", bytes));
        let now = Instant::now();
        let stopped = interrupt::before_end({
            let (group, says) = (group.clone(), console.speaks());
            move || {
                // The bars stay as they are: they say how far it came, and the `^C` on the terminal has moved the cursor.
                group.set_draw_target(ProgressDrawTarget::hidden());
                if says {
                    let below = if shown { "\n" } else { "" };
                    eprintln!("{below}stopped; what has come is kept, and the same command goes on from there");
                }
            }
        });
        Download {
            name,
            bars,
            present,
            bytes,
            done: present,
            since: now,
            line_due: now + BETWEEN_LINES,
            all: console.bars(all),
            _stopped: stopped,
        }
    }

    fn progress(&mut self, file: usize, done: u64, all_done: u64, console: &Console) {
        if let Some(bar) = self.bars.get(file) {
            bar.set_position(done);
        }
        self.done = all_done;
        self.all.bar.set_position(all_done);
        let now = Instant::now();
        if now >= self.line_due && !console.shows_bars() {
            self.line_due = now + BETWEEN_LINES;
            let speed = (all_done.saturating_sub(self.present)) as f64 / self.since.elapsed().as_secs_f64();
            console.note(format_args!("{}: {}", self.name, so_far(all_done, self.bytes, speed)));
        }
    }
}

impl Drop for Download<'_> {
    fn drop(&mut self) {
        self.bars.iter().for_each(ProgressBar::finish_and_clear);
    }
}

/// `120 MB of 1.6 GB, 85 MB/s, 0:17 left`.
fn so_far(done: u64, of: u64, per_second: f64) -> String {
    let mut text = format!("{} of {}", DecimalBytes(done), DecimalBytes(of));
    if per_second >= 1.0 && done < of {
        let left = (of.saturating_sub(done)) as f64 / per_second;
        #[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
        let speed = DecimalBytes(per_second as u64);
        text += &format!(", {speed}/s, {} left", clock(left));
    }
    text
}

/// A bar that counts bytes; hidden until a group or a console shows it.
///
/// 78 columns at most, for terminals of 80.
fn bar(name: &str, bytes: u64) -> ProgressBar {
    let so_far = |state: &ProgressState, out: &mut dyn fmt::Write| {
        let _ = out.write_str(&so_far(state.pos(), state.len().unwrap_or(0), state.per_sec()));
    };
    let style = ProgressStyle::with_template("{msg:20!} {bar:10} {so_far}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("so_far", so_far);
    ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::hidden())
        .with_style(style)
        .with_message(hub::printable(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_bytes_speed_and_time_left() {
        assert_eq!(
            so_far(120_000_000, 1_600_000_000, 80e6),
            "120.00 MB of 1.60 GB, 80.00 MB/s, 0:18 left"
        );
        assert_eq!(so_far(0, 5_000, 0.0), "0 B of 5.00 kB");
        assert_eq!(so_far(5_000, 5_000, 80e6), "5.00 kB of 5.00 kB");
    }
}
