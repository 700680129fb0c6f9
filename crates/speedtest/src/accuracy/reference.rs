//! What was really said: a text, or a manifest with a line for each recording.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// Bytes of a file of references that are read.
const MOST_BYTES: u64 = 64 << 20;

/// What is said in a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) text: String,
    /// Code of the language, as `en`.
    pub(crate) language: String,
}

/// The references of one recording or of many.
#[derive(Clone, Debug)]
pub(crate) enum References {
    /// A text, of whichever recording is asked about.
    Text(Reference),
    /// By file name.
    Manifest(HashMap<String, Reference>),
}

impl References {
    /// Reads a text file, or a manifest: a table with tabs, whose first line names the columns.
    ///
    /// A manifest has the columns `file` and `reference`, and may have `language` (else `language` as given), `in_wer` (only
    /// `yes` counts) and `ref_quality` (`machine` is no reference).
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is no UTF-8 or larger than 64 MB; if a manifest has a line with too few or too many cells, or
    /// a file twice.
    pub(crate) fn read(path: &Path, language: &str) -> Result<References> {
        let mut text = String::new();
        let file = File::open(path).with_context(|| format!("cannot open the reference {}", path.display()))?;
        let n = file.take(MOST_BYTES + 1).read_to_string(&mut text);
        let n = n.with_context(|| format!("cannot read the reference {}", path.display()))?;
        ensure!(
            n as u64 <= MOST_BYTES,
            "the reference {} is larger than 64 MB",
            path.display()
        );
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        References::parse(text, language).with_context(|| format!("in {}", path.display()))
    }

    fn parse(text: &str, language: &str) -> Result<References> {
        let columns: Vec<&str> = text.lines().next().unwrap_or_default().split('\t').collect();
        let column = |name: &str| columns.iter().position(|column| *column == name);
        let (Some(file), Some(reference)) = (column("file"), column("reference")) else {
            return Ok(References::Text(Reference {
                text: text.to_owned(),
                language: language.to_owned(),
            }));
        };
        let (language_column, in_wer, quality) = (column("language"), column("in_wer"), column("ref_quality"));

        let mut references = HashMap::new();
        for (number, line) in (1..).zip(text.lines()).skip(1).filter(|(_, line)| !line.is_empty()) {
            let cells: Vec<&str> = line.split('\t').collect();
            if cells.len() != columns.len() {
                bail!(
                    "line {number} has {} cells, the first line has {}",
                    cells.len(),
                    columns.len()
                );
            }
            let counts = in_wer.is_none_or(|column| cells[column] == "yes");
            if !counts || quality.is_some_and(|column| cells[column] == "machine") {
                continue;
            }
            let language = language_column.map_or(language, |column| cells[column]).to_owned();
            let reference = Reference {
                text: cells[reference].to_owned(),
                language,
            };
            if references.insert(cells[file].to_owned(), reference).is_some() {
                bail!("line {number}: {} stands in the table twice", cells[file]);
            }
        }
        Ok(References::Manifest(references))
    }

    /// What is said in a recording, if that is known; in a manifest by the name of the file.
    pub(crate) fn of(&self, recording: &Path) -> Option<&Reference> {
        match self {
            References::Text(reference) => Some(reference),
            References::Manifest(references) => references.get(recording.file_name()?.to_str()?),
        }
    }
}
