//! A pool of threads for parallel regions of microseconds.
//!
//! Decoding one token runs over forty short regions, so entering one must cost about a microsecond: a region is one
//! atomic word (the gate) that idle workers spin on for a moment before they sleep. Nobody waits for a worker that did
//! not notice in time: workers join through the gate, the caller takes part, and when no task is left it closes the gate
//! and waits only for those inside.
//!
//! All cores count the same. On chips with fast and slow cores tasks are still claimed one by one, so slow cores take
//! fewer of them; choosing only fast cores is left to the `threads` argument.

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long an idle worker spins before it sleeps.
const SPIN: Duration = Duration::from_micros(50);

/// Threads that run the tasks of a region together with the caller.
pub struct ThreadPool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

impl ThreadPool {
    /// A pool of `threads` threads, the caller of [`run`](Self::run) being one of them; at least one.
    ///
    /// Where the system refuses a thread the pool is smaller.
    pub fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let spawn = |_| {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name("kernels".to_owned())
                .spawn(move || shared.serve())
                .ok()
        };
        let workers = (1..threads).map_while(spawn).collect();
        Self { shared, workers }
    }

    /// Threads this process may use at once: the cores, or fewer by affinity or control group.
    pub fn default_threads() -> usize {
        thread::available_parallelism().map_or(1, usize::from)
    }

    /// Threads that take part in a region, the caller included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `task(0)` to `task(tasks - 1)`, in any order, on all threads, and returns when all are done.
    ///
    /// Where the pool is busy (a region within a task, or another caller's region) the calling thread runs all tasks.
    ///
    /// # Panics
    /// If a task panics: the first panic is passed on once every thread has left the region; tasks not yet begun are
    /// dropped.
    pub fn run<F: Fn(usize) + Sync>(&self, tasks: usize, task: F) {
        let shared = &*self.shared;
        if tasks <= 1 || self.workers.is_empty() || shared.busy.swap(true, Ordering::Acquire) {
            return (0..tasks).for_each(task);
        }
        let task: *const (dyn Fn(usize) + Sync + '_) = &task;
        // SAFETY: only the lifetime changes. Workers use the pointer while they are inside the gate; `close` below
        // returns when none is, and nothing between here and there unwinds.
        let task: *const (dyn Fn(usize) + Sync + 'static) = unsafe { std::mem::transmute(task) };
        let job = Job { task, tasks };
        shared.open(job);
        shared.work(job);
        shared.close();
        let panic = shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        shared.busy.store(false, Ordering::Release);
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.gate.0.fetch_or(QUIT, Ordering::SeqCst);
        self.shared.wake();
        for worker in self.workers.drain(..) {
            // A worker cannot panic: tasks are caught.
            let _ = worker.join();
        }
    }
}

/// Gate: the lower bits count the workers inside, then two flags, and above them the number of the region.
const INSIDE: u64 = (1 << 16) - 1;
const OPEN: u64 = 1 << 16;
const QUIT: u64 = 1 << 17;
const REGION: u64 = 1 << 32;

#[derive(Clone, Copy)]
struct Job {
    task: *const (dyn Fn(usize) + Sync),
    tasks: usize,
}

/// A value alone on its cache lines: others spin on it.
#[derive(Default)]
#[repr(align(128))]
struct Alone<T>(T);

#[derive(Default)]
struct Shared {
    gate: Alone<AtomicU64>,
    next_task: Alone<AtomicUsize>,
    /// Written by the thread that holds `busy`, while the gate is closed and nobody is inside; read inside the gate.
    job: UnsafeCell<Option<Job>>,
    /// Whether a region is running.
    busy: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    sleepers: AtomicUsize,
    sleep: Mutex<()>,
    awake: Condvar,
}

// SAFETY: `job` is the only part that is not `Send` by itself; the closure behind its pointer is `Sync`, and the pointer
// is used only while the caller of `run`, who owns the closure, waits.
unsafe impl Send for Shared {}
// SAFETY: `job` is the only part that is not `Sync` by itself; its writes and reads are ordered by the gate (see there).
unsafe impl Sync for Shared {}

impl Shared {
    /// Begins a region. The caller holds `busy`.
    fn open(&self, job: Job) {
        // SAFETY: the caller holds `busy` and the last region was closed: no other thread looks at `job`.
        unsafe { *self.job.get() = Some(job) };
        self.next_task.0.store(0, Ordering::Relaxed);
        let region = self.gate.0.load(Ordering::Relaxed) & !(REGION - 1);
        // Only the holder of `busy` changes a closed gate. `SeqCst`: before the look at `sleepers` in `wake`.
        self.gate.0.store(region.wrapping_add(REGION) | OPEN, Ordering::SeqCst);
        self.wake();
    }

    /// Ends the region: lets nobody in and waits until those inside have left.
    fn close(&self) {
        self.gate.0.fetch_and(!OPEN, Ordering::Relaxed);
        let mut turns = 0u32;
        while self.gate.0.load(Ordering::Acquire) & INSIDE != 0 {
            turns += 1;
            // With more threads than cores the one waited for may need this core.
            if turns < 1000 {
                std::hint::spin_loop()
            } else {
                thread::yield_now()
            }
        }
    }

    /// Claims and runs tasks until none is left.
    fn work(&self, job: Job) {
        // SAFETY: the closure lives until `run` returns, which is after this thread has left the region.
        let task = unsafe { &*job.task };
        let claim_all = || {
            loop {
                let i = self.next_task.0.fetch_add(1, Ordering::Relaxed);
                if i >= job.tasks {
                    break;
                }
                task(i);
            }
        };
        // The state behind the closure belongs to the caller, who gets the panic.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(claim_all)) {
            self.next_task.0.store(job.tasks, Ordering::Relaxed);
            self.panic
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(payload);
        }
    }

    /// The life of a worker.
    fn serve(&self) {
        let mut last_region = 0;
        loop {
            let gate = self.wait(last_region);
            if gate & QUIT != 0 {
                return;
            }
            // `Acquire`: sees `job` as `open` left it.
            if self
                .gate
                .0
                .compare_exchange(gate, gate + 1, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
            {
                last_region = gate / REGION;
                // SAFETY: this thread is inside the gate, so nobody writes `job`.
                if let Some(job) = unsafe { *self.job.get() } {
                    self.work(job);
                }
                // `Release`: what the tasks wrote is seen by `close`.
                self.gate.0.fetch_sub(1, Ordering::Release);
            }
        }
    }

    /// Waits for an open gate of a region after `last_region`, or for the end: spins for a moment, then sleeps.
    fn wait(&self, last_region: u64) -> u64 {
        let ready = |gate: u64| gate & QUIT != 0 || (gate & OPEN != 0 && gate / REGION != last_region);
        let since = Instant::now();
        while since.elapsed() < SPIN {
            for _ in 0..32 {
                let gate = self.gate.0.load(Ordering::Relaxed);
                if ready(gate) {
                    return gate;
                }
                std::hint::spin_loop();
            }
        }
        let mut guard = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        // `SeqCst`: either `wake` sees this sleeper, or the load below sees the gate that `open` stored before.
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let gate = loop {
            let gate = self.gate.0.load(Ordering::SeqCst);
            if ready(gate) {
                break gate;
            }
            guard = self.awake.wait(guard).unwrap_or_else(PoisonError::into_inner);
        };
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        gate
    }

    fn wake(&self) {
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            // With the lock held a worker is either before its look at the gate or already asleep.
            let _guard = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
            self.awake.notify_all();
        }
    }
}

#[cfg(test)]
mod tests;
