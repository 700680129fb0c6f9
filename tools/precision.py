#!/usr/bin/env python3
"""What whole numbers cost and gain, as a page of Markdown: word error rate, tokens and speed of each arithmetic.

    cargo build --release
    tools/precision.py MODELS > docs/precision.md      MODELS: a folder of checkpoints (benches/rivals/setup.sh DIR models)
    tools/precision.py MODELS --recordings ../shared/audio/dev MORE/*    with more speech (vary.py and speak.py of benches/rivals)

Hears the English recordings of ../shared/audio/dev in default mode with every whisper-tiny.en-mlx* and whisper-base-mlx* there, and
times warm calls on samples/jfk.flac, the arithmetics in turns. What it hears lies below target/accuracy.
"""

import argparse
import difflib
import json
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import accuracy
from word_errors import ROOT, count, recordings

ARITHMETICS = ["f32", "int8"]
RUNS = 9

HEAD = """# What whole numbers cost and gain

`tools/precision.py`, version {version}: the {n} English development recordings, language given, default mode with seed 0. Speech in
all: {folders}. More than float32: of the errors in all of it, with the standard error of the difference, clips
being a sample. Tokens: how many of float32's are heard again in the recordings, in their order. Time: the median of {runs} warm calls
on `jfk.flac`, 11 s, in turns with float32, two threads, on {machine}. `auto` takes int8 for all
of these. bfloat16 is no arithmetic of its own on processors: its products run at half the rate of whole numbers, and it serves
attention, where both sides are activations.

| checkpoint | arithmetic | word error rate | errors | errors in all | more than float32 | tokens as in float32 | time | speed |
|---|---|---|---|---|---|---|---|---|"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path)
    parser.add_argument("--program", type=Path, default=ROOT / "target/release/whisper-speedtest")
    parser.add_argument("--recordings", type=Path, nargs="+", default=[ROOT / "../shared/audio/dev"], help="folders with manifest.tsv")
    args = parser.parse_args()
    args.models, args.program = args.models.resolve(), args.program.resolve()

    speech = {folder: [row for row in recordings(folder) if row["language"] == "en"] for folder in args.recordings}
    doctor = json.loads(subprocess.run([args.program, "doctor", "--json"], stdout=subprocess.PIPE, text=True, check=True).stdout)
    print(
        HEAD.format(
            version=doctor["version"],
            n=len(speech[args.recordings[0]]),
            folders=", ".join(f"`{folder.name}`" for folder in speech),
            runs=RUNS,
            machine="{cpu}, {logical_cores} cores, {instruction_set}".format(**doctor["machine"]),
        ),
        flush=True,
    )
    for name in ["tiny.en", "base"]:
        for form in ["", "-8bit", "-5bit", "-4bit"]:
            if (args.models / f"whisper-{name}-mlx{form}").exists():
                measure(args, speech, name, f"whisper-{name}-mlx{form}")


def measure(args, speech, name, model):
    heard = {arithmetic: [hear(args, folder, rows, model, arithmetic) for folder, rows in speech.items()] for arithmetic in ARITHMETICS}
    times = seconds(args, name, args.models / model)
    of_float = [tokens(result) for result in heard["f32"][0]]
    n_tokens = sum(map(len, of_float))
    errors_of_float = None
    for arithmetic, folders in heard.items():
        counts = [[count(row, result["text"]) for row, result in zip(rows, results)] for rows, results in zip(speech.values(), folders)]
        wrong, words = map(sum, zip(*counts[0]))
        all_wrong, all_words = map(sum, zip(*(pair for of_folder in counts for pair in of_folder)))
        # Of each clip, whose versions are no independent samples.
        errors = Counter()
        for rows, of_folder in zip(speech.values(), counts):
            for row, (n, _) in zip(rows, of_folder):
                errors[row["file"]] += n
        errors_of_float = errors_of_float or errors
        same = sum(agreement(a, tokens(b)) for a, b in zip(of_float, folders[0]))
        print(
            f"| {model.removeprefix('whisper-')} | {arithmetic} | {100 * wrong / words:.2f} % | {wrong} of {words} "
            f"| {all_wrong} of {all_words} | {difference(errors, errors_of_float, all_words)} "
            f"| {100 * same / n_tokens:.1f} % | {times[arithmetic]:.3f} s | {times['f32'] / times[arithmetic]:.2f} times |",
            flush=True,
        )


def hear(args, folder, rows, model, arithmetic):
    """What is heard in a folder of speech."""
    args = argparse.Namespace(**(vars(args) | {"recordings": folder}))
    options = ["--language", "en"]
    place = accuracy.folder(args, arithmetic, model, options, 0)
    accuracy.hear(args, arithmetic, rows, model, options, 0, place)
    return [accuracy.result(row, place) for row in rows]


def difference(errors, of_float, words):
    """In points of the word error rate, with its standard error."""
    if errors is of_float:
        return ""
    differences = [errors[clip] - of_float[clip] for clip in errors]
    spread = statistics.stdev(differences) * len(differences) ** 0.5
    return f"{sum(differences):+} ({100 * sum(differences) / words:+.2f} ± {100 * spread / words:.2f} points)"


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
