#!/usr/bin/env python3
"""What share of an Arm core's multiply-adds the integer product reaches, by LLVM's models of two cores.

    tools/mca.py            builds kernels for aarch64 and prints a table

Reads the machine code that the compiler emits for `crates/kernels/src/isa/neon/tile.rs`: the block that multiplies a group
of 64 inputs of 6 rows by 8 outputs and adds it, scaled, to the tile; and the loop that unpacks codes, which runs once for
all tiles of rows of a block. llvm-mca says how many cycles they take when all data is in the first cache. Needs Debian
(root): installs its Rust and llvm-mca 22; tools/test-aarch64.sh says why.
"""

import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = "aarch64-unknown-linux-gnu"
MCA = "llvm-mca-22"
PACKAGES = ["rustc-web", "cargo-web", "libstd-rust-web-dev:arm64", "llvm-22"]
CORES = ["neoverse-v1", "apple-m1"]  # four vector pipes, as Apple's cores have; LLVM's model of them has three
ITERATIONS = 200
ROWS, OUTPUTS, GROUP = 6, 8, 64
TILES = 12  # of rows in a block, at the least: how often unpacked codes are used
# name, instruction, multiply-adds of one, bar for 8 and for 4 bits
KERNELS = [("dotprod", "sdot", 16, 70, 65), ("i8mm", "usmmla", 32, 55, 48)]


def run(*command, **more):
    return subprocess.run(command, check=True, text=True, cwd=ROOT, **more)


def install():
    if shutil.which(MCA) and subprocess.run(["dpkg", "--status", *PACKAGES], capture_output=True).returncode == 0:
        return
    apt = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root"]
    run("dpkg", "--add-architecture", "arm64")
    run(*apt, "update")
    run(*apt, "install", "--yes", "--no-install-recommends", *PACKAGES, stdout=subprocess.DEVNULL)


def emitted():
    """The assembly of the crate as the release profile builds it, in one unit."""
    folder = ROOT / "target/mca"
    for old in folder.glob(f"{TARGET}/release/deps/kernels-*.s"):
        old.unlink()
    run(
        "env", "RUSTC=/usr/bin/rustc", "/usr/bin/cargo", "rustc", "--quiet", "--locked", "--release", "--lib",
        "-p", "kernels", "--target", TARGET, "--target-dir", folder, "--config", "profile.release.lto=false",
        "--config", "profile.release.codegen-units=1", "--", "--emit", "asm",
    )  # fmt: skip
    (path,) = folder.glob(f"{TARGET}/release/deps/kernels-*.s")
    return path.read_text()


def blocks(assembly):
    """(function, instructions) of all straight blocks: they end at a label or a branch."""
    function, block = "", []
    for line in assembly.splitlines():
        if re.match(r"[\w.$]+:", line):
            if block:
                yield function, block
            block = []
            if line.startswith("_"):
                function = line.rstrip(":")
        elif line.startswith("\t") and not line.startswith(("\t.", "\t//")):
            block.append(line)
            if re.match(r"\t(b|b\..*|cbn?z|tbn?z|ret|br|bl|blr)(\t|$)", line):
                yield function, block
                block = []


def count(block, pattern):
    return sum(re.match(r"\t" + pattern, line) is not None for line in block)


def cycles(block, core):
    command = [MCA, f"-mtriple={TARGET}", f"-mcpu={core}", "-mattr=+dotprod,+i8mm", f"-iterations={ITERATIONS}"]
    said = run(*command, input="\n".join(block) + "\n", capture_output=True).stdout
    return int(re.search(r"Total Cycles:\s+(\d+)", said)[1]) / ITERATIONS


def unpacking(found, name):
    """The blocks that unpack a run: codes of 4 bits, and for all widths arranging and storing (8 bits are only loaded before)."""
    for function, block in found:
        arranged = count(block, r"zip[12]\t.*\.4s") if name == "i8mm" else count(block, "eor")
        if arranged == 32 and count(block, r"stp\tq") == 16:
            for other, four in found:
                if other == function and count(four, "ushr.*#4") == 16 and not count(four, "usra|orr"):
                    return four, block
    sys.exit(f"{name}: the loop that unpacks codes is not found in the assembly: look at target/mca")


def main():
    install()
    found = list(blocks(emitted()))
    print("kernel    core         cycles of a group  of unpacking  share of the multiply-adds")
    missed = False
    for name, instruction, products, *bars in KERNELS:
        n = ROWS * OUTPUTS * GROUP // products
        tiles = [block for function, block in found if "tile" in function and count(block, instruction) == n]
        if len(tiles) != 1:
            sys.exit(f"{name}: {len(tiles)} blocks with {n} {instruction} in the assembly, expected 1: look at target/mca")
        four, arrange = unpacking(found, name)
        for bits, bar, before in zip((8, 4), bars, ([], four)):
            for core in CORES:
                of_tile, of_unpacking = cycles(tiles[0], core), cycles(arrange, core) + (cycles(before, core) if before else 0)
                # A group of 64 of half a panel has as many codes as a run of 32 of a whole one.
                share = n / 4 / (of_tile + of_unpacking / TILES) * 100
                bar_said = f" (at least {bar} %)" if core == CORES[0] else ""
                missed |= core == CORES[0] and share < bar
                print(f"{name:9} {core:12} {of_tile:17.2f} {of_unpacking:13.2f}  {bits} bits: {share:.1f} %{bar_said}")
    sys.exit(missed)


main()
