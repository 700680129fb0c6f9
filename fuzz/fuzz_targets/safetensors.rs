//! safetensors: opened or refused, and every tensor of up to a megabyte read or refused.
#![no_main]

use whisper::weights::Tensors;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(tensors) = Tensors::from_bytes("fuzz", bytes.to_vec()) else { return };
    let mut out = Vec::new();
    for (name, _) in tensors.iter().filter(|(_, tensor)| tensor.n_bytes() <= 1 << 20) {
        let _ = tensors.read(name, &mut out);
    }
});
