"""Our engine against what the processor could do, and its table: called by benches/engine.sh.

    engine.py DIR ROUNDS PEAK OUT

DIR has `models`; PEAK prints the processor's peaks. In each round all models are measured in random order, with one thread and with
two; rounds are good or thrown away as in rounds.py.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

import rounds
from floor import floor
from rounds import OTHERS, PEAK, PROGRAM, THREADS

RECORDING = "samples/jfk.flac"
MODELS = {"tiny.en": ["", "-8bit", "-4bit"], "base": ["-8bit", "-5bit", "-4bit"]}
BUNDLED = "bundled"
COLUMNS = ["model", "whole", "a window", "share of the floor", "a token", "two threads", "from start to end", "memory", "checkpoint"]


def main(folder: Path, n_rounds: int, peak: str, out: Path) -> None:
    checkpoints = {f"{name}{form}": folder / f"models/whisper-{name}-mlx{form}" for name, forms in MODELS.items() for form in forms}
    checkpoints = {name: path for name, path in checkpoints.items() if path.exists()} | {BUNDLED: Path("assets/whisper-base-mlx-5bit")}
    kept = {name: [] for name in checkpoints}
    best, good, thrown = 0.0, 0, 0
    while good < n_rounds:
        turns = random.sample(list(checkpoints), len(checkpoints))
        work = lambda: {name: one(name, checkpoints[name]) for name in turns}
        results, others, (flops, int8_ops) = rounds.watched(work, peak)
        best = max(best, flops)
        if others > OTHERS or flops < PEAK * best:
            thrown += 1
            print(f"thrown away: others {others:.0%}, peak {flops:.0f} of {best:.0f}", file=sys.stderr)
            if thrown > 20 * n_rounds:
                sys.exit("the machine is too busy")
            continue
        good += 1
        (one_thread, _) = map(float, subprocess.run([peak, "1"], stdout=subprocess.PIPE, text=True, check=True).stdout.split())
        for name, result in results.items():
            config = json.loads((checkpoints[name] / "config.json").read_text())
            share = floor(config, flops, int8_ops) / result["window"]
            gain = result["alone"] / result["whole"] / (flops / one_thread)
            kept[name].append(result | {"share": share, "gain": gain})
    table = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    table += [row(name, results, checkpoints[name]) for name, results in kept.items()]
    table += ["", f"- good rounds: {good}; thrown away: {thrown}; peak {best:.0f} GFLOP/s (float32, {THREADS} threads)", ""]
    out.write_text(heading() + "\n".join(table))
    print(out.read_text())


def one(name: str, checkpoint: Path) -> dict[str, float]:
    """A model once: in memory with two threads and with one, and from the start of the program to its end."""
    model = BUNDLED if name == BUNDLED else name.split("-")[0]
    weights = [] if name == BUNDLED else ["--model-path", f"native={checkpoint}"]
    runs = {}
    for threads in [THREADS, 1]:
        command = [PROGRAM, "benchmark", "--json", "--quiet", "-n", "7", "-t", str(threads), "-a", RECORDING, "-i", "native"]
        done = subprocess.run([*command, "-m", model, *weights], stdout=subprocess.PIPE, text=True)
        (entry,) = json.loads(done.stdout)["entries"]
        runs[threads] = entry["rows"][0]["runs"]
    middle = lambda runs, of: statistics.median(of(run) for run in runs)
    counts = runs[THREADS][0]["counts"]
    starts = [whole_program(model if name == BUNDLED else checkpoint) for _ in range(3)]
    return {
        "whole": middle(runs[THREADS], lambda run: run["seconds"]),
        "alone": middle(runs[1], lambda run: run["seconds"]),
        "window": middle(runs[THREADS], lambda run: run["stages"]["encode"]) / counts["windows"],
        "token": middle(runs[THREADS], lambda run: run["stages"]["decode"]) / counts["steps"],
        "start": statistics.median(seconds for seconds, _ in starts),
        "memory": max(memory for _, memory in starts),
    }


def whole_program(model) -> tuple[float, int]:
    """Seconds and peak memory of `transcribe`."""
    began = time.monotonic()
    child = subprocess.Popen([PROGRAM, "transcribe", "--quiet", "-m", model, RECORDING], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{model}: the program ended with {child.returncode}")
    return time.monotonic() - began, used.ru_maxrss * 1024


def row(name: str, results: list[dict], checkpoint: Path) -> str:
    of = {key: statistics.median(result[key] for result in results) for key in results[0]}
    size = (checkpoint / "weights.safetensors").stat().st_size / 1e6
    cells = [name, f"{of['whole']:.3f} s", f"{1000 * of['window']:.1f} ms", f"{of['share']:.0%}", f"{1000 * of['token']:.2f} ms"]
    cells += [f"{of['gain']:.0%}", f"{of['start']:.3f} s, {of['start'] / of['whole']:.2f} times"]
    cells += [f"{of['memory'] / 1e6:.0f} MB", f"{size:.0f} MB"]
    return "| " + " | ".join(cells) + " |"


def heading() -> str:
    return (
        "# The engine alone\n\n"
        f"Written by `benches/engine.sh` on {rounds.occasion()}\n"
        "Medians of the rounds, each of seven warm calls on the samples of `jfk.flac`, 11 s. A window is the encoder, and the keys and\n"
        "values that the decoder takes from it; its floor is attention at twice the peak of float32 (that of bfloat16) and all other\n"
        "products at the peak of integer dots, both measured in the round. A token is a step of the decoder. Two threads: how much faster\n"
        "than one, as a share of what the peak gains. From start to end: the whole program, and how many times the warm call. Memory: the\n"
        "peak of that program.\n\n"
    )


if __name__ == "__main__":
    directory, count, peak_program, output = sys.argv[1:]
    main(Path(directory), int(count), os.path.abspath(peak_program), Path(output))
