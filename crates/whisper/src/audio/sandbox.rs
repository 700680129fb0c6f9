//! A panic in a decoder is that file's error, not the program's end.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::path::Path;
use std::sync::Once;

/// What the error of a panic says.
pub(super) const IS_A_BUG: &str = "a decoder has failed on it, which is a bug";

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// Where the last panic inside was.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `decode`, and makes an error of its panic. What `decode` was working on must not be used after one.
pub(super) fn run<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    silence_panics_inside();
    let outer = INSIDE.replace(true);
    let result = catch_unwind(AssertUnwindSafe(decode));
    INSIDE.set(outer);
    result.unwrap_or_else(|panic| Err(format!("{IS_A_BUG}: {} ({})", message(&*panic), PLACE.take())))
}

/// The message of a panic that we catch is part of our error, so it does not go to the terminal too.
fn silence_panics_inside() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if INSIDE.get() {
                PLACE.set(panic.location().map_or_else(String::new, place));
            } else {
                report(panic);
            }
        }));
    });
}

/// `symphonia-core-0.6.1/src/io/media_source_stream.rs:536`: the crate, and where in it.
fn place(location: &Location<'_>) -> String {
    let parts: Vec<_> = Path::new(location.file())
        .components()
        .map(|part| part.as_os_str())
        .collect();
    let source = parts.iter().rposition(|part| *part == "src").unwrap_or(0);
    let file: Vec<_> = parts[source.saturating_sub(1)..]
        .iter()
        .map(|part| part.to_string_lossy())
        .collect();
    format!("{}:{}", file.join("/"), location.line())
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
    fn a_panic_is_an_error_that_says_where() {
        let caught: Result<(), String> = run(|| panic!("index {} of 3", 7));
        let problem = caught.unwrap_err();
        assert!(
            problem
                .starts_with("a decoder has failed on it, which is a bug: index 7 of 3 (whisper/src/audio/sandbox.rs:"),
            "{problem}"
        );
        assert_eq!(run(|| Ok(1)), Ok(1));
    }
}
