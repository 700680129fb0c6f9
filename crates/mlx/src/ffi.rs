//! The foreign calls: the C interface of `shim/wmx.h`, opened at run time. The only file of this crate with unsafe code.
//!
//! What is given out is safe to use: every number that MLX would take on trust is checked here, and nothing can leave the
//! thread that opened the library, since MLX keeps its streams a thread.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::rc::Rc;

use libloading::Library;
use whisper::model::{Dims, Head, Token};
use whisper::weights::Float;

/// `WMX_ABI` of the source that is part of this program.
pub(crate) const ABI: u32 = 2;

const MESSAGE: usize = 1024;

/// Why the other side did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The request makes no sense for this model.
    Request(String),
    /// MLX says so.
    Mlx(String),
    /// There was not enough memory.
    Memory(String),
}

/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// This machine's processor, through MLX: for tests.
    Cpu,
    /// The GPU of a Mac.
    Metal,
    /// A GPU of NVIDIA.
    Cuda,
}

/// Bytes of buffers, as MLX counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// In use.
    pub active: u64,
    /// Kept for later use.
    pub cached: u64,
    /// The most in use since this was last asked.
    pub peak: u64,
    /// What MLX allows itself.
    pub limit: u64,
}

/// How a model computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) float: Float,
    pub(crate) dequantize: bool,
    pub(crate) compile: bool,
    pub(crate) pipeline: bool,
}

#[repr(C)]
struct RawDims([i32; 10]);

#[repr(C)]
struct RawOptions([i32; 4]);

#[repr(C)]
struct RawFeed {
    hypothesis: *mut c_void,
    tokens: *const i32,
    n_tokens: i32,
    rows: *const i32,
    n_rows: i32,
}

