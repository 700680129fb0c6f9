//! A runner (docs/protocol.md) around the crate whisper-rs.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperState};
use serde_json::{Value, json};

#[derive(Default)]
struct Runner {
    state: Option<WhisperState>,
    threads: i32,
    audio: HashMap<u64, (Vec<f32>, Option<String>)>,
}

fn main() -> Result<()> {
    rs::install_logging_hooks();
    let mut runner = Runner::default();
    for line in io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        if request["request"] == "bye" {
            break;
        }
        let mut reply = runner.answer(&request).unwrap_or_else(|error| json!({"reply": "error", "message": format!("{error:#}")}));
        if reply["reply"].is_null() {
            reply["reply"] = request["request"].clone();
        }
        println!("{reply}");
        io::stdout().flush()?;
    }
    Ok(())
}

impl Runner {
    fn answer(&mut self, request: &Value) -> Result<Value> {
        let number = request["audio"].as_u64().unwrap_or_default();
        let path = request["path"].as_str();
        let began = Instant::now();
        match request["request"].as_str() {
            Some("hello") => Ok(json!({
                "protocol": 1,
                "implementation": "whisper-rs",
                "version": env!("CARGO_PKG_VERSION"),
                "components": {"whisper.cpp": rs::WHISPER_CPP_VERSION},
            })),
            Some("audio") => {
                let bytes = std::fs::read(path.context("no path")?)?;
                let samples = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
                self.audio.insert(number, (samples, request["language"].as_str().map(str::to_owned)));
                Ok(json!({"audio": number}))
            }
            Some("load") => {
                self.threads = i32::try_from(request["threads"].as_i64().unwrap_or(1))?;
                let context = WhisperContext::new_with_params(path.context("no path")?, WhisperContextParameters::default())?;
                self.state = Some(context.create_state()?);
                Ok(json!({"seconds": began.elapsed().as_secs_f64(), "device": "cpu"}))
            }
            Some("transcribe") => {
                let text = self.transcribe(number)?;
                Ok(json!({"audio": number, "seconds": began.elapsed().as_secs_f64(), "text": text}))
            }
            other => bail!("unknown request {other:?}"),
        }
    }

    fn transcribe(&mut self, number: u64) -> Result<String> {
        let state = self.state.as_mut().context("`transcribe` before `load`")?;
        let (samples, language) = self.audio.get(&number).context("no such audio")?;
        let mut params = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
        params.set_n_threads(self.threads);
        params.set_language(Some(language.as_deref().unwrap_or("auto")));
        params.set_temperature(0.0);
        params.set_temperature_inc(0.0);
        params.set_print_progress(false);
        params.set_print_realtime(false);
        params.set_print_timestamps(false);
        state.full(params, samples)?;
        let texts: Result<Vec<String>> = state.as_iter().map(|segment| Ok(segment.to_str_lossy()?.into_owned())).collect();
        Ok(texts?.concat().trim().to_owned())
    }
}
