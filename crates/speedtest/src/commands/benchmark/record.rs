//! `--record`: the microphone, from Enter to Enter, kept as a file so that it can be measured again.
//!
//! Linux has as many sound libraries as distributions, and this program shall start without any: there an installed
//! `arecord`, `parec` or `ffmpeg` records. macOS and Windows have one interface each.

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Context, ensure};

use crate::console::Console;
use crate::files;

/// What a microphone gave: 16-bit samples of one channel.
struct Sound {
    samples: Vec<i16>,
    rate: u32,
}

/// Records, and names the file in the current folder that holds it.
///
/// # Errors
/// There is no microphone, or no program that can listen to one; nothing was recorded.
pub(super) fn record(console: &Console) -> anyhow::Result<PathBuf> {
    console.note("press Enter to start recording");
    ensure!(
        enter()?,
        "standard input has ended: recording starts and stops with Enter"
    );
    let sound = system::listen(|| {
        console.note("recording; press Enter to stop");
        enter()
    })?;
    ensure!(!sound.samples.is_empty(), "the microphone gave no samples");
    let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let path = PathBuf::from(format!("recording-{}.wav", time.replace(':', "")));
    files::write_whole(&path, &wave(&sound)?).with_context(|| format!("{}: cannot be written", path.display()))?;
    console.note(format_args!(
        "kept as {0}: measure it again with --audio {0}",
        path.display()
    ));
    Ok(path)
}

/// Waits for Enter; `false` where nobody will ever press it.
fn enter() -> anyhow::Result<bool> {
    Ok(io::stdin().read_line(&mut String::new())? > 0)
}

/// A RIFF WAVE file of 16-bit PCM.
fn wave(sound: &Sound) -> anyhow::Result<Vec<u8>> {
    let n_bytes = u32::try_from(2 * sound.samples.len())
        .ok()
        .filter(|bytes| *bytes < u32::MAX - 36);
    let n_bytes = n_bytes.context("too long for a WAVE file")?;
    let format: [u32; 4] = [16, 0x0001_0001, sound.rate, 2 * sound.rate]; // size; PCM, one channel; bytes a second
    let mut file = [b"RIFF", &(36 + n_bytes).to_le_bytes()[..], b"WAVEfmt "].concat();
    file.extend(format.iter().flat_map(|number| number.to_le_bytes()));
    file.extend([2, 0, 16, 0]); // bytes a frame, bits a sample
    file.extend([b"data", &n_bytes.to_le_bytes()[..]].concat());
    file.extend(sound.samples.iter().flat_map(|sample| sample.to_le_bytes()));
    Ok(file)
}

#[cfg(not(any(target_os = "macos", windows)))]
mod system {
    use std::io::Read;
    use std::process::{Child, Command, Stdio};
    use std::thread;

    use anyhow::{Context, bail};

    use super::Sound;
    use crate::implementation::Here;

    const RATE: u32 = 16_000;

    /// Programs that write raw 16-bit samples to standard output, in the order in which they are tried.
    const PROGRAMS: [(&str, &[&str]); 3] = [
        (
            "arecord",
            &["-q", "-t", "raw", "-f", "S16_LE", "-r", "16000", "-c", "1"],
        ),
        ("parec", &["--raw", "--format=s16le", "--rate=16000", "--channels=1"]),
        (
            "ffmpeg",
            &[
                "-v", "error", "-nostdin", "-f", "alsa", "-i", "default", "-ac", "1", "-ar", "16000", "-f", "s16le",
                "-",
            ],
        ),
    ];

    pub(super) fn listen(until: impl FnOnce() -> anyhow::Result<bool>) -> anyhow::Result<Sound> {
        let mut child = start()?;
        let mut output = child.stdout.take().context("no pipe")?;
        let mut errors = child.stderr.take().context("no pipe")?;
        let reader = thread::spawn(move || {
            let mut bytes = Vec::new();
            output.read_to_end(&mut bytes).map(|_| bytes)
        });
        let enough = until();
        let ended_before = child.try_wait()?.is_some_and(|status| !status.success());
        let _ = child.kill();
        child.wait()?;
        enough?;
        let bytes = reader
            .join()
            .map_err(|_| anyhow::anyhow!("reading the recorder failed"))??;
        if ended_before {
            let mut words = String::new();
            let _ = errors.read_to_string(&mut words);
            bail!("the recorder has failed: {}", words.trim());
        }
        let (samples, _) = bytes.as_chunks();
        Ok(Sound {
            samples: samples.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect(),
            rate: RATE,
        })
    }

    fn start() -> anyhow::Result<Child> {
        let here = Here::default();
        let found = PROGRAMS
            .iter()
            .find_map(|(name, arguments)| Some((here.on_path(name)?, arguments)));
        let (program, arguments) = found.context("to record, install one of arecord (alsa-utils), parec, ffmpeg")?;
        let mut command = Command::new(&program);
        command
            .args(*arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))
    }
}

#[cfg(any(target_os = "macos", windows))]
mod system {
    use std::sync::{Arc, Mutex, PoisonError};

    use anyhow::Context;
    use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
    use cpal::{FromSample, SampleFormat, SizedSample};

    use super::Sound;

    pub(super) fn listen(until: impl FnOnce() -> anyhow::Result<bool>) -> anyhow::Result<Sound> {
        let device = cpal::default_host()
            .default_input_device()
            .context("there is no microphone")?;
        let config = device.default_input_config().context("the microphone")?;
        let heard = Arc::<Mutex<Vec<i16>>>::default();
        let stream = match config.sample_format() {
            SampleFormat::F32 => stream::<f32>(&device, &config, &heard),
            SampleFormat::I32 => stream::<i32>(&device, &config, &heard),
            _ => stream::<i16>(&device, &config, &heard),
        }?;
        stream.play()?;
        until()?;
        drop(stream);
        let samples = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Sound {
            samples,
            rate: config.sample_rate(),
        })
    }

    /// Keeps the first channel.
    fn stream<T: SizedSample>(
        device: &cpal::Device,
        config: &cpal::SupportedStreamConfig,
        heard: &Arc<Mutex<Vec<i16>>>,
    ) -> anyhow::Result<cpal::Stream>
    where
        i16: FromSample<T>,
    {
        let (kept, channels) = (Arc::clone(heard), usize::from(config.channels()));
        let keep = move |frames: &[T], _: &cpal::InputCallbackInfo| {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend(frames.iter().step_by(channels).map(|sample| sample.to_sample::<i16>()));
        };
        // What goes wrong meanwhile shows in the recording.
        Ok(device.build_input_stream(config.config(), keep, |_| (), None)?)
    }
}
