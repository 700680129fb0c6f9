//! What to transcribe: files, folders of recordings, patterns, standard input.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use glob::MatchOptions;

/// A recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    File(PathBuf),
    Stdin,
}

impl Input {
    /// The name of the recording without folder and extension; mlx_whisper's name for standard input.
    pub(crate) fn stem(&self) -> String {
        match self {
            Input::File(path) => path
                .file_stem()
                .unwrap_or(path.as_os_str())
                .to_string_lossy()
                .into_owned(),
            Input::Stdin => "content".to_owned(),
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::File(path) => path.display().fmt(f),
            Input::Stdin => f.pad("standard input"),
        }
    }
}

/// The recordings that the arguments mean, each once, in their order; those of a folder by name.
///
/// A file that is not there is an input like any other: opening it will say so. In the second place what means nothing.
pub(crate) fn expand(arguments: &[PathBuf]) -> (Vec<Input>, Vec<anyhow::Error>) {
    let (mut inputs, mut problems, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for argument in arguments {
        match expand_one(argument) {
            Ok(found) => inputs.extend(found.into_iter().filter(|input| seen.insert(identity(input)))),
            Err(problem) => problems.push(problem),
        }
    }
    (inputs, problems)
}

fn expand_one(argument: &Path) -> anyhow::Result<Vec<Input>> {
    if argument == Path::new("-") {
        return Ok(vec![Input::Stdin]);
    }
    if argument.is_dir() {
        let mut found = Vec::new();
        recordings(argument, &mut found)?;
        ensure!(
            !found.is_empty(),
            "{}: no recordings in this folder",
            argument.display()
        );
        return Ok(found.into_iter().map(Input::File).collect());
    }
    // Most shells have resolved patterns already; that of Windows leaves them to the program.
    let pattern = argument.to_str().filter(|text| text.contains(['*', '?', '[']));
    if let Some(pattern) = pattern.filter(|_| !argument.exists()) {
        let options = MatchOptions {
            require_literal_leading_dot: true,
            ..MatchOptions::new()
        };
        let found = glob::glob_with(pattern, options).with_context(|| pattern.to_owned())?;
        let files: Vec<_> = found.flatten().filter(|path| path.is_file()).map(Input::File).collect();
        ensure!(!files.is_empty(), "{pattern}: no such file");
        return Ok(files);
    }
    Ok(vec![Input::File(argument.to_owned())])
}

/// Files that look like recordings, and those in folders below; hidden ones and links to folders are left out.
fn recordings(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let unreadable = || format!("{}", folder.display());
    let mut entries = fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(unreadable)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type().with_context(unreadable)?.is_dir() {
            recordings(&path, found)?;
        } else if path.extension().is_some_and(is_of_recordings) {
            found.push(path);
        }
    }
    Ok(())
}

/// Extensions under which a folder's recordings are found; a file named outright may have any.
fn is_of_recordings(extension: &OsStr) -> bool {
    const KNOWN: &[&str] = &[
        "3gp", "aac", "ac3", "aif", "aifc", "aiff", "alac", "amr", "au", "avi", "caf", "flac", "m4a", "m4b", "m4v",
        "mka", "mkv", "mov", "mp1", "mp2", "mp3", "mp4", "mpga", "oga", "ogg", "ogv", "opus", "rf64", "snd", "spx",
        "w64", "wav", "wave", "webm", "wma",
    ];
    KNOWN.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// Equal for two ways to name one file.
fn identity(input: &Input) -> Option<PathBuf> {
    match input {
        Input::File(path) => Some(fs::canonicalize(path).unwrap_or_else(|_| path.clone())),
        Input::Stdin => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(inputs: &[Input], root: &Path) -> Vec<String> {
        let name = |input: &Input| match input {
            Input::File(path) => path
                .strip_prefix(root)
                .unwrap_or(path)
                .to_string_lossy()
                .replace('\\', "/"),
            Input::Stdin => "-".into(),
        };
        inputs.iter().map(name).collect()
    }

    #[test]
    fn folders_patterns_and_files_each_once() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for file in [
            "b.wav",
            "a.MP3",
            "notes.txt",
            ".hidden.wav",
            "sub/c.flac",
            "sub/deep/d.opus",
            "empty/x.tsv",
        ] {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), "").unwrap();
        }
        let (inputs, problems) = expand(&[root.to_owned()]);
        assert_eq!(
            paths(&inputs, root),
            ["a.MP3", "b.wav", "sub/c.flac", "sub/deep/d.opus"]
        );
        assert!(problems.is_empty());

        let (inputs, problems) = expand(&[
            root.join("*.wav"),
            root.join("sub/../b.wav"),
            "-".into(),
            root.join("none.wav"),
        ]);
        assert_eq!(paths(&inputs, root), ["b.wav", "-", "none.wav"]);
        assert!(problems.is_empty());

        let (inputs, problems) = expand(&[root.join("empty"), root.join("*.flac"), root.join("notes.txt")]);
        assert_eq!(paths(&inputs, root), ["notes.txt"]);
        assert_eq!(problems.len(), 2);
    }

    #[test]
    fn a_file_whose_name_is_a_pattern_is_that_file() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("talk [1].wav");
        fs::write(&path, "").unwrap();
        assert_eq!(expand(std::slice::from_ref(&path)).0, [Input::File(path)]);
    }
}
