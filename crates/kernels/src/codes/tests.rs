use super::*;
use crate::Cpu;
use crate::isa::Op;
use crate::testing::{Random, on_every_isa};

on_every_isa!(packed_codes_come_back_in_order);

struct Unpack<'a>(&'a [CodeLine]);

impl Op for Unpack<'_> {
    type Output = [CodeLine; RUN_QUADS];
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        let codes = unpack(s, self.0);
        let mut lines = [CodeLine::ZERO; RUN_QUADS];
        for (codes, line) in codes.into_iter().zip(&mut lines) {
            s.store_codes(codes, &mut line.0);
        }
        lines
    }
}

fn packed_codes_come_back_in_order(cpu: &Cpu) {
    fn width<const BITS: usize>(cpu: &Cpu) {
        let mut random = Random(BITS as u64);
        let codes: Vec<[u8; RUN]> = (0..LANES)
            .map(|lane| {
                std::array::from_fn(|_| {
                    if lane == 3 {
                        mask(BITS)
                    } else {
                        random.bits() as u8 & mask(BITS)
                    }
                })
            })
            .collect();
        let mut run = [CodeLine::ZERO; BITS];
        for (lane, codes) in codes.iter().enumerate() {
            pack::<BITS>(codes, lane, &mut run);
        }
        let unpacked = cpu.isa().run(Unpack(&run));
        for (lane, codes) in codes.iter().enumerate() {
            for (input, &expected) in codes.iter().enumerate() {
                assert_eq!(
                    code(&run, lane, input),
                    expected,
                    "{BITS} bits, output {lane}, input {input}"
                );
                assert_eq!(unpacked[input / 4].0[4 * lane + input % 4], expected, "{BITS} bits");
            }
        }
    }
    width::<2>(cpu);
    width::<3>(cpu);
    width::<4>(cpu);
    width::<5>(cpu);
    width::<6>(cpu);
    width::<8>(cpu);
}
