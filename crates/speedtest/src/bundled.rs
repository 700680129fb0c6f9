//! The model inside the program: Whisper base, 5 bits, so that a fresh machine without any network can transcribe.

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
