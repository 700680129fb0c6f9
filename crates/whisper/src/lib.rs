//! Speech to text with OpenAI's Whisper from MLX checkpoints: audio in, text out.
//!
//! This crate knows no network and no terminal.
//!
//! ```no_run
//! use whisper::audio::{AudioFile, AudioOptions};
//! use whisper::cpu::{Cpu, CpuModel};
//! use whisper::mel::LogMel;
//! use whisper::model::Model;
//! use whisper::weights::Checkpoint;
//! use whisper::{Options, transcribe};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = CpuModel::load(Checkpoint::open("whisper-base-mlx-8bit".as_ref())?, Cpu::new(None)?)?;
//! let samples = AudioFile::open("talk.mp3".as_ref(), &AudioOptions::default())?.read_all()?;
//! let mel = LogMel::from_samples(&samples, model.dims().n_mels);
//!
//! let options = Options::default(); // `options.monitor` says how far it is and can cancel, from any thread
//! for segment in transcribe(&model, &mel, &options)? {
//!     let segment = segment?; // as it is found
//!     println!("{:.2} to {:.2} s:{}", segment.start, segment.end, segment.text);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! `examples/transcribe.rs` is a program to paste, which keeps no samples and shows progress.
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
#[doc(hidden)]
pub mod fuzz;
mod voice;
mod words;

pub use error::{Error, Result};
pub use options::{Compat, Options};
pub use transcribe::{Transcription, transcribe};
pub use transcript::{Segment, Transcript};
