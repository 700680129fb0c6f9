#!/usr/bin/env bash
# Sets up an MLX without a GPU and an OpenBLAS for it, for the tests of crates/mlx.
#
#   tools/setup-mlx.sh [VERSION [DIR]]      by default 0.32.4 in target/mlx
#
# Needs Linux, python3 with venv and the package index. What is there already is left alone. OpenBLAS comes from the index for
# x86-64; elsewhere the system's is taken (Debian: libopenblas0-pthread).
set -euo pipefail
cd "$(dirname "$0")/.."

version=${1:-0.32.4}
dir=${2:-target/mlx}
[ -e "$dir/ready-$version" ] && exit
python3 -m venv "$dir"
packages=("mlx==$version" "mlx-cpu==$version")
[ "$(uname -m)" != x86_64 ] || packages+=(cmeel-openblas==0.3.31)
"$dir/bin/python" -m pip --quiet --disable-pip-version-check install --no-deps "${packages[@]}"
# The package's OpenBLAS wants libgfortran; Debian's brings it.
if ! "$dir/bin/python" -c 'import ctypes; ctypes.CDLL("libopenblas.so.0")' 2> /dev/null && [ "$(id -u)" = 0 ] &&
    command -v apt-get > /dev/null; then
    apt() { apt-get -qq -o APT::Sandbox::User=root "$@" > /dev/null; }
    apt update && apt install --yes --no-install-recommends libopenblas0-pthread || echo "no OpenBLAS: tests take minutes" >&2
fi
touch "$dir/ready-$version"
