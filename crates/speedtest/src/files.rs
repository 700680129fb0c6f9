//! Files of results: whole or not at all, and no two under one name.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::inputs::Input;
use crate::interrupt;

/// Writes `content` to a temporary file beside `path` and renames it: whoever looks finds the old file or the new one.
pub(crate) fn write_whole(path: &Path, content: &(impl AsRef<[u8]> + ?Sized)) -> io::Result<()> {
    let _until_renamed = interrupt::hold();
    let mut builder = tempfile::Builder::new();
    builder.prefix(".whisper-speedtest-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666)); // less the umask, as any file
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(content.as_ref())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// The folder for what can be made again: `$XDG_CACHE_HOME`, or the system's.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let home = || std::env::home_dir().filter(|home| home.is_absolute());
    let root = match std::env::consts::OS {
        "windows" => variable("LOCALAPPDATA"),
        "macos" => home().map(|home| home.join("Library/Caches")),
        _ => variable("XDG_CACHE_HOME").or_else(|| home().map(|home| home.join(".cache"))),
    };
    root.map(|root| root.join("whisper-speedtest"))
}

/// Whether files can be made in `folder`: better asked before an hour of work than after.
pub(crate) fn try_folder(folder: &Path) -> io::Result<()> {
    tempfile::tempfile_in(folder).map(drop)
}

/// A folder that is gone when it is dropped, and when Ctrl-C ends the program.
pub(crate) struct TemporaryFolder {
    folder: TempDir,
    _ctrl_c: interrupt::Guard,
}

impl TemporaryFolder {
    pub(crate) fn new() -> io::Result<TemporaryFolder> {
        let folder = tempfile::Builder::new().prefix("whisper-speedtest-").tempdir()?;
        let path = folder.path().to_owned();
        let _ctrl_c = interrupt::before_end(move || {
            let _ = fs::remove_dir_all(&path); // nobody is left to be told
        });
        Ok(TemporaryFolder { folder, _ctrl_c })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A name for the files of each input: that of the recording without its extension, and a number after the first of
/// several. Names that differ only in case are one name on macOS and Windows, so everywhere.
pub(crate) fn names(inputs: &[Input]) -> Vec<String> {
    let stems: Vec<String> = inputs.iter().map(Input::stem).collect();
    let mut taken: HashSet<String> = HashSet::new();
    let first: Vec<bool> = stems.iter().map(|stem| taken.insert(stem.to_lowercase())).collect();
    let mut names = Vec::new();
    for (stem, first) in stems.into_iter().zip(first) {
        let mut name = stem.clone();
        let mut number = 2_usize;
        while !first && !taken.insert(name.to_lowercase()) {
            name = format!("{stem}-{number}");
            number += 1;
        }
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_of(paths: &[&str]) -> Vec<String> {
        names(&paths.iter().map(|path| Input::File(path.into())).collect::<Vec<_>>())
    }

    #[test]
    fn names_never_collide() {
        assert_eq!(names_of(&["a.1.wav", "a.2.wav"]), ["a.1", "a.2"]);
        assert_eq!(names_of(&["x/a.wav", "y/a.wav", "a.mp3"]), ["a", "a-2", "a-3"]);
        assert_eq!(names_of(&["x/A.wav", "y/a.wav"]), ["A", "a-2"]);
        // a recording's own name goes before a number
        assert_eq!(names_of(&["x/a.wav", "y/a.wav", "a-2.wav"]), ["a", "a-3", "a-2"]);
        assert_eq!(
            names_of(&["a-2.wav", "x/a.wav", "y/a.wav", "z/a-2.wav"]),
            ["a-2", "a", "a-3", "a-2-2"]
        );
        assert_eq!(names(&[Input::Stdin]), ["content"]);
    }

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        for text in ["first", "2nd"] {
            write_whole(&path, text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failure_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        fs::create_dir(&path).unwrap(); // a file cannot take its place
        assert!(write_whole(&path, "text").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
