use super::*;
use crate::Cpu;
use crate::isa::{LANES, Op};
use crate::testing::{fused, on_every_isa};

/// `e^x`, or `2^x`.
struct Exp<const TWO: bool>([f32; LANES]);

impl<const TWO: bool> Op for Exp<TWO> {
    type Output = [f32; LANES];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        let mut out = [f32::NAN; LANES];
        let x = s.load(&self.0);
        s.store(if TWO { exp2(s, x) } else { exp(s, x) }, &mut out);
        out
    }
}

/// Every 61st float from -0 to `last` (61 is prime: all last bits are met).
fn inputs(last: f32) -> impl Iterator<Item = [f32; LANES]> {
    (0x8000_0000..last.to_bits())
        .step_by(61 * LANES)
        .map(|first| std::array::from_fn(|i| f32::from_bits(first + 61 * i as u32)))
}

on_every_isa!(within_two_units_in_the_last_place, the_ends_are_exact);

fn within_two_units_in_the_last_place(cpu: &Cpu) {
    within_two_units::<false>(cpu, -87.33, f64::exp);
    within_two_units::<true>(cpu, -126.0, f64::exp2);
}

fn within_two_units<const TWO: bool>(cpu: &Cpu, last: f32, exact: fn(f64) -> f64) {
    for x in inputs(last) {
        let found = cpu.isa().run(Exp::<TWO>(x));
        for i in 0..LANES {
            let exact = exact(x[i].into());
            let ulp = f64::from(f32::EPSILON) * 2f64.powi(exact.log2().floor() as i32);
            let error = (f64::from(found[i]) - exact).abs() / ulp;
            assert!(
                x[i] < last || error <= 2.0,
                "of {}: {} is {error} units off",
                x[i],
                found[i]
            );
        }
    }
}

fn the_ends_are_exact(cpu: &Cpu) {
    let mut x = [f32::NEG_INFINITY; LANES];
    x[..5].copy_from_slice(&[0.0, -0.0, -126.01, f32::MIN, f32::NAN]);
    for found in [cpu.isa().run(Exp::<false>(x)), cpu.isa().run(Exp::<true>(x))] {
        assert_eq!(found[..4], [1.0, 1.0, 0.0, 0.0]);
        assert!(found[4].is_nan());
        assert_eq!(found[5..], [0.0; 11]);
    }
    let mut x = [-1.0; LANES];
    x[0] = -87.34;
    assert_eq!(cpu.isa().run(Exp::<false>(x))[0], 0.0);
}

#[test]
fn fused_instruction_sets_agree() {
    for isas in fused().windows(2) {
        for x in inputs(-87.33).step_by(7) {
            assert_eq!(isas[0].run(Exp::<false>(x)), isas[1].run(Exp::<false>(x)));
            assert_eq!(isas[0].run(Exp::<true>(x)), isas[1].run(Exp::<true>(x)));
        }
    }
}
