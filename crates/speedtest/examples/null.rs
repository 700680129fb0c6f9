//! The smallest complete runner (docs/protocol.md): it hears nothing, at once. Measuring it measures the harness.
#![expect(clippy::print_stdout, reason = "replies go to standard output")]

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::time::Instant;

use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let mut recordings: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for line in io::stdin().lines() {
        let began = Instant::now();
        let request: Value = serde_json::from_str(&line?)?;
        let audio = request["audio"].as_u64();
        let mut reply = match (request["request"].as_str(), audio) {
            (Some("hello"), _) => json!({"protocol": 1, "implementation": "null", "version": "1"}),
            (Some("audio"), Some(number)) => {
                let samples = std::fs::read(request["path"].as_str().unwrap_or_default())?;
                recordings.insert(number, samples);
                json!({"audio": number})
            }
            (Some("load"), _) => json!({"seconds": began.elapsed().as_secs_f64()}),
            (Some("transcribe"), Some(number)) if recordings.contains_key(&number) => {
                json!({"audio": number, "seconds": began.elapsed().as_secs_f64(), "text": ""})
            }
            (Some("bye"), _) => return Ok(()),
            _ => json!({"reply": "error", "message": format!("cannot do {request}")}),
        };
        if reply["reply"].is_null() {
            reply["reply"] = request["request"].clone();
        }
        println!("{reply}");
    }
    Ok(())
}