/// Declares the functions of the interface and how they are found.
macro_rules! functions {
    ($($name:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Functions {
            fn find(library: &Library) -> Result<Functions, String> {
                Ok(Functions {
                    // SAFETY: `Api::open` has compared the ABI number, which stands for these types of exactly these names.
                    $($name: *unsafe { library.get(stringify!($name).as_bytes()) }.map_err(whole)?,)*
                })
            }
        }
    };
}

type Raw = *mut c_void;
type Message = *mut c_char;

functions! {
    wmx_built_for() -> *const c_char;
    wmx_version() -> *const c_char;
    wmx_start(i32, *mut i32, Message) -> c_int;
    wmx_limit_cache(u64, Message) -> c_int;
    wmx_memory(*mut u64, Message) -> c_int;
    wmx_clear_cache(Message) -> c_int;
    wmx_fail(i32, Message) -> c_int;
    wmx_model_new(*const RawDims, *const RawOptions, *mut Raw, Message) -> c_int;
    wmx_model_dense(Raw, *const c_char, i32, *const i32, i32, *const c_void, u64, Message) -> c_int;
    wmx_model_affine(Raw, *const c_char, i32, i32, i32, i32, *const c_void, *const f32, *const f32, Message) -> c_int;
    wmx_model_ready(Raw, Message) -> c_int;
    wmx_model_free(Raw);
    wmx_encode(Raw, *const f32, i32, *mut Raw, Message) -> c_int;
    wmx_features(Raw, *const f32, *mut f32, Message) -> c_int;
    wmx_audio_free(Raw);
    wmx_begin(Raw, *mut Raw, Message) -> c_int;
    wmx_fork(Raw, *mut Raw, Message) -> c_int;
    wmx_truncate(Raw, i32);
    wmx_hypothesis_free(Raw);
    wmx_step(Raw, *const RawFeed, i32, *mut f32, Message) -> c_int;
    wmx_align(Raw, Raw, *const i32, i32, *const i32, i32, *mut f32, *mut f32, Message) -> c_int;
}

/// An open shim, and with it libmlx. It stays open until the process ends: MLX's exit handlers need it.
pub(crate) struct Api(Functions);

/// Opens an OpenBLAS whose functions go before those that libraries opened later bring with them.
///
/// # Errors
/// It cannot be opened, lacks one of `symbols`, or `runs_here` says no to its build ("OpenBLAS 0.3.31 NO_AFFINITY SKYLAKEX").
pub(crate) fn open_for_all(path: &Path, symbols: &[&str], runs_here: impl Fn(&str) -> bool) -> Result<Blas, String> {
    let library = open(path, false)?;
    for symbol in symbols {
        // SAFETY: only looked up, as an address.
        unsafe { library.get::<*const c_void>(symbol.as_bytes()) }.map_err(whole)?;
    }
    // SAFETY: OpenBLAS declares it so.
    let config = unsafe { library.get::<unsafe extern "C" fn() -> *const c_char>(b"openblas_get_config") };
    let config = config.map_err(whole)?;
    // SAFETY: it takes nothing.
    let config = NonNull::new(unsafe { config() }.cast_mut()).ok_or("OpenBLAS does not say what it is")?;
    // SAFETY: a constant of the library, which is open until after its use.
    let build = unsafe { CStr::from_ptr(config.as_ptr()) }.to_string_lossy();
    if !runs_here(&build) {
        return Err(format!("{}: made for another processor: {build}", path.display()));
    }
    let library = open(path, true)?;
    // SAFETY: OpenBLAS declares it so.
    let set_threads = unsafe { library.get::<unsafe extern "C" fn(c_int)>(b"openblas_set_num_threads") };
    let set_threads = *set_threads.map_err(whole)?;
    std::mem::forget(library); // others are bound to it from now on
    Ok(Blas { set_threads })
}

/// Opens a library, and finds all that it needs now: later it would end the process. Where `for_all` says so, its functions go
/// before those of libraries opened later.
fn open(library: &Path, for_all: bool) -> Result<Library, String> {
    #[cfg(unix)]
    let opened = {
        use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LOCAL, RTLD_NOW};
        let scope = if for_all { RTLD_GLOBAL } else { RTLD_LOCAL };
        // SAFETY: its initialisers are those of a library that the user has installed, or of a shim that was compiled from this
        // program's source into a folder that only its user can write.
        unsafe { Library::open(Some(library), RTLD_NOW | scope) }.map(libloading::Library::from)
    };
    #[cfg(not(unix))]
    let opened = {
        let _ = for_all;
        // SAFETY: as above.
        unsafe { Library::new(library) }
    };
    opened.map_err(whole)
}

/// An OpenBLAS that is open.
#[derive(Clone, Copy)]
pub(crate) struct Blas {
    set_threads: unsafe extern "C" fn(c_int),
}

impl Blas {
    pub(crate) fn set_threads(self, threads: usize) {
        // SAFETY: it takes any number, and clips it.
        unsafe { (self.set_threads)(int(threads)) }
    }
}

impl Api {
    /// # Errors
    /// It cannot be opened, and why; it is of another interface.
    pub(crate) fn open(shim: &Path) -> Result<Rc<Api>, String> {
        let library = open(shim, false)?;
        // SAFETY: this function has this type in every version of the interface.
        let abi = unsafe { library.get::<unsafe extern "C" fn() -> u32>(b"wmx_abi") };
        // SAFETY: it returns a constant.
        let abi = unsafe { abi.map_err(whole)?() };
        if abi != ABI {
            std::mem::forget(library);
            return Err(format!("its interface is number {abi}, expected {ABI}"));
        }
        let functions = Functions::find(&library);
        std::mem::forget(library); // closing it leaves MLX's exit handlers without their code
        Ok(Rc::new(Api(functions?)))
    }

    /// The version of the headers that the shim was compiled with, and that of the library.
    pub(crate) fn versions(&self) -> (String, String) {
        // SAFETY: it returns a constant.
        let built_for = unsafe { (self.0.wmx_built_for)() };
        // SAFETY: as above.
        let library = unsafe { (self.0.wmx_version)() };
        // SAFETY: a text with an end, there for as long as the library.
        let text = |constant| unsafe { CStr::from_ptr(constant) }.to_string_lossy().into_owned();
        (text(built_for), text(library))
    }

