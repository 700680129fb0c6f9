//! Prints what this machine can do at most, by two threads or as many as are named: billions of float32 operations a second,
//! then billions of operations of integer dot products.

use std::io::Write as _;

use kernels::{Cpu, peak_flops, peak_int8_ops};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads = std::env::args().nth(1).map_or(Ok(2), |text| text.parse())?;
    let cpu = Cpu::new(Some(threads))?;
    let best = |peak: fn(&Cpu) -> f64| (0..5).map(|_| peak(&cpu)).fold(0.0, f64::max) / 1e9;
    writeln!(std::io::stdout(), "{:.1} {:.1}", best(peak_flops), best(peak_int8_ops))?;
    Ok(())
}
