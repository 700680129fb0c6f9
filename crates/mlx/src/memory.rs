//! What a request will take, against what there is: MLX does not survive running out of memory on its own threads, so it is
//! not asked for what there is no room for.

use whisper::model::{Dims, MEL_FRAMES};
use whisper::weights::Float;

use crate::ffi::{Device, Memory};

/// What MLX may keep of buffers no longer in use. By default it keeps up to its memory limit, which grows with every shape.
pub(crate) const CACHE_LIMIT: u64 = 512 << 20;

/// Requests below are not worth a look at what is free.
const SMALL: u64 = 16 << 20;

/// What is left to others.
const RESERVE: u64 = 128 << 20;

/// Sizes of a request, in bytes: estimates from the shapes, not yet compared with what MLX itself counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    float: u64,
    dims: [u64; 7],
    /// Attention of the encoder is computed in one piece, without the scores of all frames in memory.
    fused: bool,
}

impl Needs {
    pub(crate) fn of(dims: &Dims, float: Float, device: Device) -> Needs {
        let head = dims.n_audio_state / dims.n_audio_head.max(1);
        Needs {
            float: float.size() as u64,
            dims: [
                dims.n_mels,
                dims.n_audio_ctx,
                dims.n_audio_state,
                dims.n_audio_head,
                dims.n_text_layer,
                dims.n_vocab,
                dims.n_text_head,
            ]
            .map(|n| n as u64),
            fused: device == Device::Metal && [64, 72, 80, 96, 128].contains(&head),
        }
    }

    /// Encoding so many windows at once, their keys and values included.
    pub(crate) fn encode(self, windows: usize) -> u64 {
        let [mels, frames, width, heads, layers, ..] = self.dims;
        let convolutions = MEL_FRAMES as u64 * (4 * mels + 5 * width);
        let block = frames * 20 * width;
        let scores = if self.fused { 0 } else { 3 * heads * frames * frames };
        let kept = frames * width * (2 * layers + 4);
        (windows as u64) * (self.float * (convolutions.max(block + scores) + kept) + 4 * MEL_FRAMES as u64 * mels)
    }

    /// Reading so many tokens, of whose rows so many are asked for, into caches of so many tokens in all.
    pub(crate) fn step(self, tokens: usize, rows: usize, cached: usize) -> u64 {
        let [_, frames, width, _, layers, vocabulary, heads] = self.dims;
        let (tokens, rows, cached) = (tokens as u64, rows as u64, cached as u64);
        let scores = 3 * tokens * heads * (frames + cached.min(4096));
        let caches = 4 * (cached + 64) * width * layers; // the old ones are there until the new ones are
        self.float * (scores + caches + 20 * tokens * width) + rows * vocabulary * (4 + 2 * self.float)
    }
}

/// Whether `bytes` more can be had, below the user's limit, MLX's and the system's.
///
/// # Errors
/// What is asked for, and what there is.
pub(crate) fn room_for(what: &str, bytes: u64, now: Memory, max: Option<u64>) -> Result<(), String> {
    if bytes < SMALL {
        return Ok(());
    }
    let mib = |bytes: u64| format!("{} MiB", bytes.div_ceil(1 << 20));
    let limit = max.map_or(now.limit, |max| max.min(now.limit));
    if now.active.saturating_add(bytes) > limit {
        let whose = if max.is_some_and(|max| max <= now.limit) {
            "--max-memory"
        } else {
            "MLX"
        };
        return Err(format!(
            "{what} takes up to {}, {} are in use, and {whose} allows {}; a smaller model or --batch takes less",
            mib(bytes),
            mib(now.active),
            mib(limit)
        ));
    }
    match free().map(|free| free.saturating_add(now.cached)) {
        Some(free) if bytes.saturating_add(RESERVE) > free => Err(format!(
            "{what} takes up to {}, and {} are free; a smaller model or --batch takes less",
            mib(bytes),
            mib(free)
        )),
        _ => Ok(()),
    }
}

/// What this process can still have: of the machine's memory, its control group's, its address space. `None` where the system
/// does not say it in a file; MLX's own limit follows the machine there.
fn free() -> Option<u64> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let kib = |text: &str, key: &str| -> Option<u64> {
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(1024 * line.split_whitespace().nth(1)?.parse::<u64>().ok()?)
    };
    let machine = kib(&read("/proc/meminfo")?, "MemAvailable:")?;
    let group = || {
        let most: u64 = read("/sys/fs/cgroup/memory.max")?.trim().parse().ok()?;
        let used: u64 = read("/sys/fs/cgroup/memory.current")?.trim().parse().ok()?;
        let file = read("/sys/fs/cgroup/memory.stat")?;
        let file = file.lines().find_map(|line| line.strip_prefix("inactive_file "))?;
        Some(most.saturating_sub(used.saturating_sub(file.trim().parse().ok()?)))
    };
    let addresses = || {
        let limits = read("/proc/self/limits")?;
        let line = limits.lines().find(|line| line.starts_with("Max address space"))?;
        let most: u64 = line.split_whitespace().nth(3)?.parse().ok()?; // "unlimited" is no number
        Some(most.saturating_sub(kib(&read("/proc/self/status")?, "VmSize:")?))
    };
    Some(
        machine
            .min(group().unwrap_or(u64::MAX))
            .min(addresses().unwrap_or(u64::MAX)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_no_room_for_is_refused() {
        let now = Memory {
            active: 1 << 30,
            cached: 0,
            peak: 0,
            limit: 2 << 30,
        };
        assert_eq!(room_for("a step", SMALL - 1, now, Some(0)), Ok(()), "not looked at");
        assert_eq!(room_for("a step", 64 << 20, now, None), Ok(()));
        let error = room_for("a window", 512 << 20, now, Some(1 << 30)).unwrap_err();
        assert_eq!(
            error,
            "a window takes up to 512 MiB, 1024 MiB are in use, and --max-memory allows 1024 MiB; a smaller model or --batch \
             takes less"
        );
        let error = room_for("a window", 1 << 31, now, None).unwrap_err();
        assert!(error.contains("MLX allows 2048 MiB"), "{error}");
        let endless = Memory { limit: u64::MAX, ..now };
        if cfg!(target_os = "linux") {
            let error = room_for("a window", 1 << 60, endless, None).unwrap_err();
            assert!(error.contains("are free"), "{error}");
        }
    }
}
