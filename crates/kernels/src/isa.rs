//! Instruction sets: which ones this CPU has, and the few vector operations the kernels are written in.
//!
//! Every kernel is written once, over [`Simd`]: vectors of [`LANES`] = 16 floats, which is one register of AVX-512, two
//! of AVX2, four of NEON. So all instruction sets share one weight layout (panels of 16 outputs) and, lane for lane, one
//! order of operations: those with a fused multiply-add give the same bits. A kernel is an [`Op`]: a struct of operands
//! with one generic `run`, compiled for each instruction set by entering a `#[target_feature]` function
//! ([`Simd::vectorize`]) and inlining everything below it. Hence the rule of this crate: whatever takes a `Simd` is
//! `#[inline(always)]`, and builds no vectors in closures.
//!
//! A value of a `Simd` type is the proof that the CPU has its features; only `detect` makes one.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;

use std::fmt;

use crate::codes::{CodeLine, RUN_QUADS};
use crate::integer::{self, Factor, RowRun};
use crate::scratch::Line;
use crate::weights::CodePanel;

/// Floats in a vector, outputs in a panel, on every instruction set.
pub(crate) const LANES: usize = 16;

/// An instruction set that this CPU supports: a value is the proof.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Isa(Kind);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Scalar(scalar::Scalar),
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2<false>),
    #[cfg(target_arch = "x86_64")]
    AvxVnni(avx2::Avx2<true>),
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512),
    #[cfg(target_arch = "aarch64")]
    Neon(neon::Neon<{ neon::PLAIN }>),
    #[cfg(target_arch = "aarch64")]
    NeonDotprod(neon::Neon<{ neon::DOTPROD }>),
    #[cfg(target_arch = "aarch64")]
    NeonI8mm(neon::Neon<{ neon::I8MM }>),
}

/// `$f(s)` with the `Simd` value of a kind.
macro_rules! of_kind {
    ($kind:expr, $f:ident) => {
        of_kind!($kind, |s| $f(s))
    };
    ($kind:expr, |$s:ident| $then:expr) => {
        match $kind {
            Kind::Scalar($s) => $then,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2($s) => $then,
            #[cfg(target_arch = "x86_64")]
            Kind::AvxVnni($s) => $then,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512($s) => $then,
            #[cfg(target_arch = "aarch64")]
            Kind::Neon($s) => $then,
            #[cfg(target_arch = "aarch64")]
            Kind::NeonDotprod($s) => $then,
            #[cfg(target_arch = "aarch64")]
            Kind::NeonI8mm($s) => $then,
        }
    };
}

/// Forces an instruction set by its [name](Isa::name).
pub const ISA_VARIABLE: &str = "WHISPER_ISA";

impl Isa {
    /// The best instruction set of this CPU.
    pub fn detect() -> Self {
        Self::available().next().unwrap_or(Self(Kind::Scalar(scalar::Scalar)))
    }

    /// All instruction sets of this CPU, best first. `scalar` is always the last.
    pub fn available() -> impl Iterator<Item = Self> {
        [
            #[cfg(target_arch = "x86_64")]
            avx512::Avx512::detect().map(Kind::Avx512),
            #[cfg(target_arch = "x86_64")]
            avx2::Avx2::detect().map(Kind::AvxVnni),
            #[cfg(target_arch = "x86_64")]
            avx2::Avx2::detect().map(Kind::Avx2),
            #[cfg(target_arch = "aarch64")]
            neon::Neon::detect().map(Kind::NeonI8mm),
            #[cfg(target_arch = "aarch64")]
            neon::Neon::detect().map(Kind::NeonDotprod),
            #[cfg(target_arch = "aarch64")]
            neon::Neon::detect().map(Kind::Neon),
            Some(Kind::Scalar(scalar::Scalar)),
        ]
        .into_iter()
        .flatten()
        .map(Self)
    }

    /// The instruction set called `name`: `scalar`; `avx2`, `avxvnni`, `avx512`; `neon`, `neon-dotprod`, `neon-i8mm`.
    pub fn from_name(name: &str) -> Result<Self, IsaError> {
        Self::available()
            .find(|isa| isa.name() == name)
            .ok_or_else(|| IsaError { asked: name.to_owned() })
    }

