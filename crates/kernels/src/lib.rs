//! Numbers: slices in, slices out. The only crate with unsafe code; knows no Whisper.
