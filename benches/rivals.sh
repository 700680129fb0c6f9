#!/usr/bin/env bash
# Measures this program's engine and its rivals on CPUs, in turns, and prints one table with ratios.
#
#   benches/rivals.sh DIR [ROUNDS]        DIR for rivals and models (2 GB); at least ROUNDS good rounds of each kind (3)
#
# WHISPER_CPP=FOLDER   source of whisper.cpp, built for this processor; without, it is left out
# DEV=FOLDER           recordings with manifest.tsv: word error rates, a file of two minutes, and all English ones joined, on which
#                      windows are decoded side by side (default ../shared/audio/dev)
# MORE=1               word error rates of more speech as well, and rows judged by all: other versions of the recordings (vary.py) and
#                      a machine's voice (speak.py; needs Debian's flite and fortunes)
# MODELS="tiny.en"     only this (default tiny.en base)
# TASKS="11 s"         only this table of a model (default 11 s, 127 s, 931 s)
# RUN=COMMAND          put before each round
# OUT=FILE             where the table goes as well (docs/rivals.md)
#
# A round is one `whisper-speedtest benchmark` of all of them, in random order: after a warm run, three warm runs of each on
# samples in memory, greedy, two threads. What counts is the median of the runs of all good rounds. A round in which other
# processes took more than 5 % of the processors, or after which the processor reaches less than 90 % of the best peak of the
# series, is thrown away and repeated (benches/rivals/rounds.py).
set -euo pipefail

if [ $# -lt 1 ]; then
    sed -n '4s/^# *//p' "$0" >&2
    exit 2
fi
cd "$(dirname "$0")/.."
mkdir -p "$1"
dir=$(cd "$1" && pwd)
rounds=${2:-3}
dev=${DEV:-../shared/audio/dev}
out=${OUT:-docs/rivals.md}

cargo build --release --locked --quiet -p whisper-speedtest
cargo build --release --locked --quiet -p kernels --example peak
target=${CARGO_TARGET_DIR:-target}
export WHISPER_SPEEDTEST=$PWD/$target/release/whisper-speedtest
benches/rivals/setup.sh "$dir"

# Every row is a runner of its own: a script of its name.
rm -rf "$dir/rows"
mkdir -p "$dir/rows"
row() { printf '#!/bin/sh\n%s\n' "$2" > "$dir/rows/$1"; chmod +x "$dir/rows/$1"; }
python_row() { # NAME ENVIRONMENT RUNNER ARGUMENTS
    cat "crates/speedtest/runners/$3.py" crates/speedtest/runners/serve.py > "$dir/rows/.$1.py"
    row "$1" "exec '$dir/cache/whisper-speedtest/environments/$2/bin/python' -I -X utf8 '$dir/rows/.$1.py' $4"
}
for form in f16 8bit 5bit 4bit; do row "native-$form" "exec '$WHISPER_SPEEDTEST' runner"; done
row native-f16-f32 "exec '$WHISPER_SPEEDTEST' runner --compute f32"
for form in f16 8bit 5bit 4bit; do
    row "native-$form-batch" "exec '$WHISPER_SPEEDTEST' runner --batch auto"
    row "native-$form-batch-plain" "exec '$WHISPER_SPEEDTEST' runner --batch auto --without-timestamps"
done
if [ -x "$dir/whisper.cpp/bin/whisper-server" ]; then
    for form in f16 q8_0 q4_0; do
        row "whisper_cpp-$form" "exec '$WHISPER_SPEEDTEST' runner whisper.cpp '$dir/whisper.cpp/bin/whisper-server'"
    done
fi
if [ -x "$dir/whisper-rs/release/whisper-rs" ]; then
    for policy in active passive; do
        for form in f16 q8_0 q4_0; do
            row "whisper_rs-$form-$policy" "OMP_WAIT_POLICY=$policy exec '$dir/whisper-rs/release/whisper-rs'"
        done
    done
fi
for form in f16 q8_0 q4_0; do python_row "pywhispercpp-$form" pywhispercpp pywhispercpp ""; done
for type in int8 float32; do
    python_row "faster_whisper-$type" faster-whisper faster_whisper "--compute-type $type"
done
python_row faster_whisper-int8-batch8 faster-whisper faster_whisper "--compute-type int8 --batch 8"

if [ -e "$dev/manifest.tsv" ]; then "$dir/tools/bin/python" benches/rivals/join.py "$dev" "$dir"; fi
rm -rf "$dir/more"
if [ -n "${MORE:-}" ]; then
    "$dir/tools/bin/python" benches/rivals/vary.py "$dev" "$dir/more"
    python3 benches/rivals/speak.py "$dir/more/spoken"
fi
python3 benches/rivals/rounds.py "$dir" "$rounds" "$dev" "$target/release/examples/peak" "$out"
