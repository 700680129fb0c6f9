//! What the speed test knows of an implementation: who it is, how it is started here, and where its weights are.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::implementations::process::Start;
use crate::implementations::python::Python;
use crate::store::ModelsDir;

/// Something that transcribes, in a child process that speaks `docs/protocol.md`. One file each, one row of
/// [`crate::implementations::ALL`] each.
///
/// Its version is not here: the child says it, so that it is that of what really ran.
pub(crate) trait Implementation: Sync {
    /// The name on the command line: `faster-whisper`.
    fn id(&self) -> &str;

    /// The name of its class in mac-whisper-speedtest, which is understood, too.
    fn alias(&self) -> Option<&'static str> {
        None
    }

    /// What it is, in a line.
    fn about(&self) -> &'static str;

    /// Whether this project runs it in its tests; what is written and never run is called so.
    fn tested(&self) -> bool;

    /// The models it knows, by our names.
    fn models(&self) -> &[ModelOf<'static>];

    /// The name that stands for `bundled` here: other implementations take the same size.
    fn stands_for_bundled(&self) -> &'static str {
        "base"
    }

    /// How its runner is started.
    ///
    /// # Errors
    /// It cannot run here, or is not installed.
    fn start(&self, here: &Here) -> Result<Start, Unavailable>;

    /// The weights of `model` on disk. By default those of `--model-path`, else what [`Here::checkpoint`] finds for the
    /// repository that [`models`](Implementation::models) names.
    ///
    /// # Errors
    /// It does not know the model, or has no weights for it on disk.
    fn weights(&self, model: &str, here: &Here) -> Result<Weights, Unavailable> {
        if let Some(path) = here.model_path(self.id(), model) {
            return Weights::at(path);
        }
        let known = self.models().iter().find(|known| known.name == model);
        let known = known.ok_or_else(|| Unavailable::no_model(self.id(), model, self.models()))?;
        known.weights(self.id(), here)
    }

    /// Its Python environment, if it is one.
    fn as_python(&self) -> Option<&Python> {
        None
    }
}

/// A model by our name, and where an implementation has its weights for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ModelOf<'a> {
    pub(crate) name: &'a str,
    /// `ORG/NAME` on the Hugging Face Hub.
    pub(crate) repository: &'a str,
    /// The repository to take, never silently, where the first is not on disk.
    pub(crate) fallback: Option<&'a str>,
    /// The file in the repository that holds the model, where the repository has several.
    pub(crate) file: Option<&'a str>,
}

impl<'a> ModelOf<'a> {
    pub(crate) const fn new(name: &'a str, repository: &'a str) -> ModelOf<'a> {
        ModelOf {
            name,
            repository,
            fallback: None,
            file: None,
        }
    }

    /// As on disk, for the implementation `id`.
    ///
    /// # Errors
    /// Neither repository is there.
    pub(crate) fn weights(&self, id: &str, here: &Here) -> Result<Weights, Unavailable> {
        let found = here.checkpoint(self.repository).or_else(|missing| {
            let second = self.fallback.and_then(|fallback| here.checkpoint(fallback).ok());
            let fallback = |weights| Weights {
                fallback: true,
                ..weights
            };
            second.map(fallback).ok_or(missing)
        });
        let found = found.and_then(|weights| match self.file {
            Some(file) => weights.file(file),
            None => Ok(weights),
        });
        found.map_err(|missing| {
            let name = self.name;
            Unavailable::new(
                missing,
                format_args!("or name a folder: --model-path {id}:{name}=FOLDER"),
            )
        })
    }
}

/// The weights that a runner gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Weights {
    /// What to call them in a report: a repository, a folder, `bundled`.
    pub(crate) name: String,
    /// Where they are; `None` where the runner has them within.
    pub(crate) path: Option<PathBuf>,
    /// Not what the model's name stands for, but what is taken where that is missing.
    pub(crate) fallback: bool,
}

impl Weights {
    /// Those of a path that the user has named.
    ///
    /// # Errors
    /// There is nothing.
    pub(crate) fn at(path: &Path) -> Result<Weights, Unavailable> {
        // The child's current folder may be another one day.
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        if !absolute.exists() {
            return Err(Unavailable::new(
                format_args!("{}: no such file or folder", path.display()),
                "",
            ));
        }
        Ok(Weights {
            name: path.display().to_string(),
            path: Some(absolute),
            fallback: false,
        })
    }

    /// One file of them.
    fn file(mut self, name: &str) -> Result<Weights, String> {
        let file = self.path.map(|folder| folder.join(name)).filter(|file| file.is_file());
        let missing = || format!("{} is on disk, but not its {name}", self.name);
        self.path = Some(file.ok_or_else(missing)?);
        self.name = format!("{}/{name}", self.name);
        Ok(self)
    }
}

/// Why an implementation or a model cannot be measured here, and what would change that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unavailable {
    pub(crate) reason: String,
    /// What to do about it; may be empty.
    pub(crate) remedy: String,
}

