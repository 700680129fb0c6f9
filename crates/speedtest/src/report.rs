//! Results for people and programs: one file a form.

mod csv;
mod escape;
mod html;
mod json;
mod markdown;
mod table;
mod words;

use std::path::Path;

use crate::bench::measurement::Results;

pub(crate) use json::read;
pub(crate) use table::table;
pub(crate) use words::{percent, time};

/// The form of an exported file, by its ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Csv,
    Markdown,
    Html,
}

impl Form {
    /// # Errors
    /// Another ending than the four.
    pub(crate) fn of(path: &Path) -> Result<Form, String> {
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        match ending.as_str() {
            "json" => Ok(Form::Json),
            "csv" => Ok(Form::Csv),
            "md" => Ok(Form::Markdown),
            "html" | "htm" => Ok(Form::Html),
            _ => Err(format!(
                "{}: its ending says no form; known are .json, .csv, .md and .html",
                path.display()
            )),
        }
    }

    pub(crate) fn render(self, results: &Results) -> String {
        match self {
            Form::Json => json::render(results),
            Form::Csv => csv::render(results),
            Form::Markdown => markdown::render(results),
            Form::Html => html::render(results),
        }
    }
}

#[cfg(test)]
mod tests;
