//! One page that needs nothing else.

use super::escape::html as escaped;
use crate::bench::measurement::Results;

pub(super) fn render(results: &Results) -> String {
    format!("<!doctype html><title>{}</title>", escaped(&results.started))
}
