//! A panic in a decoder is that file's error, not the program's end.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `decode`, and makes an error of its panic. What `decode` was working on must not be used after one.
pub(super) fn run<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    silence_panics_inside();
    let outer = INSIDE.replace(true);
    let result = catch_unwind(AssertUnwindSafe(decode));
    INSIDE.set(outer);
    result.unwrap_or_else(|panic| {
        Err(format!(
            "a decoder has failed on it, which is a bug: {}",
            message(&*panic)
        ))
    })
}

/// The message of a panic that we catch is part of our error, so it does not go to the terminal too.
fn silence_panics_inside() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !INSIDE.get() {
                report(panic);
            }
        }));
    });
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        let caught: Result<(), String> = run(|| panic!("index {} of 3", 7));
        assert_eq!(
            caught,
            Err("a decoder has failed on it, which is a bug: index 7 of 3".to_owned())
        );
        assert_eq!(run(|| Ok(1)), Ok(1));
    }
}
