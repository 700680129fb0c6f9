//! Speech to text with OpenAI's Whisper from MLX checkpoints: audio in, text out.
//!
//! This crate knows no network and no terminal.
#![forbid(unsafe_code)]

// network
pub mod model;

// checkpoint
pub mod weights;

mod error;

pub use error::{Error, Result};
