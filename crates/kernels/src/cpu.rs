//! The processor as every operation takes it: an instruction set, threads, and the arithmetic of products.

use std::fmt;
use std::sync::Arc;

use crate::isa::{Isa, IsaError};
use crate::threads::ThreadPool;

/// How products of quantized weights are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compute {
    /// Weights widened to float32, float32 throughout.
    F32,
    /// The codes themselves, with rows quantized to 8 bits for each group of the weights: whole numbers, exactly.
    Int8,
    /// Rows in 16 bits: twice the multiplications, which for few rows cost nothing beside reading the codes. Attention over
    /// quantized keys and values takes its rows in 8 bits all the same.
    Int16,
}

impl fmt::Display for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
        })
    }
}

/// An instruction set and a pool of threads. Shared freely: operations take `&Cpu`, from any thread; clones have the pool in
/// common.
#[derive(Clone)]
pub struct Cpu {
    isa: Isa,
    pool: Arc<ThreadPool>,
    compute: Compute,
}

impl Cpu {
    /// The instruction set that the environment names, else the best; `threads` threads, else as many as there are cores.
    pub fn new(threads: Option<usize>) -> Result<Self, IsaError> {
        Ok(Self::with(
            Isa::from_environment()?,
            threads.unwrap_or_else(ThreadPool::default_threads),
        ))
    }

    /// `isa` and `threads` threads, at least one; [`Compute::F32`].
    pub fn with(isa: Isa, threads: usize) -> Self {
        Self {
            isa,
            pool: Arc::new(ThreadPool::new(threads)),
            compute: Compute::F32,
        }
    }

    /// The same, computing so.
    pub fn computing(self, compute: Compute) -> Self {
        Self { compute, ..self }
    }

    /// How products of quantized weights are computed.
    pub fn compute(&self) -> Compute {
        self.compute
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Threads in use, the caller's included.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// The threads, for work of one's own.
    pub fn pool(&self) -> &ThreadPool {
        &self.pool
    }

    /// Runs `task(i, chunk)` for each piece of `chunk` elements (the last may be shorter), on all threads.
    pub(crate) fn for_each_chunk<T: Send, F: Fn(usize, &mut [T]) + Sync>(&self, data: &mut [T], chunk: usize, task: F) {
        let len = data.len();
        let data = SharedMut::new(data);
        self.pool.run(len.div_ceil(chunk), |i| {
            let start = i * chunk;
            // SAFETY: chunk `i` is given to task `i` only.
            task(i, unsafe { data.slice(start, chunk.min(len - start)) });
        });
    }
}

/// A slice that the tasks of a region write in disjoint parts.
pub(crate) struct SharedMut<'a, T> {
    first: *mut T,
    len: usize,
    borrow: std::marker::PhantomData<&'a mut [T]>,
}

// SAFETY: hands out disjoint `&mut` parts (the contract of `slice`), which may go to other threads as `T: Send`.
unsafe impl<T: Send> Sync for SharedMut<'_, T> {}

impl<'a, T> SharedMut<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self {
            first: slice.as_mut_ptr(),
            len: slice.len(),
            borrow: std::marker::PhantomData,
        }
    }

    /// `len` elements from `start`.
    ///
    /// # Safety
    /// No other part given out while this one is in use may overlap it.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "the caller keeps the parts disjoint")]
    pub(crate) unsafe fn slice(&self, start: usize, len: usize) -> &mut [T] {
        assert!(
            start <= self.len && len <= self.len - start,
            "{len} elements from {start} of {}",
            self.len
        );
        // SAFETY: `start` is within the slice.
        let first = unsafe { self.first.add(start) };
        // SAFETY: within the slice, borrowed mutably for `'a`; the caller keeps parts disjoint.
        unsafe { std::slice::from_raw_parts_mut(first, len) }
    }
}
