//! Everything, for programs.

use anyhow::{Context, ensure};

use crate::bench::measurement::{Results, SCHEMA};

pub(super) fn render(results: &Results) -> String {
    // Numbers that are none cannot get here: times are checked, rates have a reference.
    serde_json::to_string_pretty(results).map_or_else(|error| error.to_string(), |text| text + "\n")
}

/// Reads what [`render`] has written.
///
/// # Errors
/// It is something else, or of another version of the form.
pub(crate) fn read(text: &str) -> anyhow::Result<Results> {
    let document: serde_json::Value = serde_json::from_str(text).context("no JSON")?;
    let schema = document["schema"].as_str().unwrap_or("none");
    ensure!(
        schema == SCHEMA,
        "expected the results of a benchmark (schema {SCHEMA:?}), found schema {schema:?}"
    );
    serde_json::from_value(document).context("not complete")
}
