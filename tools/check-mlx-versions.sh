#!/usr/bin/env bash
# Runs the conformance suite on several versions of MLX, each compiled for anew.
#
#   tools/check-mlx-versions.sh [VERSION...]      by default from the oldest supported to the newest known
#
# Needs what tools/setup-mlx.sh needs, and some minutes a version.
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- 0.30.1 0.30.6 0.31.0 0.31.2 0.32.0 0.32.2 0.32.4
root=$PWD
for version in "$@"; do
    dir=target/mlx-versions/$version
    tools/setup-mlx.sh "$version" "$dir"
    echo "== MLX $version"
    WHISPER_MLX=$(echo "$root/$dir"/lib/python*/site-packages/mlx) cargo test --quiet --locked -p mlx --test conformance
done
