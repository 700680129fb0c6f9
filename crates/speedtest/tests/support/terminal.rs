//! A terminal, made by `script` of util-linux: what the program shows on one, and what somebody types there.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::skipped;

/// Long enough for a busy machine; what hangs is a failure all the same.
const PATIENCE: Duration = Duration::from_secs(120);

/// Ctrl-C and Ctrl-D, as keys.
pub(crate) const CTRL_C: &str = "\x03";
pub(crate) const CTRL_D: &str = "\x04";

/// Of the terminal.
const COLUMNS: usize = 100;

/// A program on a terminal.
pub(crate) struct Terminal {
    script: Child,
    keyboard: ChildStdin,
    screen: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Terminal {
    /// Starts `program` as it is set up; says that the test is skipped where there is no `script`.
    pub(crate) fn start(test: &str, program: &Command) -> Option<Terminal> {
        // Found before the program's own PATH is set, which may hold nothing.
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let Some(script) = std::env::split_paths(&folders)
            .map(|folder| folder.join("script"))
            .find(|script| script.is_file())
        else {
            skipped(test, "script (util-linux) is absent");
            return None;
        };
        let words = std::iter::once(program.get_program()).chain(program.get_args());
        let quoted = words.map(|word| format!("'{}'", word.to_str().unwrap().replace('\'', r"'\''")));
        let command = format!(
            "stty cols {COLUMNS} rows 40; exec {}",
            quoted.collect::<Vec<_>>().join(" ")
        );
        let mut script = Command::new(script);
        script.args(["--quiet", "--flush", "--return", "--command", &command, "/dev/null"]);
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        if let Some(folder) = program.get_current_dir() {
            script.current_dir(folder);
        }
        script.env("SHELL", "/bin/sh").env("TERM", "xterm");
        let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (keyboard, mut output) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
        let screen = Arc::new(Mutex::new(Vec::new()));
        let reader = thread::spawn({
            let screen = screen.clone();
            move || {
                let mut bytes = [0; 4096];
                while let Ok(n @ 1..) = output.read(&mut bytes) {
                    screen.lock().unwrap().extend(&bytes[..n]);
                }
            }
        });
        Some(Terminal {
            script,
            keyboard,
            screen,
            reader,
        })
    }

    /// Everything that has been written to the terminal.
    pub(crate) fn seen(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    /// Waits until `words` have been written.
    pub(crate) fn wait_for(&self, words: &str) -> String {
        let patience = Instant::now() + PATIENCE;
        loop {
            let seen = self.seen();
            if seen.contains(words) {
                return seen;
            }
            assert!(Instant::now() < patience, "no {words:?} in {seen:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the end: the exit code, and everything that was written.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let patience = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.script.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > patience {
                self.script.kill().unwrap();
                panic!("it does not end: {:?}", self.seen());
            }
            thread::sleep(Duration::from_millis(5));
        };
        self.reader.join().unwrap();
        let seen = String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned();
        (status.code(), seen)
    }
}

/// What is left on the screen of what was written to the terminal: as far as bars and messages move the cursor.
pub(crate) fn screen(written: &str) -> Vec<String> {
    let (mut lines, mut row, mut column) = (vec![Vec::new()], 0, 0);
    let mut rest = written.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\r' => column = 0,
            '\n' => (row, column) = (row + 1, 0),
            '\x1b' if rest.next_if_eq(&'[').is_some() => {
                let mut number = String::new();
                while let Some(digit) = rest.next_if(|c| c.is_ascii_digit() || *c == '?' || *c == ';') {
                    number.push(digit);
                }
                let n: usize = number.parse().unwrap_or(1);
                match rest.next() {
                    Some('A') => row -= n.min(row),
                    Some('B') => row += n,
                    Some('C') => column += n,
                    Some('D') => column -= n.min(column),
                    Some('K') if number == "2" => lines[row].clear(),
                    Some('K') => lines[row].truncate(column),
                    _ => {} // colours, the cursor shown or hidden
                }
            }
            c => {
                if column == COLUMNS {
                    (row, column) = (row + 1, 0);
                }
                lines.resize(lines.len().max(row + 1), Vec::new());
                let line: &mut Vec<char> = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
        lines.resize(lines.len().max(row + 1), Vec::new());
    }
    let lines = lines
        .into_iter()
        .map(|line| String::from_iter(line).trim_end().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}
