//! Names from users and servers, checked once: a value of these types is safe to join to a path and to print.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{Error, Result, printable};

/// A repository of models: `ORG/NAME`, or `NAME` for the oldest ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoId(String);

/// A branch, a tag, `refs/pr/1`, or a commit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Revision(String);

/// A commit: 40 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Commit(String);

/// The path of a file in a repository: segments joined by `/`, none of which leads out of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FilePath(String);

impl RepoId {
    /// The name as typed.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder in a cache: `models--ORG--NAME`. Reversible, because no id may hold `--`.
    pub fn folder(&self) -> String {
        format!("models--{}", self.0.replace('/', "--"))
    }

    /// The repository that a folder of a cache holds; `None` for anything that is not a model's folder.
    pub fn from_folder(folder: &str) -> Option<RepoId> {
        folder.strip_prefix("models--")?.replacen("--", "/", 1).parse().ok()
    }
}

impl FromStr for RepoId {
    type Err = Error;

    /// The rules of `huggingface_hub.utils.validate_repo_id`.
    fn from_str(text: &str) -> Result<RepoId> {
        let fail = |reason| {
            Err(Error::Name {
                what: "repository",
                value: printable(text),
                reason,
            })
        };
        let mut parts = text.split('/');
        let (Some(first), second, None) = (parts.next(), parts.next(), parts.next()) else {
            return fail("at most one `/`, as in ORG/NAME");
        };
        for part in std::iter::once(first).chain(second) {
            if part.is_empty() || part.len() > 96 {
                return fail("each part has 1 to 96 characters");
            }
            if !part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
                return fail("only letters, digits, `-`, `_` and `.`");
            }
            if part.starts_with(['-', '.']) || part.ends_with(['-', '.']) {
                return fail("no part begins or ends with `-` or `.`");
            }
        }
        if text.contains("--") || text.contains("..") {
            return fail("no `--` and no `..`");
        }
        if text.ends_with(".git") {
            return fail("without `.git`");
        }
        Ok(RepoId(text.to_owned()))
    }
}

impl Revision {
    /// The branch that a repository is read from when none is named.
    pub fn main() -> Revision {
        Revision("main".to_owned())
    }

    /// The name as typed.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The commit, where the revision is one.
    pub fn commit(&self) -> Option<Commit> {
        self.0.parse().ok()
    }

    /// Where the revision's commit is noted below `refs/`.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl FromStr for Revision {
    type Err = Error;

    /// The rules of `git check-ref-format`, and of paths.
    fn from_str(text: &str) -> Result<Revision> {
        let fail = |reason| {
            Err(Error::Name {
                what: "revision",
                value: printable(text),
                reason,
            })
        };
        if text.len() > 255 || text.contains("..") || text.contains("@{") {
            return fail("at most 255 characters, no `..` and no `@{`");
        }
        if text.chars().any(|c| c.is_control() || " ~^:?*[\\".contains(c)) {
            return fail("no space and none of ~ ^ : ? * [ \\");
        }
        for segment in text.split('/') {
            if segment.is_empty() || segment.starts_with('.') || segment.ends_with('.') || segment.ends_with(".lock") {
                return fail("no empty part, none that begins or ends with `.` or ends with `.lock`");
            }
            if cfg!(windows) && refused_by_windows(segment) {
                return fail("Windows does not allow this name");
            }
        }
        Ok(Revision(text.to_owned()))
    }
}

impl Commit {
    /// The 40 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Commit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Commit> {
        if text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Commit(text.to_owned()))
        } else {
            Err(Error::Name {
                what: "commit",
                value: printable(text),
                reason: "40 lower-case hexadecimal digits expected",
            })
        }
    }
}

impl From<Commit> for Revision {
    fn from(commit: Commit) -> Revision {
        Revision(commit.0)
    }
}

impl FilePath {
    /// The path with `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folders and the file name.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The path in the system's form. (Windows' long form, `\\?\`, knows no `/`.)
    pub fn to_path(&self) -> PathBuf {
        self.segments().collect()
    }
}

