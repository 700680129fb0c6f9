//! Damage to a file, the same for the same seed.

/// Changes, cuts out or doubles one to eight pieces of up to 64 bytes; half of them within the first 512.
pub(crate) fn mutate(mut bytes: Vec<u8>, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).expect("31 bits") % below.max(1)
    };
    for _ in 0..=random(8) {
        let reach = if random(2) == 0 {
            bytes.len().min(512)
        } else {
            bytes.len()
        };
        let at = random(reach);
        let until = (at + 1 + random(64)).min(bytes.len());
        if at >= until {
            break; // nothing is left
        }
        match random(4) {
            0 => bytes[at..until].fill_with(|| random(256).to_le_bytes()[0]),
            1 => bytes[at..until].fill(0xff),
            2 => drop(bytes.drain(at..until)),
            _ => bytes.extend_from_within(at..until),
        }
    }
    bytes
}
