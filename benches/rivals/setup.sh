#!/usr/bin/env bash
# Sets rivals up in a folder, for benches/rivals.sh and for the tests of crates/speedtest/tests/rivals.rs.
#
#   benches/rivals/setup.sh DIR [WHAT...]        by default everything
#
# faster-whisper  its environment, and tiny.en for it and for us
# mlx-whisper     its environment, and tiny.en
# pywhispercpp    its environment: whisper.cpp as its wheel has it
# whisper.cpp     built for this processor from the source folder that WHISPER_CPP names; left out where none is named
# whisper-rs      the whisper.cpp that the crate whisper-rs-sys carries, built for this processor
# models          all weights of the benches
#
# DIR/cache is the tool's cache (XDG_CACHE_HOME), DIR/models has the weights. What is there already is left alone. Needs Linux,
# python3 (3.11 or newer) with venv, cargo and, for the builds, a C++ compiler; the rest comes from the package indexes.
set -euo pipefail

if [ $# -lt 1 ]; then
    sed -n '4s/^# *//p' "$0" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- faster-whisper mlx-whisper pywhispercpp whisper.cpp whisper-rs models

# Build tools, of these versions, apart from those of the system.
tools() {
    "$dir/tools/bin/python" -c "import soundfile" 2> /dev/null && return
    python3 -m venv "$dir/tools"
    "$dir/tools/bin/python" -m pip --quiet --disable-pip-version-check install uv==0.13.9 cmake==4.4.4 ninja==1.13.2 \
        numpy==2.4.6 soundfile==0.13.1
}

tool() {
    if [ -n "${WHISPER_SPEEDTEST:-}" ]; then
        "$WHISPER_SPEEDTEST" "$@"
    else
        cargo run --quiet --locked --manifest-path "$root/Cargo.toml" -p whisper-speedtest -- "$@"
    fi
}

environment() {
    [ -d "$dir/cache/whisper-speedtest/environments/$1" ] && return
    XDG_CACHE_HOME=$dir/cache tool implementations --install "$1" > /dev/null
}

models() { WORK=$dir/downloads "$root/tools/make-models.sh" "$dir/models" "$@"; }

whisper_cpp() {
    [ -x "$dir/whisper.cpp/bin/whisper-server" ] && return
    if [ -z "${WHISPER_CPP:-}" ]; then
        echo "whisper.cpp: left out; WHISPER_CPP names no source folder" >&2
        return
    fi
    cmake -G Ninja -S "$WHISPER_CPP" -B "$dir/whisper.cpp" -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON \
        -DBUILD_SHARED_LIBS=OFF -DWHISPER_BUILD_TESTS=OFF > "$dir/whisper.cpp.log"
    cmake --build "$dir/whisper.cpp" --target whisper-server whisper-cli whisper-quantize >> "$dir/whisper.cpp.log"
}

whisper_rs() {
    [ -x "$dir/whisper-rs/release/whisper-rs" ] && return
    WHISPER_DONT_GENERATE_BINDINGS=1 GGML_NATIVE=ON \
        cargo build --quiet --release --locked --manifest-path "$here/whisper-rs/Cargo.toml" --target-dir "$dir/whisper-rs"
}

tools
PATH=$dir/tools/bin:$PATH
for what in "$@"; do
    case $what in
        faster-whisper) environment faster-whisper; models tiny.en:ct2 tiny.en:f16 ;;
        mlx-whisper) environment mlx-whisper; models tiny.en:f16 ;;
        pywhispercpp) environment pywhispercpp; models tiny.en:ggml ;;
        whisper.cpp) whisper_cpp; models tiny.en:ggml ;;
        whisper-rs) whisper_rs ;;
        models) models tiny.en:{f16,8,4,ggml} base:{f16,8,5,4,ggml} ;;
        *) echo "unknown rival $what" >&2; exit 2 ;;
    esac
done