impl FromStr for FilePath {
    type Err = Error;

    fn from_str(text: &str) -> Result<FilePath> {
        let fail = |reason| {
            Err(Error::Name {
                what: "file",
                value: printable(text),
                reason,
            })
        };
        if text.len() > 1024 {
            return fail("at most 1024 bytes");
        }
        for segment in text.split('/') {
            if matches!(segment, "" | "." | "..") {
                return fail("no absolute path, no empty part, no `.` and no `..`");
            }
            if segment.chars().any(|c| c == '\\' || c.is_control()) {
                return fail("no backslash and no control character");
            }
            if cfg!(windows) && refused_by_windows(segment) {
                return fail("Windows does not allow this name");
            }
        }
        Ok(FilePath(text.to_owned()))
    }
}

/// Whether Windows would take the name for a device, a stream or another file.
pub(crate) fn refused_by_windows(segment: &str) -> bool {
    let stem = segment
        .split('.')
        .next()
        .unwrap_or_default()
        .trim_end()
        .to_ascii_uppercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix)
            .is_some_and(|n| matches!(n.chars().next(), Some('0'..='9' | '¹' | '²' | '³')) && n.chars().count() == 1)
    };
    segment.contains(['<', '>', ':', '"', '|', '?', '*'])
        || segment.ends_with(['.', ' '])
        || matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$")
        || numbered("COM")
        || numbered("LPT")
}

macro_rules! display {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
display!(RepoId Revision Commit FilePath);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    #[test]
    fn repositories() {
        for good in ["mlx-community/whisper-tiny-mlx-q4", "gpt2", "a/b", "O.rg/n_a-m.e"] {
            let repo: RepoId = good.parse().unwrap();
            assert_eq!(RepoId::from_folder(&repo.folder()), Some(repo));
        }
        for bad in [
            "", "/", "a/", "/a", "a/b/c", "a--b/c", "../b", "a/..", "a/.b", "a/b.git", "a b/c", "a/b\n", "ä/b", "a\\b",
            "-a/b",
        ] {
            assert!(bad.parse::<RepoId>().is_err(), "{bad:?}");
        }
        assert_eq!(RepoId::from_folder("blobs"), None);
        assert_eq!(RepoId::from_folder("datasets--a--b"), None);
        assert_eq!(RepoId::from_folder("models--a--b--c"), None);
    }

    #[test]
    fn revisions() {
        for good in ["main", "refs/pr/1", "v1.0", "feature/x", &"a".repeat(40)] {
            assert!(good.parse::<Revision>().is_ok(), "{good:?}");
        }
        for bad in [
            "", "..", "a/../b", "/main", "main/", "a//b", ".hidden", "a b", "a:b", "a\\b", "x.lock", "a\0", "a@{1}",
        ] {
            assert!(bad.parse::<Revision>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn windows_names() {
        for bad in [
            "con",
            "NUL.txt",
            "com1",
            "LPT9.x",
            "COM¹",
            "a:b",
            "a?",
            "trailing.",
            "trailing ",
            "aux .txt",
        ] {
            assert!(refused_by_windows(bad), "{bad:?}");
        }
        for good in [
            "config.json",
            "weights.npz",
            "console",
            "com",
            "com10",
            ".gitattributes",
        ] {
            assert!(!refused_by_windows(good), "{good:?}");
        }
    }

    proptest! {
        #[test]
        fn no_file_path_leads_out(text in "[./\\\\a-c:\0]{0,12}") {
            if let Ok(path) = text.parse::<FilePath>() {
                let path = path.to_path();
                prop_assert!(path.components().all(|c| matches!(c, Component::Normal(_))));
                prop_assert!(Path::new("/cache").join(&path).starts_with("/cache"));
            }
        }

        #[test]
        fn no_revision_leads_out(text in "[./\\\\a-c]{0,12}") {
            if let Ok(revision) = text.parse::<Revision>() {
                let path: PathBuf = revision.segments().collect();
                prop_assert!(path.components().all(|c| matches!(c, Component::Normal(_))));
            }
        }
    }
}
