//! What the harness and a child say to each other: one JSON object a line, one reply to each request, in order.
//!
//! `docs/protocol.md` is the description for those who write a runner; this file is the same in types.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The version of the protocol, said first by both.
pub(crate) const VERSION: u32 = 1;

/// A longer line is a fault of the child: the text of a day of speech is shorter.
pub(crate) const MAX_LINE: usize = 4 << 20;

/// What the harness asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub(crate) enum Request {
    /// Who are you?
    Hello { protocol: u32 },
    /// A recording, read now, so that `transcribe` need not.
    Audio(Audio),
    /// Make the model ready.
    Load(Load),
    /// Write down what is said in a recording announced before.
    Transcribe { audio: usize },
    /// The end; the child leaves. So it does at the end of its standard input.
    Bye,
}

/// A recording as samples in a file: 32-bit floats, little-endian, 16 kHz, mono, nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Audio {
    /// The number by which `transcribe` means it.
    pub(crate) audio: usize,
    pub(crate) path: PathBuf,
    pub(crate) samples: u64,
    /// The language spoken as a code; `null` is to be detected.
    pub(crate) language: Option<String>,
}

/// Which model, and how it is to compute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Load {
    /// The name asked for: `tiny.en`.
    pub(crate) model: String,
    /// Where its weights are; `null` where the implementation has them within.
    pub(crate) path: Option<PathBuf>,
    pub(crate) threads: usize,
}

/// What a child answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub(crate) enum Reply {
    Hello(Identity),
    Audio {
        audio: usize,
    },
    Load(Loaded),
    Transcribe(Heard),
    /// The request cannot be done; others may.
    Error {
        message: String,
    },
}

/// Who answers. Without a version nothing is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) protocol: u32,
    pub(crate) implementation: String,
    pub(crate) version: String,
    /// Versions of what does the work below it: `{"ctranslate2": "4.6.0"}`.
    #[serde(default)]
    pub(crate) components: BTreeMap<String, String>,
}

/// The model is ready.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Loaded {
    /// Seconds it took, by the child's clock.
    pub(crate) seconds: f64,
    /// What the weights are: `int8`, `q5_0`, `affine 4 bits, groups of 64`.
    #[serde(default)]
    pub(crate) weights: Option<String>,
    /// What computes: `cpu`, `metal`.
    #[serde(default)]
    pub(crate) device: Option<String>,
    /// Everything in which this is not greedy decoding at temperature 0 of the same samples, without voice detection:
    /// printed with the row.
    #[serde(default)]
    pub(crate) differs: Vec<String>,
    /// Why it would be unfair to compare with it here; it is measured, and stays out of the ranking.
    #[serde(default)]
    pub(crate) handicap: Option<String>,
}

/// What was heard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Heard {
    pub(crate) audio: usize,
    /// Seconds it took, by the child's clock.
    pub(crate) seconds: f64,
    pub(crate) text: String,
    /// The language taken, as a code.
    #[serde(default)]
    pub(crate) language: Option<String>,
    /// Seconds until the first segment was known.
    #[serde(default)]
    pub(crate) first_segment_seconds: Option<f64>,
    /// Seconds by stage: `mel`, `encode`, `decode`, ...
    #[serde(default)]
    pub(crate) stages: BTreeMap<String, f64>,
    /// Numbers worth keeping: `tokens`, `windows`, `fallbacks`.
    #[serde(default)]
    pub(crate) counts: BTreeMap<String, u64>,
}

impl Reply {
    /// What the request was that this answers.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Reply::Hello(_) => "hello",
            Reply::Audio { .. } => "audio",
            Reply::Load(_) => "load",
            Reply::Transcribe(_) => "transcribe",
            Reply::Error { .. } => "error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of docs/protocol.md are those of this file.
    #[test]
    fn the_documented_lines_are_understood() {
        let document = include_str!("../../../../docs/protocol.md");
        let (mut requests, mut replies) = (0, 0);
        for line in document.lines() {
            if let Some(request) = line.strip_prefix("> ") {
                let request: Request = serde_json::from_str(request).expect(line);
                assert_eq!(serde_json::to_value(&request).unwrap(), json(&line[2..]), "{line}");
                requests += 1;
            } else if let Some(reply) = line.strip_prefix("< ") {
                let reply: Reply = serde_json::from_str(reply).expect(line);
                assert_eq!(json(&line[2..])["reply"], reply.kind());
                replies += 1;
            }
        }
        assert_eq!((requests, replies), (5, 5));
    }

    fn json(text: &str) -> serde_json::Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_is_optional_may_be_absent_and_what_is_new_is_ignored() {
        let reply: Reply =
            serde_json::from_str(r#"{"reply":"transcribe","audio":3,"seconds":1,"text":"a","new":[1]}"#).unwrap();
        assert_eq!(
            reply,
            Reply::Transcribe(Heard {
                audio: 3,
                seconds: 1.0,
                text: "a".into(),
                ..Heard::default()
            })
        );
    }
}
