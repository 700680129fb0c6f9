//! Speech to text with OpenAI's Whisper from MLX checkpoints: audio in, text out.
//!
//! This crate knows no network and no terminal.
#![forbid(unsafe_code)]

// sound
pub mod audio;
pub mod mel;

// network
pub mod cpu;
pub mod model;

// text
pub mod decode;
pub mod language;
pub mod options;
pub mod tokenizer;
pub mod transcribe;
pub mod transcript;

// checkpoint
pub mod weights;

mod error;

pub use error::{Error, Result};
pub use options::{Compat, Options};
pub use transcribe::{Transcription, transcribe};
pub use transcript::{Segment, Transcript};
