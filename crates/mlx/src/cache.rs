//! A folder for code that this program compiles and then runs: nobody but its user may have written there.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Error;

/// A folder of the user's own, as of now.
#[derive(Clone, Debug)]
pub(crate) struct PrivateFolder(PathBuf);

impl PrivateFolder {
    /// Makes the folder where it is missing, for its user alone.
    ///
    /// # Errors
    /// It cannot be made; it is a link, or somebody else's, or others may write there.
    pub(crate) fn at(folder: &Path) -> Result<PrivateFolder, Error> {
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent).map_err(|error| Error::io(parent, &error, REMEDY))?;
        }
        match make(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(Error::io(folder, &error, REMEDY));
            }
            _ => check(folder, true)?,
        }
        Ok(PrivateFolder(folder.to_owned()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A file of it that is there.
    ///
    /// # Errors
    /// It is missing; it is a link, or somebody else's, or others may write it.
    pub(crate) fn file(&self, name: &str) -> Result<PathBuf, Error> {
        check(&self.0, true)?;
        let path = self.0.join(name);
        check(&path, false)?;
        Ok(path)
    }

    /// A folder in it for work in progress, gone when it is dropped.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn workshop(&self) -> Result<tempfile::TempDir, Error> {
        check(&self.0, true)?;
        let made = tempfile::Builder::new().prefix(".work-").tempdir_in(&self.0);
        made.map_err(|error| Error::io(&self.0, &error, REMEDY))
    }

    /// Puts a finished file in its place: whoever looks finds the old file or the new one.
    ///
    /// # Errors
    /// It cannot be moved.
    pub(crate) fn keep(&self, made: &Path, name: &str) -> Result<PathBuf, Error> {
        let path = self.0.join(name);
        fs::rename(made, &path).map_err(|error| Error::io(&path, &error, REMEDY))?;
        self.file(name)
    }

    /// Writes a small file whole.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        let workshop = self.workshop()?;
        let new = workshop.path().join(name);
        fs::write(&new, text).map_err(|error| Error::io(&new, &error, REMEDY))?;
        only_ours(&new)?;
        self.keep(&new, name)
    }
}

const REMEDY: &str = "XDG_CACHE_HOME (on a Mac: HOME) names another place for the cache";

#[cfg(unix)]
fn make(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(folder)
}

/// Takes from others what the umask may have given them.
#[cfg(unix)]
pub(crate) fn only_ours(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(|error| Error::io(path, &error, REMEDY))
}

/// Whether `path` is a real folder or file of this user that nobody else can write.
#[cfg(unix)]
fn check(path: &Path, folder: bool) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt;
    let found = fs::symlink_metadata(path).map_err(|error| Error::io(path, &error, REMEDY))?;
    let user = rustix::process::geteuid().as_raw();
    let problem = if found.is_symlink() {
        "is a link".to_owned()
    } else if folder != found.is_dir() || !(found.is_dir() || found.is_file()) {
        format!("is no {}", if folder { "folder" } else { "file" })
    } else if found.uid() != user {
        format!("belongs to user {}, expected {user}", found.uid())
    } else if found.mode() & 0o022 != 0 {
        format!("can be written by others (mode {:o})", found.mode() & 0o777)
    } else {
        return Ok(());
    };
    Err(Error::new(
        format!("{}: {problem}: code from there is not run", path.display()),
        "remove it; it is made again",
    ))
}

#[cfg(not(unix))]
fn make(folder: &Path) -> std::io::Result<()> {
    fs::create_dir(folder)
}

#[cfg(not(unix))]
pub(crate) fn only_ours(_: &Path) -> Result<(), Error> {
    Ok(())
}

#[cfg(not(unix))]
fn check(path: &Path, _: bool) -> Result<(), Error> {
    // MLX is made for Unix; nothing is compiled or opened elsewhere.
    fs::symlink_metadata(path)
        .map(drop)
        .map_err(|error| Error::io(path, &error, REMEDY))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    }

    #[test]
    fn only_what_is_ours_is_taken() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("cache/mlx");
        let folder = PrivateFolder::at(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        folder.write("a", "text").unwrap();
        assert_eq!(fs::read_to_string(folder.file("a").unwrap()).unwrap(), "text");
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "no work is left");

        mode(&path.join("a"), 0o770);
        let error = folder.file("a").unwrap_err().to_string();
        assert!(error.contains("can be written by others (mode 770)"), "{error}");
        symlink(home.path().join("elsewhere"), path.join("b")).unwrap();
        assert!(folder.file("b").unwrap_err().to_string().contains("is a link"));
        fs::create_dir(path.join("c")).unwrap();
        assert!(folder.file("c").unwrap_err().to_string().contains("is no file"));
        assert!(folder.file("d").is_err());

        mode(&path, 0o777);
        for refused in [
            PrivateFolder::at(&path).map(drop),
            folder.file("a").map(drop),
            folder.workshop().map(drop),
        ] {
            assert!(refused.unwrap_err().to_string().contains("written by others"));
        }
        let link = home.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(PrivateFolder::at(&link).unwrap_err().to_string().contains("is a link"));
    }

    /// Only root can give a file away, so only root can test it.
    #[test]
    fn what_belongs_to_others_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let folder = PrivateFolder::at(&home.path().join("mlx")).unwrap();
        let file = folder.write("a", "text").unwrap();
        if std::os::unix::fs::chown(&file, Some(12345), None).is_ok() && rustix::process::geteuid().is_root() {
            assert!(
                folder
                    .file("a")
                    .unwrap_err()
                    .to_string()
                    .contains("belongs to user 12345")
            );
        }
    }
}
