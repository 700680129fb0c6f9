//! The tool `whisper-speedtest`: command line, implementations, measurements, reports.
#![forbid(unsafe_code)]

fn main() {}
