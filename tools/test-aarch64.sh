#!/usr/bin/env bash
# Runs the tests of kernels as an Arm machine would, on a Debian x86-64 machine: with whole-number dot products and without.
#
#   tools/test-aarch64.sh               kernels, on two processors
#   tools/test-aarch64.sh -p whisper    arguments go to `cargo test`
#
# qemu runs what Debian's own Rust builds (the toolchain that rust-toolchain.toml pins has no Arm library here). It emulates
# results, not speed: for that see docs/arm.md.
set -euo pipefail
cd "$(dirname "$0")/.."

packages="rustc-web cargo-web qemu-user-static gcc-aarch64-linux-gnu libc6-dev-arm64-cross libstd-rust-web-dev:arm64"
# shellcheck disable=SC2086
if ! dpkg --status $packages >/dev/null 2>&1; then
    apt() { apt-get -qq -o APT::Sandbox::User=root "$@" >/dev/null; }
    dpkg --add-architecture arm64
    apt update
    apt install --yes --no-install-recommends $packages
fi

# Debian's, by their full names: found by name, rustup's would answer and read rust-toolchain.toml.
export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc
# Static, for qemu here never starts the first thread of a program with a dynamic C library.
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc

[ $# -gt 0 ] || set -- -p kernels --lib
# The best that each processor must be seen to have, so that nothing is skipped unseen.
for run in "max neon-i8mm" "neoverse-n1 neon-dotprod" "cortex-a72 neon"; do
    read -r processor best <<<"$run"
    echo "$processor, at best $best:"
    WHISPER_EXPECT_ISA=$best CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -cpu $processor" \
        /usr/bin/cargo test --quiet --locked --target aarch64-unknown-linux-gnu --target-dir target/aarch64 "$@"
done
