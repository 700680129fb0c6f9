#!/usr/bin/env bash
# Measures the model store against curl and huggingface_hub, on a fake Hub on this machine: docs/models.md has the results.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --release -p hub --lib measure -- --ignored --nocapture
cargo test --release -p hub --lib interop -- --nocapture
cargo test --release -p whisper-speedtest --test models measure -- --ignored --nocapture
