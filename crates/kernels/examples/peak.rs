//! Prints what this machine can do at most: billions of float32 operations a second, by two threads or as many as are named.

use std::io::Write as _;

use kernels::{Cpu, peak_flops};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads = std::env::args().nth(1).map_or(Ok(2), |text| text.parse())?;
    let cpu = Cpu::new(Some(threads))?;
    let best = (0..5).map(|_| peak_flops(&cpu)).fold(0.0, f64::max);
    writeln!(std::io::stdout(), "{:.1}", best / 1e9)?;
    Ok(())
}
