//! Ctrl-C ends the program at once, but never in the middle of a file, and takes the children with it.

use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

static WRITING: Mutex<()> = Mutex::new(());

/// What is done before the end, each with a number of its own.
static LAST: Mutex<Vec<(u64, Box<dyn Fn() + Send>)>> = Mutex::new(Vec::new());

/// The exit code of a program that Ctrl-C ended, by the custom of shells: 128 and the number of the signal.
const INTERRUPTED: i32 = 130;

/// From now on Ctrl-C ends the program, whatever is being computed.
pub(crate) fn end_on_ctrl_c() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
        if let Ok(last) = LAST.lock() {
            last.iter().for_each(|(_, act)| act());
        }
        // A file takes milliseconds to write; a disk that hangs is not waited for.
        for _ in 0..50 {
            let Ok(_whole) = WRITING.try_lock() else {
                thread::sleep(Duration::from_millis(10));
                continue;
            };
            process::exit(INTERRUPTED);
        }
        process::exit(INTERRUPTED);
    })?;
    Ok(())
}

/// While this lives, Ctrl-C waits.
pub(crate) fn hold() -> MutexGuard<'static, ()> {
    WRITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// While the guard lives, Ctrl-C does this before it ends the program.
pub(crate) fn before_end(act: impl Fn() + Send + 'static) -> Guard {
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let number = last.last().map_or(0, |(number, _)| number + 1);
    last.push((number, Box::new(act)));
    Guard(number)
}

/// See [`before_end`].
pub(crate) struct Guard(u64);

impl Drop for Guard {
    fn drop(&mut self) {
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        last.retain(|(number, _)| *number != self.0);
    }
}
