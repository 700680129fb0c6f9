#!/usr/bin/env bash
# Runs the conformance suite on several versions of MLX, each compiled for anew; then each one's connection must be refused by
# every other version's library.
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

tool=${WHISPER_SPEEDTEST:-target/debug/whisper-speedtest}
for shim in target/mlx-cache/mlx/wmx-*.so; do
    for version in "$@"; do
        case $shim in */wmx-"$version"-*) continue ;; esac
        folder=$(echo "$root/target/mlx-versions/$version"/lib/python*/site-packages/mlx)
        status=0
        # The library that the shim was linked with is not there; this one is, under the same name.
        LD_LIBRARY_PATH=$folder/lib LD_PRELOAD=$folder/lib/libmlx.so "$tool" mlx-probe "$PWD/$shim" "$folder" \
            > /dev/null 2>&1 || status=$?
        echo "$(basename "$shim") on $version: exit code $status"
        [ "$status" = 1 ] || [ "$status" = 127 ]
    done
done
