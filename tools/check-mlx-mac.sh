#!/usr/bin/env bash
# Checks the Mac build of the connection to MLX without a Mac: it compiles against the headers of the macOS wheel, and every
# function that it needs is in that wheel's library. Says nothing about running.
#
#   tools/check-mlx-mac.sh [VERSION [CONTROL]]      by default 0.32.4, and 0.31.2 that must fail
#
# Needs python3 with venv and the package index: `zig c++` brings libc++ and stubs of macOS's libraries.
set -euo pipefail
cd "$(dirname "$0")/.."

version=${1:-0.32.4}
control=${2:-0.31.2}
dir=target/mlx-mac
mkdir -p "$dir"
if [ ! -e "$dir/ready" ]; then
    python3 -m venv "$dir/tools"
    "$dir/tools/bin/python" -m pip --quiet --disable-pip-version-check install ziglang==0.15.1 lief==0.17.0
    touch "$dir/ready"
fi
python=$dir/tools/bin/python

# The wheel of a version, unpacked.
wheel() {
    [ -d "$dir/$1/mlx/lib" ] && return
    "$python" -m pip --quiet --disable-pip-version-check download --no-deps --only-binary=:all: \
        --platform macosx_14_0_arm64 --dest "$dir/wheels" "mlx-metal==$1"
    "$python" -m zipfile -e "$dir"/wheels/mlx_metal-"$1"-*.whl "$dir/$1"
}

# Functions of MLX that the object of version $1 needs and the library of version $2 lacks; fails where it needs next to none.
missing() {
    "$python" - "$dir/$1.o" "$dir/$2/mlx/lib/libmlx.dylib" << 'END'
import sys

import lief

def names(path, defined):
    DEFINED = 0x0E  # N_SECT of <mach-o/nlist.h>; without it a name is only asked for
    symbols = lief.MachO.parse(path).at(0).symbols
    return {symbol.name for symbol in symbols if bool(symbol.raw_type & DEFINED) == defined}

need = {name for name in names(sys.argv[1], False) if "3mlx4core" in name}
have = names(sys.argv[2], True)
assert len(need) >= 40, f"only {len(need)} functions of MLX are needed: was anything compiled?"
print(len(need - have))
END
}

for each in "$version" "$control"; do
    wheel "$each"
    "$python" -m ziglang c++ -target aarch64-macos.14.0 -std=c++20 -O1 -fPIC -fvisibility=hidden -w \
        -I "$dir/$each/mlx/include" -c crates/mlx/shim/wmx.cpp -o "$dir/$each.o"
done
lacking=$(missing "$version" "$version")
foreign=$(missing "$control" "$version")
echo "macOS: MLX $version lacks $lacking of the functions needed; what is compiled for $control misses $foreign there"
[ "$lacking" = 0 ] && [ "$foreign" -gt 0 ]
