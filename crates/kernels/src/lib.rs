//! Numbers: slices in, slices out. The unsafe code of the program, foreign calls apart; knows no Whisper.
//!
//! Matrices are row-major f32. Every operation takes a [`Cpu`] (an instruction set and threads), or an [`Isa`] where one
//! thread does, writes to the caller's slice and allocates nothing once its threads have seen the greatest shapes.
//!
//! | operation | shapes |
//! |---|---|
//! | [`linear`] | x `[m, k]`, w `[n, k]`, bias `[n]` -> y `[m, n]`, stored, through GELU, or added |
//! | [`linear_each`] | the same for several w |
//! | [`attention`] | q `[m, heads * head_dim]`, keys and values of `len` positions -> `[m, heads * head_dim]` |
//! | [`attention_scores`] | the same, one head -> scores `[m, len]` before softmax |
//! | [`layer_norm`] | x `[m, d]`, gamma `[d]`, beta `[d]` -> `[m, d]` |
//! | [`gelu()`] | x, in place |
//! | [`softmax()`] | x `[m, n]`, in place |
//! | [`log_sum_exp`], [`greatest`] | x `[n]` -> a number |
//!
//! [`Weights`] holds w, dense or quantized; [`KeyValue`] the keys and values of a sequence.
//!
//! Results do not depend on the number of threads, nor (the instruction set `scalar` apart) on the instruction set, nor
//! on how many rows are computed together: the same bits.
#![allow(
    clippy::cast_possible_truncation,
    reason = "sizes were checked where they came from a file; the rest is arithmetic"
)]

// the processor
mod cpu;
mod isa;
mod scratch;
mod threads;

// products
mod attention;
mod codes;
mod integer;
mod key_value;
mod linear;
mod tile;
mod weights;

// element by element
mod exp;
mod gelu;
mod layer_norm;
mod softmax;

// the measure
mod peak;

#[cfg(test)]
mod same_bits;
#[cfg(test)]
mod testing;

pub use attention::{attention, attention_scores};
pub use cpu::{Compute, Cpu};
pub use gelu::gelu;
pub use isa::{ISA_VARIABLE, Isa, IsaError};
pub use key_value::KeyValue;
pub use layer_norm::{LAYER_NORM_EPSILON, layer_norm};
pub use linear::{Layer, Rows, Then, linear, linear_each};
pub use peak::{peak_flops, peak_int8_ops};
pub use softmax::{greatest, log_sum_exp, softmax};
pub use threads::ThreadPool;
pub use weights::{Float, Weights};
