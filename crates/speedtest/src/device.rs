//! What computes: this machine's processor, or a GPU through an installed MLX.

use std::path::Path;

use anyhow::{Context, bail};
use clap::Args;
use mlx::{Enabled, Mlx, Places, Prober};

use crate::cli::{Compute, ComputeArgs};
use crate::console::Console;
use crate::files;

/// The command that makes MLX ready.
pub(crate) const ENABLE: &str = "whisper-speedtest doctor --enable mlx";

/// The device asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Device {
    /// A GPU where MLX has been made ready for it, else the processor.
    #[default]
    Auto,
    Cpu,
    Mlx,
    /// A name from the command lines of other programs: `cuda`, `mps`.
    Foreign(String),
}

impl Device {
    /// # Errors
    /// It is no device.
    pub(crate) fn parse(text: &str) -> Result<Device, String> {
        match text {
            "auto" => Ok(Device::Auto),
            "cpu" => Ok(Device::Cpu),
            "mlx" => Ok(Device::Mlx),
            "mps" | "gpu" | "metal" => Ok(Device::Foreign(text.to_owned())),
            _ if text.starts_with("cuda") => Ok(Device::Foreign(text.to_owned())),
            _ => Err("expected auto, cpu or mlx".into()),
        }
    }

    /// Whether it was asked for by name, so that no other one may take its place.
    pub(crate) fn is_named(&self) -> bool {
        matches!(self, Device::Cpu | Device::Mlx)
    }
}

/// The MLX to compute with; `None` is the processor. A device that is asked for by name is had, or is an error; `auto` takes
/// what is ready and says what it does not take.
///
/// # Errors
/// MLX was asked for and cannot be used: why, and what to do.
pub(crate) fn choose(args: &ComputeArgs, console: &Console) -> anyhow::Result<Option<Mlx>> {
    match &args.device {
        Device::Cpu => Ok(None),
        Device::Mlx if args.compute == Compute::Int8 => {
            bail!("--compute int8 is the processor's; with --device mlx there are auto and f32")
        }
        Device::Mlx => {
            let mlx = ready(console)?.open().context("--device mlx")?;
            let about = mlx.about();
            if cfg!(target_os = "linux") && about.device == mlx::Device::Cpu && about.openblas.is_none() {
                console.warning(
                    "MLX computes on the processor, without OpenBLAS, which makes it about nine times slower; \
                     Debian has it as libopenblas0-pthread",
                );
            }
            Ok(Some(mlx))
        }
        Device::Foreign(name) => {
            console.warning(format_args!(
                "--device {name}: a GPU is reached through MLX here, which is --device mlx; auto is taken"
            ));
            automatic(args, console)
        }
        Device::Auto => automatic(args, console),
    }
}

fn automatic(args: &ComputeArgs, console: &Console) -> anyhow::Result<Option<Mlx>> {
    if args.compute == Compute::Int8 {
        return Ok(None);
    }
    match enabled() {
        Some(enabled) if enabled.about.device == mlx::Device::Cpu => Ok(None), // never faster than our own engine
        Some(enabled) => match enabled.open() {
            Ok(mlx) => Ok(Some(mlx)),
            Err(error) => {
                console.warning(format_args!("the processor is taken, not the GPU: {error}"));
                Ok(None)
            }
        },
        None => {
            if has_gpu() {
                console.note(format_args!("the GPU is not used yet; `{ENABLE}` makes it ready, once"));
            }
            Ok(None)
        }
    }
}

/// `metal (MLX 0.32.4)`
pub(crate) fn name(mlx: &Mlx) -> String {
    let about = mlx.about();
    let device = match about.device {
        mlx::Device::Cpu => "cpu",
        mlx::Device::Metal => "metal",
        mlx::Device::Cuda => "cuda",
    };
    format!("{device} (MLX {})", about.version)
}

/// What has been made ready here before, and has not changed since.
pub(crate) fn enabled() -> Option<Enabled> {
    mlx::enabled(&files::cache_folder()?, &Places::here())
}

/// What has been made ready before, else is made ready now: for who has asked for MLX by name.
///
/// # Errors
/// As [`enable`].
pub(crate) fn ready(console: &Console) -> anyhow::Result<Enabled> {
    enabled().map_or_else(|| enable(console), Ok)
}

/// Compiles, tries and remembers an MLX of this machine.
///
/// # Errors
/// There is none, or none works: what is wrong with each, and what to do.
pub(crate) fn enable(console: &Console) -> anyhow::Result<Enabled> {
    let cache = files::cache_folder().context("no folder for a cache: set HOME or XDG_CACHE_HOME")?;
    let places = Places::here();
    let prober = Prober {
        program: std::env::current_exe()?,
        arguments: vec![PROBE.into()],
    };
    let say = &mut |what: &str| console.note(what);
    Ok(mlx::enable(&places.candidates(), &places, &cache, &prober, say)?)
}

/// Whether there is a GPU that MLX could use, as far as that can be seen without opening anything.
fn has_gpu() -> bool {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("macos", "aarch64") => true,
        ("linux", _) => Path::new("/proc/driver/nvidia/version").exists(),
        _ => false,
    }
}

/// The hidden command of the child that tries an MLX.
const PROBE: &str = "mlx-probe";

/// Try an MLX in this process, which may crash
#[derive(Args, Debug)]
pub(crate) struct MlxProbeArgs {
    /// The compiled connection
    shim: std::path::PathBuf,
    /// The installation
    folder: std::path::PathBuf,
}

/// Prints what the MLX is, where it computes what it should.
pub(crate) fn probe(args: &MlxProbeArgs, console: &Console) -> anyhow::Result<()> {
    let installation = mlx::Installation::at(&args.folder).map_err(anyhow::Error::msg)?;
    let about = mlx::probe(&args.shim, &installation, false)?;
    console.result(&format!("{}\n", serde_json::to_string(&about)?))?;
    Ok(())
}