    /// What the environment variable [`ISA_VARIABLE`] names, or the best where it is unset or empty.
    pub fn from_environment() -> Result<Self, IsaError> {
        match std::env::var_os(ISA_VARIABLE) {
            Some(name) if !name.is_empty() => Self::from_name(&name.to_string_lossy()),
            _ => Ok(Self::detect()),
        }
    }

    /// See [`Isa::from_name`].
    pub fn name(self) -> &'static str {
        fn name<S: Simd>(_: S) -> &'static str {
            S::NAME
        }
        of_kind!(self.0, name)
    }

    /// See [`Simd::REGISTERS`].
    pub(crate) fn registers(self) -> usize {
        fn registers<S: Simd>(_: S) -> usize {
            S::REGISTERS
        }
        of_kind!(self.0, registers)
    }

    /// Runs a kernel compiled for this instruction set.
    #[inline]
    pub(crate) fn run<O: Op>(self, op: O) -> O::Output {
        of_kind!(self.0, |s| s.vectorize(op))
    }
}

impl fmt::Debug for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An instruction set was asked for that does not exist or that this CPU lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsaError {
    asked: String,
}

impl fmt::Display for IsaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "instruction set `{}` is unknown or missing on this CPU; {ISA_VARIABLE} can be",
            self.asked
        )?;
        for (i, isa) in Isa::available().enumerate() {
            write!(f, "{} {}", if i == 0 { "" } else { "," }, isa.name())?;
        }
        Ok(())
    }
}

impl std::error::Error for IsaError {}

/// A kernel and its operands.
pub(crate) trait Op {
    type Output;

    /// Always `#[inline(always)]`, so that it is compiled with the features of `S`.
    fn run<S: Simd>(self, s: S) -> Self::Output;
}

/// Sixteen floats at a time. Methods are lane by lane unless they say otherwise.
pub(crate) trait Simd: Copy + Send + Sync {
    const NAME: &'static str;

    /// How many [`Simd::F`] the registers hold: sets the size of the register tile.
    const REGISTERS: usize;

    /// 16 floats.
    type F: Copy;

    /// 16 lanes of 4 bytes: the codes of four inputs for 16 outputs.
    type Codes: Copy;

    /// 16 whole numbers of 32 bits.
    type I: Copy;

    /// Runs `op` inside a function compiled with the features of this instruction set.
    fn vectorize<O: Op>(self, op: O) -> O::Output;

    fn splat(self, value: f32) -> Self::F;
    /// One float from memory in all lanes. (Not `splat(*from)`: LLVM then loads and broadcasts in two instructions, the
    /// second of which takes a multiply-add's place.)
    fn broadcast(self, from: &f32) -> Self::F;
    fn load(self, from: &[f32; LANES]) -> Self::F;
    fn store(self, v: Self::F, to: &mut [f32; LANES]);
    /// IEEE half precision, widened exactly.
    fn load_f16(self, from: &[u16; LANES]) -> Self::F;
    /// bfloat16, widened exactly.
    fn load_bf16(self, from: &[u16; LANES]) -> Self::F;
    fn load_codes(self, from: &[u8; 4 * LANES]) -> Self::Codes;
    /// Byte `J` (0..4) of each lane, as a float.
    fn code<const J: usize>(self, codes: Self::Codes) -> Self::F;

    /// The bits of `codes` `right` places down (or, if negative, up) that `mask` keeps of each byte. The mask must not
    /// reach what comes from the byte beside it.
    fn bits(self, codes: Self::Codes, right: i32, mask: u8) -> Self::Codes;
    fn or(self, a: Self::Codes, b: Self::Codes) -> Self::Codes;
    fn store_codes(self, codes: Self::Codes, to: &mut [u8; 4 * LANES]);

    /// What a chain of [`Simd::dot`] begins with: 0, or what instructions for signed codes need to come out right.
    /// `sum` is the sum of all `x` of the chain.
    fn chain(self, sum: f32) -> Self::I;
    /// `acc + codes . x`, exactly: each lane its four products of unsigned codes with the same four signed numbers.
    fn dot(self, acc: Self::I, codes: Self::Codes, x: &[i8; 4]) -> Self::I;
    fn to_floats(self, sums: Self::I) -> Self::F;
    /// Whole numbers within -128..=127.
    fn store_bytes(self, v: Self::F, to: &mut [i8; LANES]);

