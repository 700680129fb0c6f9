//! A user's machine: a home, a folder of models, and a Hub that can be told to misbehave.

#[allow(dead_code, reason = "the tests of the model store use the rest of it")]
#[path = "../../../hub/src/tests/fakehub.rs"]
pub(crate) mod fakehub;

use std::path::PathBuf;
use std::process::Command;

use assert_cmd::assert::{Assert, OutputAssertExt as _};
use fakehub::FakeHub;
use tempfile::TempDir;

use crate::support;

/// Gone when dropped.
pub(crate) struct Machine {
    pub(crate) hub: FakeHub,
    pub(crate) home: TempDir,
}

impl Machine {
    pub(crate) fn new() -> Machine {
        Machine {
            hub: FakeHub::start(),
            home: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn models(&self) -> PathBuf {
        self.home.path().join("models")
    }

    #[allow(dead_code, reason = "each test binary uses a part")]
    pub(crate) fn shared(&self) -> PathBuf {
        self.home.path().join(".cache/huggingface/hub")
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = support::program();
        for variable in [
            "HF_HUB_CACHE",
            "HUGGINGFACE_HUB_CACHE",
            "HF_HOME",
            "HF_HUB_OFFLINE",
            "XDG_CACHE_HOME",
        ] {
            command.env_remove(variable);
        }
        command
            .args(line.split_whitespace())
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env("HF_ENDPOINT", self.hub.url())
            .env("HF_TOKEN", "hf_secret")
            .env("NO_PROXY", "127.0.0.1")
            .env("WHISPER_SPEEDTEST_MODELS", self.models());
        command
    }

    pub(crate) fn run(&self, line: &str) -> Assert {
        self.command(line).assert()
    }
}