    pub(crate) fn start(&self, cpu: bool) -> Result<Device, Fault> {
        let mut device = 0;
        // SAFETY: `device` and the message outlive the call.
        called(|message| unsafe { (self.0.wmx_start)(cpu.into(), &raw mut device, message) })?;
        Ok(match device {
            1 => Device::Metal,
            2 => Device::Cuda,
            _ => Device::Cpu,
        })
    }

    pub(crate) fn limit_cache(&self, bytes: u64) -> Result<(), Fault> {
        // SAFETY: the message outlives the call.
        called(|message| unsafe { (self.0.wmx_limit_cache)(bytes, message) })
    }

    pub(crate) fn memory(&self) -> Result<Memory, Fault> {
        let mut bytes = [0; 4];
        // SAFETY: four numbers are written, of four.
        called(|message| unsafe { (self.0.wmx_memory)(bytes.as_mut_ptr(), message) })?;
        let [active, cached, peak, limit] = bytes;
        Ok(Memory {
            active,
            cached,
            peak,
            limit,
        })
    }

    pub(crate) fn clear_cache(&self) -> Result<(), Fault> {
        // SAFETY: the message outlives the call.
        called(|message| unsafe { (self.0.wmx_clear_cache)(message) })
    }

    /// Lets MLX throw: while a graph is built, or while it is evaluated.
    pub(crate) fn fail(&self, evaluating: bool) -> Result<(), Fault> {
        // SAFETY: the message outlives the call.
        called(|message| unsafe { (self.0.wmx_fail)(evaluating.into(), message) })
    }
}

/// A network whose tensors are being given.
pub(crate) struct Builder(Model);

/// A network.
pub(crate) struct Model {
    api: Rc<Api>,
    raw: NonNull<c_void>,
    dims: Rc<Dims>,
}

/// An encoded window.
pub(crate) struct Audio {
    api: Rc<Api>,
    raw: NonNull<c_void>,
    dims: Rc<Dims>,
}

/// The tokens so far over a window.
pub(crate) struct Hypothesis {
    api: Rc<Api>,
    raw: NonNull<c_void>,
    dims: Rc<Dims>,
    len: usize,
    /// A step failed half-way.
    broken: bool,
}

/// Tokens for a hypothesis, and the rows whose logits are wanted.
pub(crate) struct Feed {
    pub(crate) hypothesis: Hypothesis,
    pub(crate) tokens: Vec<Token>,
    pub(crate) rows: Vec<usize>,
}

impl Builder {
    pub(crate) fn new(api: &Rc<Api>, dims: &Dims, options: Options) -> Result<Builder, Fault> {
        let raw_dims = RawDims(
            [
                dims.n_mels,
                dims.n_audio_ctx,
                dims.n_audio_state,
                dims.n_audio_head,
                dims.n_audio_layer,
                dims.n_vocab,
                dims.n_text_ctx,
                dims.n_text_state,
                dims.n_text_head,
                dims.n_text_layer,
            ]
            .map(int),
        );
        let Options {
            float,
            dequantize,
            compile,
            pipeline,
        } = options;
        let raw_options = RawOptions([number(float), dequantize.into(), compile.into(), pipeline.into()]);
        let raw = made(|out, message| {
            // SAFETY: both structures have the layout of the header and outlive the call.
            unsafe { (api.0.wmx_model_new)(&raw const raw_dims, &raw const raw_options, out, message) }
        })?;
        Ok(Builder(Model {
            api: api.clone(),
            raw,
            dims: Rc::new(dims.clone()),
        }))
    }

