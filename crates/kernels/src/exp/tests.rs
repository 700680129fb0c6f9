use super::*;
use crate::Cpu;
use crate::isa::{LANES, Op};
use crate::testing::{fused, on_every_isa};

struct Exp([f32; LANES]);

impl Op for Exp {
    type Output = [f32; LANES];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        let mut out = [f32::NAN; LANES];
        s.store(exp(s, s.load(&self.0)), &mut out);
        out
    }
}

/// Every 61st float from -0 to -87.33 (61 is prime: all last bits are met).
fn inputs() -> impl Iterator<Item = [f32; LANES]> {
    let last = (-87.33f32).to_bits();
    (0x8000_0000..last)
        .step_by(61 * LANES)
        .map(|first| std::array::from_fn(|i| f32::from_bits(first + 61 * i as u32)))
}

on_every_isa!(within_two_units_in_the_last_place, the_ends_are_exact);

fn within_two_units_in_the_last_place(cpu: &Cpu) {
    for x in inputs() {
        let found = cpu.isa().run(Exp(x));
        for i in 0..LANES {
            let exact = f64::from(x[i]).exp();
            let ulp = f64::from(f32::EPSILON) * 2f64.powi(exact.log2().floor() as i32);
            let error = (f64::from(found[i]) - exact).abs() / ulp;
            assert!(
                x[i] < -87.33 || error <= 2.0,
                "e^{}: {} is {error} units off",
                x[i],
                found[i]
            );
        }
    }
}

fn the_ends_are_exact(cpu: &Cpu) {
    let mut x = [f32::NEG_INFINITY; LANES];
    x[..5].copy_from_slice(&[0.0, -0.0, -87.34, f32::MIN, f32::NAN]);
    let found = cpu.isa().run(Exp(x));
    assert_eq!(found[..4], [1.0, 1.0, 0.0, 0.0]);
    assert!(found[4].is_nan());
    assert_eq!(found[5..], [0.0; 11]);
}

#[test]
fn fused_instruction_sets_agree() {
    for isas in fused().windows(2) {
        for x in inputs().step_by(7) {
            assert_eq!(isas[0].run(Exp(x)), isas[1].run(Exp(x)));
        }
    }
}
