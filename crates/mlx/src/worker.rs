//! The one thread that creates, uses and frees everything of MLX, whose streams belong to the thread that made them.
//!
//! Others hold numbers; what they stand for is in the thread's [`State`]. Dropping one only queues.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::ffi::{Api, Audio, Blas, Device, Hypothesis, Model};
use crate::find::Installation;
use crate::{Error, blas};

/// What the thread has, by number.
pub(crate) struct State {
    pub(crate) api: Rc<Api>,
    pub(crate) blas: Option<Blas>,
    pub(crate) models: HashMap<Number, Rc<Model>>,
    pub(crate) windows: HashMap<Number, Audio>,
    pub(crate) hypotheses: HashMap<Number, Hypothesis>,
    next: Number,
}

pub(crate) type Number = u64;

type Job = Box<dyn FnOnce(&mut State) + Send>;

/// The thread, from outside.
#[derive(Debug)]
pub(crate) struct Worker(Sender<Job>);

/// An open MLX. A process opens one, and keeps it.
#[derive(Clone, Debug)]
pub struct Mlx {
    pub(crate) worker: Arc<Worker>,
    about: Arc<About>,
}

/// What was opened.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct About {
    /// The library's version, by its own word.
    pub version: String,
    /// What computes.
    pub device: Device,
    /// The OpenBLAS that multiplies matrices; `None`: what MLX has brought.
    pub openblas: Option<PathBuf>,
}

impl State {
    /// A number for something new.
    pub(crate) fn number(&mut self) -> Number {
        self.next += 1;
        self.next
    }
}

impl Worker {
    /// Does `work` on the thread and waits for it.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> whisper::Result<T> {
        let (reply, result) = channel();
        self.queue(move |state| {
            let _ = reply.send(work(state)); // whoever asked may be gone
        });
        let gone = || whisper::Error::Model("MLX's thread could not finish: see the messages above".into());
        result.recv().map_err(|_| gone())
    }

    /// Has `work` done some time, and waits for nothing.
    pub(crate) fn queue(&self, work: impl FnOnce(&mut State) + Send + 'static) {
        let _ = self.0.send(Box::new(work)); // the thread ends with the process
    }
}

impl Mlx {
    /// Opens a shim, and libmlx with it; the same once more gives what is open. On the CPU where `cpu` says so.
    ///
    /// # Errors
    /// It cannot be opened; headers, library and shim are not of one version; another one is open.
    pub fn open(shim: &Path, installation: &Installation, cpu: bool) -> Result<Mlx, Error> {
        static OPEN: Mutex<Option<(PathBuf, bool, Mlx)>> = Mutex::new(None);
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((path, on_cpu, mlx)) = &*open {
            if path == shim && *on_cpu == cpu {
                return Ok(mlx.clone());
            }
            return Err(Error::new(
                format!("{} is open, and a process can have one MLX", path.display()),
                "",
            ));
        }
        let (jobs, queue) = channel();
        let (ready, opened) = channel();
        let (path, installation) = (shim.to_owned(), installation.clone());
        let thread = thread::Builder::new().name("mlx".into());
        let spawned = thread.spawn(move || match enter(&path, &installation, cpu) {
            Ok((state, about)) => {
                let _ = ready.send(Ok(about));
                work(state, &queue);
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        });
        spawned.map_err(|error| Error::new(format!("no thread for MLX: {error}"), ""))?;
        let about = opened
            .recv()
            .unwrap_or_else(|_| Err(Error::new("MLX's thread has ended while it opened", "")))?;
        let mlx = Mlx {
            worker: Arc::new(Worker(jobs)),
            about: Arc::new(about),
        };
        *open = Some((shim.to_owned(), cpu, mlx.clone()));
        Ok(mlx)
    }

    /// What was opened.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Gives buffers that MLX keeps for later back to the system: between recordings, whose shapes differ.
    pub fn clear_cache(&self) {
        self.worker.queue(|state| {
            let _ = state.api.clear_cache(); // it only lets go
        });
    }

    /// Lets MLX fail, while it builds a graph or while it evaluates one: the error must come back as one.
    #[doc(hidden)]
    pub fn provoke(&self, evaluating: bool) -> whisper::Result<()> {
        self.worker
            .run(move |state| state.api.fail(evaluating))?
            .map_err(crate::model::failed)
    }

    /// What MLX has in memory; its peak counts from the last call on.
    ///
    /// # Errors
    /// MLX cannot say.
    pub fn memory(&self) -> whisper::Result<crate::Memory> {
        self.worker
            .run(|state| state.api.memory())?
            .map_err(crate::model::failed)
    }
}

/// Opens everything, on the thread that will use it.
fn enter(shim: &Path, installation: &Installation, cpu: bool) -> Result<(State, About), Error> {
    const REMEDY: &str =
        "`whisper-speedtest doctor` lists what was found; install MLX again, or name another with WHISPER_MLX";
    let failed = |problem: String| {
        let library = installation.library();
        Error::new(format!("{}: {problem}", library.display()), REMEDY)
    };
    let openblas = blas::open(installation);
    let name = shim.file_name().unwrap_or_default().display();
    let api = Api::open(shim).map_err(|problem| failed(format!("{name} cannot be opened with it: {problem}")))?;
    let (built_for, version) = api.versions();
    let expected = installation.version.to_string();
    // The loader lets some pairs of versions pass, whose functions then mean something else. Development builds are called
    // 0.32.4.dev20260101+1a2b3c4.
    let number = |text: &str| text.split('.').take(3).map(str::to_owned).collect::<Vec<_>>();
    if number(&built_for) != number(&version) || number(&version) != number(&expected) {
        return Err(failed(format!(
            "its headers are of version {expected}, the library is {version}, and {name} was compiled for {built_for}"
        )));
    }
    let device = api.start(cpu).map_err(|fault| failed(format!("{fault:?}")))?;
    api.limit_cache(crate::memory::CACHE_LIMIT)
        .map_err(|fault| failed(format!("{fault:?}")))?;
    let about = About {
        version,
        device,
        openblas: openblas.as_ref().map(|(path, _)| path.clone()),
    };
    let state = State {
        api,
        blas: openblas.map(|(_, blas)| blas),
        models: HashMap::new(),
        windows: HashMap::new(),
        hypotheses: HashMap::new(),
        next: 0,
    };
    Ok((state, about))
}

/// Works until the process ends. A job that panics is that job's failure.
fn work(mut state: State, jobs: &Receiver<Job>) {
    for job in jobs {
        let ended: Result<(), Box<dyn Any + Send>> = catch_unwind(AssertUnwindSafe(|| job(&mut state)));
        drop(ended); // the panic hook has told; whoever waits sees its reply missing
    }
}