    /// A tensor that is not packed.
    pub(crate) fn dense(&mut self, name: &str, float: Float, shape: &[usize], bytes: &[u8]) -> Result<(), Fault> {
        let n_bytes = shape.iter().product::<usize>() * float.size();
        if n_bytes != bytes.len() || i32::try_from(n_bytes).is_err() {
            let found = bytes.len();
            return Err(Fault::Request(format!(
                "{name}: {found} bytes for {shape:?}, below 2 GiB"
            )));
        }
        let c_name = c_text(name)?;
        let axes: Vec<i32> = shape.iter().copied().map(int).collect();
        // SAFETY: name, axes and bytes outlive the call, which copies them; the bytes are as many as the shape says.
        called(|message| unsafe {
            (self.0.api.0.wmx_model_dense)(
                self.0.raw.as_ptr(),
                c_name.as_ptr(),
                number(float),
                axes.as_ptr(),
                int(axes.len()),
                bytes.as_ptr().cast(),
                bytes.len() as u64,
                message,
            )
        })
    }

    /// The packed weight `[n, k]` of a layer.
    pub(crate) fn affine(
        &mut self,
        path: &str,
        (bits, group): (usize, usize),
        (n, k): (usize, usize),
        codes: &[u8],
        scales: &[f32],
        biases: &[f32],
    ) -> Result<(), Fault> {
        let groups = n * k / group.max(1);
        let fits = k.is_multiple_of(32) && codes.len() == n * k / 8 * bits && i32::try_from(codes.len()).is_ok();
        if !fits || scales.len() != groups || biases.len() != groups {
            return Err(Fault::Request(format!(
                "{path}: codes, scales and biases are not those of [{n}, {k}] in {bits} bits"
            )));
        }
        let c_path = c_text(path)?;
        // SAFETY: the path and the three arrays, of the lengths checked above, outlive the call, which copies them.
        called(|message| unsafe {
            (self.0.api.0.wmx_model_affine)(
                self.0.raw.as_ptr(),
                c_path.as_ptr(),
                int(bits),
                int(group),
                int(n),
                int(k),
                codes.as_ptr().cast(),
                scales.as_ptr(),
                biases.as_ptr(),
                message,
            )
        })
    }

    /// The network, now that every tensor is there.
    pub(crate) fn ready(self) -> Result<Model, Fault> {
        // SAFETY: the model is alive.
        called(|message| unsafe { (self.0.api.0.wmx_model_ready)(self.0.raw.as_ptr(), message) })?;
        Ok(self.0)
    }
}

impl Model {
    /// `mel`: `[windows, 2 * n_audio_ctx, n_mels]`, full windows.
    pub(crate) fn encode(&self, mel: &[f32]) -> Result<Vec<Audio>, Fault> {
        let window = 2 * self.dims.n_audio_ctx * self.dims.n_mels;
        if mel.is_empty() || !mel.len().is_multiple_of(window) {
            return Err(Fault::Request(format!("{} values are no whole windows", mel.len())));
        }
        let mut raw = vec![ptr::null_mut(); mel.len() / window];
        // SAFETY: `mel` holds as many windows as `raw` has places.
        called(|message| unsafe {
            (self.api.0.wmx_encode)(
                self.raw.as_ptr(),
                mel.as_ptr(),
                int(raw.len()),
                raw.as_mut_ptr(),
                message,
            )
        })?;
        let audio = raw.into_iter().map(|raw| {
            Ok(Audio {
                api: self.api.clone(),
                raw: NonNull::new(raw).ok_or_else(nothing)?,
                dims: self.dims.clone(),
            })
        });
        audio.collect()
    }

    /// What the encoder makes of one full window: `[n_audio_ctx, n_audio_state]`.
    pub(crate) fn features(&self, mel: &[f32]) -> Result<Vec<f32>, Fault> {
        if mel.len() != 2 * self.dims.n_audio_ctx * self.dims.n_mels {
            return Err(Fault::Request(format!("{} values are no whole window", mel.len())));
        }
        let mut features = vec![0.0; self.dims.n_audio_ctx * self.dims.n_audio_state];
        // SAFETY: one window goes in, and the features have room.
        called(|message| unsafe {
            (self.api.0.wmx_features)(self.raw.as_ptr(), mel.as_ptr(), features.as_mut_ptr(), message)
        })?;
        Ok(features)
    }

