use super::*;
use crate::Cpu;
use crate::testing::{Random, assert_same_bits, on_every_isa};

#[test]
fn an_unknown_name_is_answered_with_the_known_ones() {
    let error = Isa::from_name("sse9").unwrap_err().to_string();
    assert!(
        error.starts_with("instruction set `sse9` is unknown or missing on this CPU"),
        "{error}"
    );
    assert!(error.ends_with("scalar"), "{error}");
}

#[test]
fn names_lead_back() {
    for isa in Isa::available() {
        assert_eq!(Isa::from_name(isa.name()), Ok(isa));
    }
    assert_eq!(Isa::available().next(), Some(Isa::detect()));
}

/// `WHISPER_EXPECT_ISA=avx512 cargo test` fails where the tests of that instruction set were skipped.
#[test]
fn the_expected_instruction_set_is_found() {
    if let Ok(expected) = std::env::var("WHISPER_EXPECT_ISA") {
        assert!(
            Isa::from_name(&expected).is_ok(),
            "{expected} is missing: found {:?}",
            Isa::available().collect::<Vec<_>>()
        );
    }
}

on_every_isa!(
    every_half_widens_exactly,
    codes_come_out_in_order,
    lanes_add_and_compare,
    vectors_add_and_compare_together,
    choosing_goes_lane_by_lane
);

fn every_half_widens_exactly(cpu: &Cpu) {
    struct Widen([u16; LANES]);
    impl Op for Widen {
        type Output = ([f32; LANES], [f32; LANES]);
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Self::Output {
            let (mut a, mut b) = ([0.0; LANES], [0.0; LANES]);
            s.store(s.load_f16(&self.0), &mut a);
            s.store(s.load_bf16(&self.0), &mut b);
            (a, b)
        }
    }
    for first in (0..=u16::MAX).step_by(LANES) {
        let bits = std::array::from_fn(|i| first + i as u16);
        let (f16s, bf16s) = cpu.isa().run(Widen(bits));
        for i in 0..LANES {
            let (f16, bf16) = (half::f16::from_bits(bits[i]), half::bf16::from_bits(bits[i]));
            assert!(
                f16.is_nan() && f16s[i].is_nan() || f16.to_f32().to_bits() == f16s[i].to_bits(),
                "f16 {:x}",
                bits[i]
            );
            assert!(
                bf16.is_nan() && bf16s[i].is_nan() || bf16.to_f32() == bf16s[i],
                "bf16 {:x}",
                bits[i]
            );
        }
    }
}

fn codes_come_out_in_order(cpu: &Cpu) {
    struct Unpack([u8; 4 * LANES]);
    impl Op for Unpack {
        type Output = [[f32; LANES]; 4];
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Self::Output {
            let codes = s.load_codes(&self.0);
            let mut out = [[0.0; LANES]; 4];
            s.store(s.code::<0>(codes), &mut out[0]);
            s.store(s.code::<1>(codes), &mut out[1]);
            s.store(s.code::<2>(codes), &mut out[2]);
            s.store(s.code::<3>(codes), &mut out[3]);
            out
        }
    }
    let bytes = std::array::from_fn(|i| (i * 37 + 200) as u8);
    let out = cpu.isa().run(Unpack(bytes));
    for lane in 0..LANES {
        for j in 0..4 {
            assert_eq!(out[j][lane], f32::from(bytes[4 * lane + j]));
        }
    }
}

fn lanes_add_and_compare(cpu: &Cpu) {
    struct Reduce([f32; LANES]);
    impl Op for Reduce {
        type Output = (f32, f32);
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Self::Output {
            let v = s.load(&self.0);
            (s.sum(v), s.greatest(v))
        }
    }
    for at in 0..LANES {
        let mut lanes = std::array::from_fn(|i| -(i as f32));
        lanes[at] = 3.0;
        assert_eq!(cpu.isa().run(Reduce(lanes)), (-120.0 + at as f32 + 3.0, 3.0));
    }
    // Sums that round, and NaN, show the tree.
    let mut random = Random(7);
    for at in 0..2 * LANES {
        let mut lanes: [f32; LANES] = random.numbers(LANES).try_into().unwrap();
        if let Some(lane) = lanes.get_mut(at) {
            *lane = f32::NAN;
        }
        let (sum, greatest) = cpu.isa().run(Reduce(lanes));
        let scalar = Isa::from_name("scalar").unwrap().run(Reduce(lanes));
        assert_same_bits(&[sum, greatest], &[scalar.0, scalar.1]);
    }
}

fn vectors_add_and_compare_together(cpu: &Cpu) {
    struct Reduce<const R: usize>([[f32; LANES]; R]);
    impl<const R: usize> Op for Reduce<R> {
        type Output = [[f32; LANES]; 2];
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Self::Output {
            let mut vectors = [s.splat(0.0); R];
            for r in 0..R {
                vectors[r] = s.load(&self.0[r]);
            }
            let mut out = [[f32::NAN; LANES]; 2];
            s.store(s.sum_of_each(vectors), &mut out[0]);
            s.store(s.greatest_of_each(vectors), &mut out[1]);
            out
        }
    }
    fn check<const R: usize>(cpu: &Cpu, random: &mut Random) {
        let vectors: [[f32; LANES]; R] =
            std::array::from_fn(|_| std::array::from_fn(|_| (random.number() * 127.0).round()));
        let [sums, greatest] = cpu.isa().run(Reduce(vectors));
        for (r, vector) in vectors.iter().enumerate() {
            assert_eq!(sums[r], vector.iter().sum::<f32>(), "sum {r} of {R}");
            let expected = vector.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(greatest[r], expected, "greatest of {r} of {R}");
        }
    }
    let mut random = Random(7);
    for _ in 0..50 {
        check::<1>(cpu, &mut random);
        check::<4>(cpu, &mut random);
        check::<{ crate::tile::TILE_ROWS }>(cpu, &mut random);
    }
}

fn choosing_goes_lane_by_lane(cpu: &Cpu) {
    struct Choose([f32; LANES]);
    impl Op for Choose {
        type Output = [f32; LANES];
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Self::Output {
            let mut out = [f32::NAN; LANES];
            let v = s.load(&self.0);
            let chosen = s.if_less(v, s.splat(0.0), s.splat(f32::NEG_INFINITY), s.max(v, s.splat(2.0)));
            s.store(chosen, &mut out);
            out
        }
    }
    let lanes = std::array::from_fn(|i| i as f32 - 8.0);
    let expected = lanes.map(|x: f32| if x < 0.0 { f32::NEG_INFINITY } else { x.max(2.0) });
    assert_same_bits(&cpu.isa().run(Choose(lanes)), &expected);
}
