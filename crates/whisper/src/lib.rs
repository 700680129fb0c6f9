//! Speech to text with OpenAI's Whisper from MLX checkpoints: audio in, text out.
//!
//! This crate knows no network and no terminal.
#![forbid(unsafe_code)]

// sound
pub mod audio;
pub mod mel;

// network
pub mod model;

// text
pub mod language;
pub mod tokenizer;

mod error;

pub use error::{Error, Result};
