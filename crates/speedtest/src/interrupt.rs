//! Ctrl-C ends the program at once, but never in the middle of a file.

use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

static WRITING: Mutex<()> = Mutex::new(());

/// The exit code of a program that Ctrl-C ended, by the custom of shells: 128 and the number of the signal.
const INTERRUPTED: i32 = 130;

/// From now on Ctrl-C ends the program, whatever is being computed.
pub(crate) fn end_on_ctrl_c() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
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
