//! What is named and not installed: installed where `--install` or a yes at the terminal says so, and never otherwise.

use hub::Env;

use super::BenchmarkArgs;
use crate::console::Console;
use crate::implementation::{Here, Implementation};

/// Installs what is missing of `named`, as far as that is wanted. What fails to install is told, and is a row without runs later.
///
/// # Errors
/// The terminal cannot be read.
pub(super) fn missing(
    args: &BenchmarkArgs,
    named: &[&'static dyn Implementation],
    here: &Here,
    console: &Console,
) -> anyhow::Result<()> {
    if args.offline || Env::process().is_offline() {
        return Ok(());
    }
    let missing = named
        .iter()
        .filter_map(|one| one.as_python())
        .filter(|one| one.is_missing(here));
    for python in missing {
        let id = python.id();
        // Where there is no uv, a yes would lead nowhere.
        let asks = !args.install && !args.json && here.on_path("uv").is_some();
        let wanted = args.install || asks && console.ask(python.offer(here))?.unwrap_or(false);
        if !wanted {
            continue;
        }
        match python.install(here) {
            Ok(()) => console.note(format_args!("{id}: installed")),
            Err(error) => console.error(format_args!("{id}: {error:#}")),
        }
    }
    Ok(())
}
