//! What the tests share: one test for each instruction set, seeded numbers, bounds.

use crate::integer::{Factor, RowRun};
use crate::{Cpu, Isa};
use std::io::Write as _;

/// `on_every_isa!(linear_is_right)` makes the tests `linear_is_right::scalar`, `::avx2`, `::avx512` of `fn(&Cpu)`, or
/// `::neon` and so on, as the processor is.
///
/// libtest cannot skip at run time: where an instruction set is missing its test says so and passes
/// (see `the_expected_instruction_set_is_found`).
macro_rules! on_every_isa {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            #[test]
            fn scalar() {
                crate::testing::on("scalar", super::$test);
            }
            #[cfg(target_arch = "x86_64")]
            #[test]
            fn avx2() {
                crate::testing::on("avx2", super::$test);
            }
            #[cfg(target_arch = "x86_64")]
            #[test]
            fn avxvnni() {
                crate::testing::on("avxvnni", super::$test);
            }
            #[cfg(target_arch = "x86_64")]
            #[test]
            fn avx512() {
                crate::testing::on("avx512", super::$test);
            }
            #[cfg(target_arch = "aarch64")]
            #[test]
            fn neon() {
                crate::testing::on("neon", super::$test);
            }
            #[cfg(target_arch = "aarch64")]
            #[test]
            fn neon_dotprod() {
                crate::testing::on("neon-dotprod", super::$test);
            }
            #[cfg(target_arch = "aarch64")]
            #[test]
            fn neon_i8mm() {
                crate::testing::on("neon-i8mm", super::$test);
            }
        }
    )+};
}
pub(crate) use on_every_isa;

pub(crate) fn on(name: &str, test: fn(&Cpu)) {
    match Isa::from_name(name) {
        Ok(isa) => test(&Cpu::with(isa, 2)),
        Err(_) => writeln!(std::io::stderr(), "skipped: {name}: missing on this CPU").unwrap(),
    }
}

/// Instruction sets with a fused multiply-add: they give the same bits.
pub(crate) fn fused() -> Vec<Isa> {
    Isa::available().filter(|isa| isa.name() != "scalar").collect()
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In [-1, 1).
    pub(crate) fn number(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub(crate) fn numbers(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.number()).collect()
    }

    pub(crate) fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.bits() as u8).collect()
    }
}

/// Fails unless each number is within `bound(i)` of what is expected; NaN is never.
#[track_caller]
pub(crate) fn assert_within(found: &[f32], expected: &[f64], bound: impl Fn(usize) -> f64) {
    assert_eq!(found.len(), expected.len());
    for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs();
        assert!(
            error <= bound(i),
            "[{i}]: found {found}, expected {expected}: off by {error:e}, bound {:e}",
            bound(i)
        );
    }
}

/// Fails unless the bits are the same.
#[track_caller]
pub(crate) fn assert_same_bits(a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len());
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert_eq!(a.to_bits(), b.to_bits(), "[{i}]: {a} and {b}");
    }
}

/// Spoils this thread's and the pool's scratch, so that a read of what was not written shows.
pub(crate) fn poison_scratch(cpu: &Cpu) {
    use crate::codes::CodeLine;
    use crate::scratch::{Line, PACKED_ROWS, PANEL_CODES, PANELS, ROW_BYTES, ROW_FACTORS, TILES, with_buffer};
    let barrier = std::sync::Barrier::new(cpu.threads());
    cpu.pool().run(cpu.threads(), |_| {
        barrier.wait(); // one task on each thread
        for buffer in [&PACKED_ROWS, &PANELS, &TILES] {
            with_buffer(buffer, 1 << 14, |lines| lines.fill(Line([f32::NAN; 16])));
        }
        with_buffer(&PANEL_CODES, 1 << 14, |codes| codes.fill(CodeLine([0xa5; 64])));
        with_buffer(&ROW_BYTES, 1 << 14, |rows| rows.fill(RowRun::POISON));
        with_buffer(&ROW_FACTORS, 1 << 14, |factors| factors.fill(Factor::POISON));
    });
}

/// A copy that ends right before a page that cannot be read: a read past the end faults.
#[cfg(unix)]
pub(crate) struct Guarded<T> {
    map: *mut libc::c_void,
    map_len: usize,
    data: *const T,
    len: usize,
}

#[cfg(unix)]
impl<T: Copy> Guarded<T> {
    pub(crate) fn new(data: &[T]) -> Self {
        let bytes = size_of_val(data);
        // SAFETY: asks for a number.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap();
        let readable = bytes.next_multiple_of(page);
        let map_len = readable + page;
        let (protection, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        // SAFETY: a fresh mapping.
        let map = unsafe { libc::mmap(std::ptr::null_mut(), map_len, protection, flags, -1, 0) };
        assert_ne!(map, libc::MAP_FAILED);
        // SAFETY: the last page of the mapping.
        let guard = unsafe { map.byte_add(readable) };
        // SAFETY: the last page of the mapping; nothing lies there.
        assert_eq!(unsafe { libc::mprotect(guard, page, libc::PROT_NONE) }, 0);
        // SAFETY: `bytes` before the guard page are within the mapping, and a page is more aligned than `T`.
        let copy = unsafe { guard.byte_sub(bytes) }.cast::<T>();
        // SAFETY: `data.len()` elements fit between `copy` and the guard page.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), copy, data.len()) };
        Self {
            map,
            map_len,
            data: copy,
            len: data.len(),
        }
    }
}

#[cfg(unix)]
impl<T> std::ops::Deref for Guarded<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: written by `new`, mapped until `drop`.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

#[cfg(unix)]
impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`.
        unsafe { libc::munmap(self.map, self.map_len) };
    }
}
