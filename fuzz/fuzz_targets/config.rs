//! `config.json`: parsed or refused.
#![no_main]

use whisper::weights::Config;

libfuzzer_sys::fuzz_target!(|json: &[u8]| {
    let _ = Config::parse(json);
});
