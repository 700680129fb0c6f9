#!/usr/bin/env bash
# Measures models larger than those whose weights are at hand: random weights in the shapes of Whisper base (to compare with),
# small, medium and large-v3-turbo, 8 and 4 bits, ours and whisper.cpp in turns.
#
#   benches/synthetic.sh DIR [ROUNDS]     DIR for whisper.cpp and models (6 GB); ROUNDS good rounds of each (3)
#
# WHISPER_CPP=FOLDER         source of whisper.cpp, built for this processor; not needed where DIR has it already
# WHISPER_SPEEDTEST=PROGRAM  a release build of this program; without, it is built
# SIZES="base small"         only these
# RUN=COMMAND                put before each run
# OUT=FILE                   where the table goes as well (docs/larger-models.md)
#
# A round is a run of each in random order. When it counts is said in benches/rivals.sh.
set -euo pipefail

if [ $# -lt 1 ]; then
    sed -n '5s/^# *//p' "$0" >&2
    exit 2
fi
cd "$(dirname "$0")/.."
mkdir -p "$1"
dir=$(cd "$1" && pwd)
rounds=${2:-3}
read -ra sizes <<< "${SIZES:-base small medium large-v3-turbo}"
out=${OUT:-docs/larger-models.md}

target=${CARGO_TARGET_DIR:-target}
if [ -z "${WHISPER_SPEEDTEST:-}" ]; then
    cargo build --release --locked --quiet -p whisper-speedtest
    export WHISPER_SPEEDTEST=$PWD/$target/release/whisper-speedtest
fi
cargo build --release --locked --quiet -p kernels --example peak

benches/rivals/setup.sh "$dir" whisper.cpp
if [ ! -x "$dir/whisper.cpp/bin/whisper-cli" ]; then
    echo "no whisper.cpp to compare with: name its source folder in WHISPER_CPP" >&2
    exit 1
fi
python=$dir/tools/bin/python
"$python" -c "import numpy" 2> /dev/null || "$python" -m pip --quiet --disable-pip-version-check install numpy==2.4.6
for size in "${sizes[@]}"; do
    "$python" tools/make-synthetic-models.py "$dir/models" "$size"
done

python3 benches/rivals/larger.py "$dir" "$rounds" "$target/release/examples/peak" "$out" "${sizes[@]}"
