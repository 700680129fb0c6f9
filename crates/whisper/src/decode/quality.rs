//! Is a window's text to be believed?

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::Decoding;
use crate::options::{Compat, Options};

/// Bytes of `text` over its bytes after zlib at level 6: high where text repeats itself. 0 for empty text.
///
/// Other implementations of deflate give other sizes, which would flip decisions at the threshold: this is zlib itself.
pub fn compression_ratio(text: &str) -> f64 {
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(text.len()), Compression::new(6));
    let written = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    let compressed = written.expect("a vector takes any bytes").len();
    text.len() as f64 / compressed as f64
}

/// Whether the next temperature should be tried. Source: `decode_with_fallback` in `transcribe.py`.
pub(crate) fn needs_fallback(decoding: &Decoding, options: &Options) -> bool {
    let repeats = options
        .compression_ratio_threshold
        .is_some_and(|limit| decoding.compression_ratio > limit);
    let improbable = options
        .logprob_threshold
        .is_some_and(|limit| decoding.avg_logprob < limit);
    let no_speech = options
        .no_speech_threshold
        .is_some_and(|limit| decoding.no_speech_prob > limit);
    let silence = match options.compat {
        Compat::OpenAi => no_speech && improbable,
        Compat::Mlx => no_speech,
    };
    (repeats || improbable) && !silence
}

/// Whether nobody speaks in the window: no speech is probable, and its text is not.
pub(crate) fn is_silence(decoding: &Decoding, options: &Options) -> bool {
    let no_speech = options
        .no_speech_threshold
        .is_some_and(|limit| decoding.no_speech_prob > limit);
    // NaN, which mlx_whisper's rules can give, is not above any limit.
    let probable = options
        .logprob_threshold
        .is_some_and(|limit| decoding.avg_logprob > limit);
    no_speech && !probable
}
