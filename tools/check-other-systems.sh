#!/usr/bin/env bash
# Type-checks for macOS (arm64) and Windows (x86-64) on a Debian x86-64 machine that has neither: nothing is linked or run.
#
#   tools/check-other-systems.sh                the whole workspace, tests and benches included
#   tools/check-other-systems.sh -p kernels     arguments go to `cargo check`
#   TARGETS=aarch64-apple-darwin tools/check-other-systems.sh     one system only
#
# The standard library of the two systems is built from the sources that Debian's own Rust brings (the toolchain that
# rust-toolchain.toml pins has none), so that Rust does the checking here. C code in dependencies (zlib, ring) is compiled
# for Windows by mingw, and for macOS by a stand-in that does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

packages="rustc-web cargo-web rust-web-src gcc-mingw-w64-x86-64-win32"
# shellcheck disable=SC2086
if ! dpkg --status $packages >/dev/null 2>&1; then
    apt() { apt-get -qq -o APT::Sandbox::User=root "$@" >/dev/null; }
    apt update
    apt install --yes --no-install-recommends $packages
fi

# Debian's, by their full names: found by name, rustup's would answer and read rust-toolchain.toml.
export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc
export RUSTC_BOOTSTRAP=1 # building the standard library is not stable
for tool in CC CXX AR; do
    export "${tool}_aarch64_apple_darwin=/bin/true"
done

[ $# -gt 0 ] || set -- --workspace --all-targets
for target in ${TARGETS:-aarch64-apple-darwin x86_64-pc-windows-gnu}; do
    echo "$target: $(/usr/bin/cargo --version)"
    /usr/bin/cargo check --quiet --locked -Zbuild-std=std,panic_unwind --target "$target" --target-dir target/other-systems "$@"
done