    /// Appends the tokens of all feeds; `logits` gets the rows asked for, `[rows, n_vocab]`.
    pub(crate) fn step(&self, feeds: &mut [Feed], logits: &mut Vec<f32>) -> Result<(), Fault> {
        for feed in feeds.iter() {
            self.owns(&feed.hypothesis.dims)?;
            if feed.hypothesis.broken {
                return Err(Fault::Request("a step of this hypothesis has failed before".into()));
            }
            self.check(feed.hypothesis.len, &feed.tokens, &feed.rows)?;
        }
        let numbers: Vec<(Vec<i32>, Vec<i32>)> = feeds
            .iter()
            .map(|feed| (ids(&feed.tokens), feed.rows.iter().copied().map(int).collect()))
            .collect();
        let raw: Vec<RawFeed> = feeds
            .iter()
            .zip(&numbers)
            .map(|(feed, (tokens, rows))| RawFeed {
                hypothesis: feed.hypothesis.raw.as_ptr(),
                tokens: tokens.as_ptr(),
                n_tokens: int(tokens.len()),
                rows: rows.as_ptr(),
                n_rows: int(rows.len()),
            })
            .collect();
        let n_rows: usize = feeds.iter().map(|feed| feed.rows.len()).sum();
        logits.clear();
        logits.resize(n_rows * self.dims.n_vocab, 0.0);
        // SAFETY: hypotheses are of this model, alive and each in one feed; tokens and rows exist (checked above); the logits
        // have room.
        let done = called(|message| unsafe {
            (self.api.0.wmx_step)(
                self.raw.as_ptr(),
                raw.as_ptr(),
                int(raw.len()),
                logits.as_mut_ptr(),
                message,
            )
        });
        for feed in feeds {
            feed.hypothesis.len += feed.tokens.len();
            feed.hypothesis.broken = done.is_err();
        }
        done
    }

    /// Logits of every token, `[tokens, n_vocab]`, and the scores of `heads`, `[head, token, n_audio_ctx]`.
    pub(crate) fn align(&self, audio: &Audio, tokens: &[Token], heads: &[Head]) -> Result<(Vec<f32>, Vec<f32>), Fault> {
        self.owns(&audio.dims)?;
        self.check(0, tokens, &[])?;
        let exists = |head: &Head| head.layer < self.dims.n_text_layer && head.head < self.dims.n_text_head;
        if let Some(head) = heads.iter().find(|head| !exists(head)) {
            return Err(Fault::Request(format!("the decoder has no {head:?}")));
        }
        if tokens.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let ids = ids(tokens);
        let pairs: Vec<i32> = heads
            .iter()
            .flat_map(|head| [int(head.layer), int(head.head)])
            .collect();
        let mut logits = vec![0.0; tokens.len() * self.dims.n_vocab];
        let mut scores = vec![0.0; heads.len() * tokens.len() * self.dims.n_audio_ctx];
        // SAFETY: the window is of this model; tokens and heads exist (checked above); logits and scores have room.
        called(|message| unsafe {
            (self.api.0.wmx_align)(
                self.raw.as_ptr(),
                audio.raw.as_ptr(),
                ids.as_ptr(),
                int(ids.len()),
                pairs.as_ptr(),
                int(heads.len()),
                logits.as_mut_ptr(),
                scores.as_mut_ptr(),
                message,
            )
        })?;
        Ok((logits, scores))
    }

    fn owns(&self, dims: &Rc<Dims>) -> Result<(), Fault> {
        if Rc::ptr_eq(dims, &self.dims) {
            return Ok(());
        }
        Err(Fault::Request("the window or hypothesis is of another model".into()))
    }

