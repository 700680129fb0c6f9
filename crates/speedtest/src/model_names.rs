//! The names of models: one table for loading, checking, downloading and reporting.

use std::path::{Path, PathBuf};

use crate::bundled::BUNDLED;
use crate::implementation::ModelOf;

/// The model inside the program, and the default of every command.
pub(crate) const DEFAULT: &str = "bundled";

/// Where the weights of a model come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Inside the program.
    Bundled,
    /// A checkpoint on disk.
    Folder(PathBuf),
    /// A repository `ORG/NAME` of the Hugging Face Hub, and the one to take (never silently) where it fails.
    Repository { primary: String, fallback: Option<String> },
}

/// Every short name but `bundled`.
#[rustfmt::skip]
pub(crate) const NAMES: &[ModelOf<'static>] = &[
    named("tiny",      "mlx-community/whisper-tiny-mlx-q4",        Some("mlx-community/whisper-tiny-mlx")),
    named("base",      "mlx-community/whisper-base-mlx",           None),
    named("small",     "mlx-community/whisper-small-mlx-4bit",     Some("mlx-community/whisper-small-mlx")),
    named("medium",    "mlx-community/whisper-medium-mlx-8bit",    Some("mlx-community/whisper-medium-mlx")),
    named("large",     "mlx-community/whisper-large-v3-turbo",     None),
    named("turbo",     "mlx-community/whisper-large-v3-turbo",     None),
    named("large-v2",  "mlx-community/whisper-large-v2-mlx-4bit",  Some("mlx-community/whisper-large-v2-mlx")),
    named("large-v3",  "mlx-community/whisper-large-v3-mlx-8bit",  Some("mlx-community/whisper-large-v3-mlx")),
    named("tiny.en",   "mlx-community/whisper-tiny.en-mlx",        None),
    named("base.en",   "mlx-community/whisper-base.en-mlx",        None),
    named("small.en",  "mlx-community/whisper-small.en-mlx",       None),
    named("medium.en", "mlx-community/whisper-medium.en-mlx",      None),
];

const fn named(name: &'static str, primary: &'static str, fallback: Option<&'static str>) -> ModelOf<'static> {
    ModelOf {
        fallback,
        ..ModelOf::new(name, primary)
    }
}

/// What `name` stands for: a short name, an existing folder, or a repository `ORG/NAME`, looked at in this order.
///
/// `bundled` is the repository of Whisper base in a program that was built without the file.
///
/// # Errors
/// It is none of them; the text lists the short names, and a near one first.
pub(crate) fn resolve(name: &str) -> Result<Source, String> {
    if name == DEFAULT && BUNDLED.is_some() {
        return Ok(Source::Bundled);
    }
    let name = if name == DEFAULT { "base" } else { name };
    if let Some(named) = find(name) {
        return Ok(Source::Repository {
            primary: named.repository.to_owned(),
            fallback: named.fallback.map(str::to_owned),
        });
    }
    if Path::new(name).is_dir() {
        return Ok(Source::Folder(name.into()));
    }
    if is_repository(name) {
        return Ok(Source::Repository {
            primary: name.to_owned(),
            fallback: None,
        });
    }
    Err(unknown(name))
}

fn find(name: &str) -> Option<&'static ModelOf<'static>> {
    NAMES.iter().find(|named| named.name == name)
}

/// `ORG/NAME` in the characters that the Hub allows, and no path.
fn is_repository(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['.', '-'])
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    name.len() <= 96
        && name
            .split_once('/')
            .is_some_and(|(organisation, name)| part(organisation) && part(name))
}

fn unknown(name: &str) -> String {
    if name.contains(['/', '\\']) {
        return format!("model {name:?}: no such folder, and not a repository ORG/NAME");
    }
    let names: Vec<_> = std::iter::once(DEFAULT)
        .chain(NAMES.iter().map(|named| named.name))
        .collect();
    let near = names.iter().find(|known| strsim::osa_distance(known, name) <= 2);
    let hint = near.map_or(String::new(), |near| format!(" Did you mean {near}?"));
    format!(
        "unknown model {name:?}.{hint} Known are {}; or give a repository ORG/NAME or a folder",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(primary: &str, fallback: Option<&str>) -> Source {
        Source::Repository {
            primary: primary.into(),
            fallback: fallback.map(Into::into),
        }
    }

    #[test]
    fn names_repositories_and_folders() {
        let small = repository(
            "mlx-community/whisper-small-mlx-4bit",
            Some("mlx-community/whisper-small-mlx"),
        );
        assert_eq!(resolve("small").unwrap(), small);
        assert_eq!(resolve("turbo"), resolve("large"));
        assert_eq!(
            resolve("tiny.en").unwrap(),
            repository("mlx-community/whisper-tiny.en-mlx", None)
        );
        assert_eq!(
            resolve("me/my-whisper_2.0").unwrap(),
            repository("me/my-whisper_2.0", None)
        );
        let folder = env!("CARGO_MANIFEST_DIR");
        assert_eq!(resolve(folder).unwrap(), Source::Folder(folder.into()));
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones_a_near_one_first() {
        let problem = resolve("smal").unwrap_err();
        assert!(problem.contains("Did you mean small?"), "{problem}");
        assert!(problem.contains("bundled, tiny, base"), "{problem}");
        assert!(!resolve("whisper-1").unwrap_err().contains("Did you mean"));
    }

    #[test]
    fn a_path_that_is_not_there_is_no_repository() {
        for name in [
            "./here", "/no/such", "a/b/c", "../up", "a\\b", "~/models", "org/", "/name", "",
        ] {
            assert!(resolve(name).is_err(), "{name:?}");
        }
    }

    #[cfg(not(bundled_model))]
    #[test]
    fn without_the_file_bundled_is_whisper_base() {
        assert_eq!(
            resolve("bundled").unwrap(),
            repository("mlx-community/whisper-base-mlx", None)
        );
    }

    #[cfg(bundled_model)]
    #[test]
    fn bundled_is_inside_the_program() {
        assert_eq!(resolve("bundled").unwrap(), Source::Bundled);
    }
}
