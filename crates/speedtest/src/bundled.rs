//! What is inside the program, so that a fresh machine without any network can transcribe and measure: Whisper base in
//! 5 bits, and a recording.

/// The files of a checkpoint, in memory.
pub(crate) struct Bundled {
    pub(crate) config: &'static [u8],
    pub(crate) weights: &'static [u8],
}

/// What was built in; nothing where `assets/` was absent (registry packages) or the feature `bundled` is off.
pub(crate) const BUNDLED: Option<Bundled> = built_in();

#[cfg(bundled_model)]
const fn built_in() -> Option<Bundled> {
    /// Aligned like any allocation of a tensor, so that reading costs the same wherever the linker puts the file.
    #[repr(C, align(64))]
    struct Aligned<Bytes: ?Sized>(Bytes);
    static WEIGHTS: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("BUNDLED_MODEL"), "/weights.safetensors")));

    Some(Bundled {
        config: include_bytes!(concat!(env!("BUNDLED_MODEL"), "/config.json")),
        weights: &WEIGHTS.0,
    })
}

#[cfg(not(bundled_model))]
const fn built_in() -> Option<Bundled> {
    None
}

/// Eleven seconds of speech, English, as FLAC; nothing where `samples/` was absent.
pub(crate) const RECORDING: Option<&[u8]> = recording();

/// What [`RECORDING`] is called, and what is said in it.
pub(crate) const RECORDING_NAME: &str = "jfk.flac";
pub(crate) const RECORDING_TEXT: &str =
    "And so, my fellow Americans: ask not what your country can do for you; ask what you can do for your country.";

#[cfg(bundled_recording)]
const fn recording() -> Option<&'static [u8]> {
    Some(include_bytes!(env!("BUNDLED_RECORDING")))
}

#[cfg(not(bundled_recording))]
const fn recording() -> Option<&'static [u8]> {
    None
}

#[cfg(all(test, bundled_model))]
mod tests {
    use super::*;

    #[test]
    fn is_aligned_and_whole() {
        let Bundled { config, weights } = BUNDLED.unwrap();
        assert_eq!(weights.len(), 51_040_395);
        assert_eq!(weights.as_ptr().addr() % 64, 0);
        let config: serde_json::Value = serde_json::from_slice(config).unwrap();
        assert_eq!(config["quantization"]["bits"], 5);
    }
}
