#!/usr/bin/env bash
# Runs every test, then says how many passed, failed and were skipped, and why those were skipped.
#
#   tools/test.sh                 all
#   tools/test.sh -p kernels      arguments go to `cargo test`
#
# A test that lacks what it needs writes `skipped: NAME: REASON` to standard error and passes (CONTRIBUTING.md).
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p target
log=target/test.log
status=0
if [ $# -eq 0 ]; then
    set -- --workspace
    # One rival is run for real, where the package index can be reached; else its test is skipped.
    benches/rivals/setup.sh target/rivals faster-whisper > target/rivals.log 2>&1 ||
        echo "no rival is set up: $(tail -n 1 target/rivals.log)" >&2
    tools/setup-mlx.sh > target/setup-mlx.log 2>&1 || echo "no MLX is set up: $(tail -n 1 target/setup-mlx.log)" >&2
fi
cargo test --locked --no-fail-fast "$@" 2>&1 | tee "$log" || status=$?

skipped=$(grep -o 'skipped: [^ :]*: .*' "$log" | sort -u || true)
if [ -n "$skipped" ]; then
    printf '\n%s\n' "$skipped"
fi
n_skipped=$(printf '%s' "$skipped" | grep -c '^skipped' || true)
awk -v skipped="$n_skipped" '
    /^test result: / { passed += $4; failed += $6 }
    END { printf "\ntotal: %d passed, %d failed, %d skipped\n", passed - skipped, failed, skipped }
' "$log"
exit "$status"