impl Unavailable {
    pub(crate) fn new(reason: impl fmt::Display, remedy: impl fmt::Display) -> Unavailable {
        Unavailable {
            reason: reason.to_string(),
            remedy: remedy.to_string(),
        }
    }

    /// A system it is not made for: `Unavailable::not_on_this_system("Apple silicon")`.
    pub(crate) fn not_on_this_system(needs: &str) -> Unavailable {
        Unavailable::new(format_args!("needs {needs}"), "")
    }

    fn no_model(id: &str, model: &str, models: &[ModelOf<'_>]) -> Unavailable {
        let names: Vec<_> = models.iter().map(|known| known.name).collect();
        Unavailable::new(
            format_args!("{id} knows no model {model:?}"),
            format_args!("it knows {}; or --model-path {id}:{model}=FOLDER", names.join(", ")),
        )
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        if self.remedy.is_empty() {
            return Ok(());
        }
        write!(f, "; {}", self.remedy)
    }
}

/// What is on this machine: looked at, never changed, and nothing is fetched.
#[derive(Clone, Debug, Default)]
pub(crate) struct Here {
    /// `--model-path ID=FOLDER`, `--model-path ID:MODEL=FOLDER`.
    pub(crate) model_paths: Vec<Named>,
    /// `--program ID=FILE`: the interpreter or binary to take for an implementation.
    pub(crate) programs: Vec<Named>,
    /// Where the tool keeps what it has installed: `environments/ID` holds a Python environment.
    pub(crate) cache: Option<PathBuf>,
    /// `--models-dir`: where this program's models are.
    pub(crate) models: ModelsDir,
    /// What the runner of this program's own engine is told about computing, as options.
    pub(crate) computing: Vec<String>,
}

/// `NAME=PATH` of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

impl std::str::FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Named, String> {
        match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok(Named {
                name: name.to_owned(),
                path: path.into(),
            }),
            _ => Err("expected NAME=PATH".into()),
        }
    }
}

impl Here {
    /// The path that the user has named for the model of an implementation.
    pub(crate) fn model_path(&self, id: &str, model: &str) -> Option<&Path> {
        let exact = format!("{id}:{model}");
        let path_of = |name: &str| self.model_paths.iter().rfind(|named| named.name == name);
        path_of(&exact)
            .or_else(|| path_of(id))
            .map(|named| named.path.as_path())
    }

    /// The interpreter or binary that the user has named for an implementation.
    pub(crate) fn program(&self, id: &str) -> Option<&Path> {
        let named = self.programs.iter().rfind(|named| named.name == id);
        named.map(|named| named.path.as_path())
    }

    /// The first program of this name in the folders of PATH; never one in the current folder.
    pub(crate) fn on_path(&self, name: &str) -> Option<PathBuf> {
        let folders = std::env::var_os("PATH")?;
        std::env::split_paths(&folders)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(name).with_extension(std::env::consts::EXE_EXTENSION))
            .find(|program| program.is_file())
    }

    /// A repository that is complete on disk, whatever its form; never downloaded.
    ///
    /// # Errors
    /// There is none, or a part of it; the text ends with the command that gets the rest.
    pub(crate) fn checkpoint(&self, repository: &str) -> Result<Weights, String> {
        let repository = repository.parse().map_err(|error: hub::Error| error.to_string())?;
        let found = self.models.store().find(&repository);
        let snapshot = found.map_err(|not_ready| not_ready.to_string())?;
        Ok(Weights {
            name: repository.to_string(),
            path: Some(snapshot.dir),
            fallback: false,
        })
    }
}

/// A runner of the user's own: `-i ./my-runner`.
pub(crate) struct Own {
    path: PathBuf,
    id: String,
}

impl Own {
    /// `None` where `text` is a name and no path.
    pub(crate) fn new(text: &str) -> Option<Own> {
        let path = Path::new(text);
        let id = path.file_stem()?.to_string_lossy().into_owned();
        (path.components().count() > 1 || text.contains(['/', '\\'])).then(|| Own {
            path: path.to_owned(),
            id,
        })
    }
}

impl Implementation for Own {
    fn id(&self) -> &str {
        &self.id
    }

    fn about(&self) -> &'static str {
        "a runner of your own"
    }

    fn tested(&self) -> bool {
        false
    }

    fn models(&self) -> &[ModelOf<'static>] {
        &[]
    }

    fn start(&self, _: &Here) -> Result<Start, Unavailable> {
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        if !path.is_file() {
            return Err(Unavailable::new(
                format_args!("{}: no such file", self.path.display()),
                "",
            ));
        }
        Ok(Start {
            program: path,
            arguments: Vec::<OsString>::new(),
            environment: Vec::new(),
        })
    }

    /// It may have any model within, so it is asked for any.
    fn weights(&self, model: &str, here: &Here) -> Result<Weights, Unavailable> {
        match here.model_path(&self.id, model) {
            Some(path) => Weights::at(path),
            None if Path::new(model).is_dir() => Weights::at(Path::new(model)),
            None => Ok(Weights {
                name: model.to_owned(),
                path: None,
                fallback: false,
            }),
        }
    }
}
