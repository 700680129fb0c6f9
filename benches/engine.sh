#!/usr/bin/env bash
# Measures our engine alone: a window against the floor of this processor, a token, two threads against one, the whole program, and
# its memory.
#
#   benches/engine.sh DIR [ROUNDS]     DIR/models as benches/rivals/setup.sh makes them; ROUNDS good rounds (3)
#
# OUT=FILE   where the table goes as well (docs/engine.md)
set -euo pipefail

if [ $# -lt 1 ]; then
    sed -n '5s/^# *//p' "$0" >&2
    exit 2
fi
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
cargo build --release --locked --quiet -p whisper-speedtest
cargo build --release --locked --quiet -p kernels --example peak
export WHISPER_SPEEDTEST=$PWD/$target/release/whisper-speedtest
benches/rivals/setup.sh "$1" models
python3 benches/rivals/engine.py "$1" "${2:-3}" "$target/release/examples/peak" "${OUT:-docs/engine.md}"
