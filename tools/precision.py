#!/usr/bin/env python3
"""What whole numbers cost and gain, as a page of Markdown: word error rate, tokens and speed of each arithmetic.

    cargo build --release
    tools/precision.py MODELS > docs/precision.md      MODELS: a folder of checkpoints (benches/rivals/setup.sh DIR models)

Hears the English recordings of ../shared/audio/dev in default mode with every whisper-tiny.en-mlx* and whisper-base-mlx* there, and
times warm calls on samples/jfk.flac, the arithmetics in turns. What it hears lies below target/accuracy.
"""

import argparse
import difflib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import accuracy
from word_errors import ROOT, count, recordings

ARITHMETICS = ["f32", "int8"]
RUNS = 9

HEAD = """# What whole numbers cost and gain

`tools/precision.py`, version {version}: the {n} English development recordings, language given, default mode with seed 0. Tokens:
how many of float32's are heard again, in their order. Time: the median of {runs} warm calls on `jfk.flac`, 11 s, in turns with
float32, two threads. `auto` takes int8 for all of these. bfloat16 is no arithmetic of its own on processors: its products run at
half the rate of whole numbers, and it serves attention, where both sides are activations.

| checkpoint | arithmetic | word error rate | errors | tokens as in float32 | time | speed |
|---|---|---|---|---|---|---|"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path)
    parser.add_argument("--program", type=Path, default=ROOT / "target/release/whisper-speedtest")
    parser.add_argument("--recordings", type=Path, default=ROOT / "../shared/audio/dev", help="a folder with manifest.tsv")
    args = parser.parse_args()
    args.models, args.program = args.models.resolve(), args.program.resolve()

    rows = [row for row in recordings(args.recordings) if row["language"] == "en"]
    version = subprocess.run([args.program, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    print(HEAD.format(version=version, n=len(rows), runs=RUNS))
    for name in ["tiny.en", "base"]:
        for form in ["", "-8bit", "-5bit", "-4bit"]:
            if (args.models / f"whisper-{name}-mlx{form}").exists():
                measure(args, rows, name, f"whisper-{name}-mlx{form}")


def measure(args, rows, name, model):
    heard = {}
    for arithmetic in ARITHMETICS:
        options = ["--language", "en"]
        place = accuracy.folder(args, arithmetic, model, options, 0)
        accuracy.hear(args, arithmetic, rows, model, options, 0, place)
        heard[arithmetic] = [accuracy.result(row, place) for row in rows]
    times = seconds(args, name, args.models / model)
    of_float = [tokens(result) for result in heard["f32"]]
    n_tokens = sum(map(len, of_float))
    for arithmetic, results in heard.items():
        counts = [count(row, result["text"]) for row, result in zip(rows, results)]
        wrong, words = map(sum, zip(*counts))
        same = sum(agreement(a, tokens(b)) for a, b in zip(of_float, results))
        print(
            f"| {model.removeprefix('whisper-')} | {arithmetic} | {100 * wrong / words:.2f} % | {wrong} of {words} "
            f"| {100 * same / n_tokens:.1f} % | {times[arithmetic]:.3f} s | {times['f32'] / times[arithmetic]:.2f} times |",
            flush=True,
        )


def tokens(result):
    return [token for segment in result["segments"] for token in segment["tokens"]]


def agreement(first, second):
    """How many tokens both have in the same order."""
    return sum(block.size for block in difflib.SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks())


def seconds(args, name, checkpoint):
    """The median time of a warm call with each arithmetic."""
    with tempfile.TemporaryDirectory() as folder:
        command = [args.program, "benchmark", "--json", "--quiet", "-m", name, "-n", str(RUNS), "-t", "2"]
        command += ["-a", ROOT / "samples/jfk.flac", "-i", ",".join(f"{folder}/{a}" for a in ARITHMETICS)]
        for arithmetic in ARITHMETICS:
            runner = Path(folder, arithmetic)
            runner.write_text(f"#!/bin/sh\nexec '{args.program}' runner --compute {arithmetic}\n")
            runner.chmod(0o755)
            command += ["--model-path", f"{arithmetic}={checkpoint}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    entries = json.loads(done.stdout)["entries"]
    return {entry["implementation"]: entry["rows"][0]["time"]["median"] for entry in entries}


if __name__ == "__main__":
    sys.exit(main())