    /// Whether tokens exist and fit, and rows are among them.
    fn check(&self, len: usize, tokens: &[Token], rows: &[usize]) -> Result<(), Fault> {
        let (len, limit, n_vocab) = (len + tokens.len(), self.dims.n_text_ctx, self.dims.n_vocab);
        if len > limit {
            return Err(Fault::Request(format!(
                "{len} tokens do not fit the decoder's context of {limit}"
            )));
        }
        if let Some(Token(id)) = tokens.iter().find(|token| token.0 as usize >= n_vocab) {
            return Err(Fault::Request(format!("token {id} is not among the model's {n_vocab}")));
        }
        if let Some(row) = rows.iter().find(|&&row| row >= tokens.len()) {
            let given = tokens.len();
            return Err(Fault::Request(format!(
                "row {row} was asked for, {given} tokens were given"
            )));
        }
        Ok(())
    }
}

impl Audio {
    pub(crate) fn begin(&self) -> Result<Hypothesis, Fault> {
        // SAFETY: the window is alive.
        let raw = made(|out, message| unsafe { (self.api.0.wmx_begin)(self.raw.as_ptr(), out, message) })?;
        Ok(Hypothesis {
            api: self.api.clone(),
            raw,
            dims: self.dims.clone(),
            len: 0,
            broken: false,
        })
    }
}

impl Hypothesis {
    pub(crate) fn fork(&self) -> Result<Hypothesis, Fault> {
        // SAFETY: the hypothesis is alive.
        let raw = made(|out, message| unsafe { (self.api.0.wmx_fork)(self.raw.as_ptr(), out, message) })?;
        Ok(Hypothesis {
            api: self.api.clone(),
            raw,
            dims: self.dims.clone(),
            ..*self
        })
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        // SAFETY: the hypothesis is alive, and does not grow.
        unsafe { (self.api.0.wmx_truncate)(self.raw.as_ptr(), int(self.len)) }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: nobody else has it, and it is not used again.
        unsafe { (self.api.0.wmx_model_free)(self.raw.as_ptr()) }
    }
}

impl Drop for Audio {
    fn drop(&mut self) {
        // SAFETY: nobody else has it; hypotheses keep what they need of it.
        unsafe { (self.api.0.wmx_audio_free)(self.raw.as_ptr()) }
    }
}

impl Drop for Hypothesis {
    fn drop(&mut self) {
        // SAFETY: nobody else has it, and it is not used again.
        unsafe { (self.api.0.wmx_hypothesis_free)(self.raw.as_ptr()) }
    }
}

/// Runs a call that returns a code and, on failure, leaves a text.
fn called(call: impl FnOnce(Message) -> c_int) -> Result<(), Fault> {
    let mut message = [0u8; MESSAGE];
    let code = call(message.as_mut_ptr().cast());
    if code == 0 {
        return Ok(());
    }
    let text = CStr::from_bytes_until_nul(&message).map_or_else(|_| "?".into(), CStr::to_string_lossy);
    Err(match code {
        2 => Fault::Memory(text.into()),
        _ => Fault::Mlx(text.into()),
    })
}

/// Runs a call that makes something.
fn made(call: impl FnOnce(*mut Raw, Message) -> c_int) -> Result<NonNull<c_void>, Fault> {
    let mut raw = ptr::null_mut();
    called(|message| call(&raw mut raw, message))?;
    NonNull::new(raw).ok_or_else(nothing)
}

fn nothing() -> Fault {
    Fault::Mlx("the shim made nothing and said nothing".into())
}

fn ids(tokens: &[Token]) -> Vec<i32> {
    tokens.iter().map(|token| int(token.0 as usize)).collect()
}

/// Sizes of a Whisper fit (`weights::Config` limits them); what does not is refused by MLX.
fn int(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

fn number(float: Float) -> i32 {
    match float {
        Float::F32 => 0,
        Float::F16 => 1,
        Float::Bf16 => 2,
    }
}

fn c_text(text: &str) -> Result<CString, Fault> {
    CString::new(text).map_err(|_| Fault::Request(format!("{text:?}: a name with a zero byte")))
}

/// An error of libloading with what the system said, which its own text leaves out.
fn whole(error: libloading::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