    /// Whether [`Simd::multiply`] wants codes of 8 bits arranged as well, so that none are read from where they are stored.
    const ARRANGES: bool = false;

    /// Puts the codes of a run in the order that [`Simd::multiply`] reads.
    #[inline(always)]
    fn arrange_codes(self, codes: [Self::Codes; RUN_QUADS]) -> [Self::Codes; RUN_QUADS] {
        codes
    }

    /// Puts a run of the rows of a tile in the order that [`Simd::multiply`] reads.
    #[inline(always)]
    fn arrange_rows<const R: usize>(self, _: &mut [RowRun; R]) {}

    /// The tile of the integer product: `tile[p][r] = x[r] . panels[p]`, see [`integer`](crate::integer).
    #[inline(always)]
    fn multiply<const R: usize, const P: usize>(
        self,
        bytes: &[[RowRun; R]],
        factors: &[[Factor; R]],
        codes: [&[[CodeLine; RUN_QUADS]]; P],
        panels: &[CodePanel<'_>; P],
        tile: &mut [Line],
    ) {
        integer::multiply(self, bytes, factors, codes, panels, tile);
    }

    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once (twice by the scalar instruction set).
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    fn abs(self, a: Self::F) -> Self::F;
    /// `b` where `a` is NaN.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// `then` where `a < b`, else `otherwise`.
    fn if_less(self, a: Self::F, b: Self::F, then: Self::F, otherwise: Self::F) -> Self::F;
    /// The float whose bits are those of `a`, 23 places up: a small integer in the mantissa becomes the exponent.
    fn shift_to_exponent(self, a: Self::F) -> Self::F;

    /// The sum of each vector, in the lane of its number; at most 8. They are whole numbers, so that any order gives the same.
    #[inline(always)]
    fn sum_of_each<const R: usize>(self, vectors: [Self::F; R]) -> Self::F {
        let mut lanes = [0.0; LANES];
        for r in 0..R {
            lanes[r] = self.sum(vectors[r]);
        }
        self.load(&lanes)
    }

    /// The greatest lane of each vector, in the lane of its number; at most 8, and none is NaN.
    #[inline(always)]
    fn greatest_of_each<const R: usize>(self, vectors: [Self::F; R]) -> Self::F {
        let mut lanes = [0.0; LANES];
        for r in 0..R {
            lanes[r] = self.greatest(vectors[r]);
        }
        self.load(&lanes)
    }

    /// The sum of all lanes, as a tree of fixed shape.
    #[inline(always)]
    fn sum(self, v: Self::F) -> f32 {
        let mut lanes = [0.0; LANES];
        self.store(v, &mut lanes);
        let mut width = LANES / 2;
        while width > 0 {
            for i in 0..width {
                lanes[i] += lanes[i + width];
            }
            width /= 2;
        }
        lanes[0]
    }

    /// The greatest lane, by the same tree. Of a pair with NaN the second counts.
    #[inline(always)]
    fn greatest(self, v: Self::F) -> f32 {
        let mut lanes = [0.0; LANES];
        self.store(v, &mut lanes);
        let mut width = LANES / 2;
        while width > 0 {
            for i in 0..width {
                if lanes[i] <= lanes[i + width] || lanes[i].is_nan() || lanes[i + width].is_nan() {
                    lanes[i] = lanes[i + width];
                }
            }
            width /= 2;
        }
        lanes[0]
    }
}

/// Four bytes as one number, to be put in all lanes. Without closures: they were calls in the innermost loop, in one build out of two.
#[inline(always)]
fn quad(x: &[i8; 4]) -> i32 {
    let [a, b, c, d] = *x;
    i32::from_ne_bytes([
        a.cast_unsigned(),
        b.cast_unsigned(),
        c.cast_unsigned(),
        d.cast_unsigned(),
    ])
}

#[cfg(test)]
mod tests;
