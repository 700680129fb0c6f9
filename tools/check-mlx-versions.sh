#!/usr/bin/env bash
# Runs the conformance suite on several versions of MLX, each compiled for anew; then opens what was compiled for each of them
# with the library of each other one, which must be refused by an error.
#
#   tools/check-mlx-versions.sh [VERSION...]      by default from the oldest supported to the newest known
#
# Needs what tools/setup-mlx.sh needs, and some minutes and 150 MB a version.
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- 0.32.1 0.32.2 0.32.3 0.32.4
folder=$PWD/target/mlx-versions
program=target/debug/whisper-speedtest
installation() { echo "$folder/$1"/lib/python*/site-packages/mlx; }
cache() { echo "$folder/$1/cache"; }

cargo build --quiet --locked -p whisper-speedtest
for version in "$@"; do
    tools/setup-mlx.sh "$version" "$folder/$version"
    echo "== MLX $version"
    export WHISPER_MLX && WHISPER_MLX=$(installation "$version")
    cargo test --quiet --locked -p mlx --test conformance
    rm -rf "$(cache "$version")"
    XDG_CACHE_HOME=$(cache "$version") "$program" --quiet doctor --enable mlx > /dev/null
done
unset WHISPER_MLX

# Opens the shim of $1 with the library of $2 in a child, as the program tries an MLX; says how it ended.
try() {
    local status=0 said
    said=$(LD_LIBRARY_PATH=$(installation "$2")/lib "$program" mlx-probe "$(cache "$1")"/whisper-speedtest/mlx/wmx-*.so \
        "$(installation "$2")" 2>&1) || status=$?
    case $status:$said in
        0:*) echo works ;;
        1:*"undefined symbol"*) echo "refused by the loader" ;;
        1:*"was compiled for $1"*) echo "refused by its version" ;;
        *) echo "ended with $status: $said" ;;
    esac
}

pairs=$(for shim in "$@"; do
    for library in "$@"; do
        [ "$shim" = "$library" ] && expected=works || expected="refused by"
        ended=$(try "$shim" "$library")
        [[ $ended == "$expected"* ]] || echo "FAILED: compiled for $shim, opened with $library: $ended"
        echo "$expected: $ended"
    done
done)
echo "$pairs" | grep FAILED && exit 1
echo "== each with the library of each"
echo "$pairs" | sort | uniq -c
