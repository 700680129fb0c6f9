"""Larger models of random weights, ours and whisper.cpp in turns, and their table: called by benches/synthetic.sh.

    larger.py DIR ROUNDS PEAK OUT SIZE...

DIR has `models`, by tools/make-synthetic-models.py, and `whisper.cpp`; PEAK prints the processor's peaks.
"""

import json
import os
import random
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import rounds
from floor import floor
from rounds import OTHERS, PEAK, PROGRAM, THREADS

RECORDING = "samples/jfk.flac"  # one window
HEARD = 2  # times in a run of whisper-cli: it is the mean that it prints, and the first time touches new memory
RUN = shlex.split(os.environ.get("RUN", ""))
COLUMNS = ["model", "", "weights", "load", "a window", "from", "to", "a token", "memory", "share of the floor"]


def main(folder: Path, n_rounds: int, peak: str, out: Path, sizes: list[str]) -> None:
    cli = folder / "whisper.cpp/bin/whisper-cli"
    table = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    notes = []
    series = Series(peak)
    shares = {}
    for size in sizes:
        for bits in [8, 4]:
            mlx = folder / "models" / f"whisper-{size}-{bits}bit-synthetic"
            ggml = folder / "models" / f"ggml-{size}-synthetic-q{bits}_0.bin"
            # Nobody's load waits for the disk.
            subprocess.run(["cat", mlx / "weights.safetensors", ggml], stdout=subprocess.DEVNULL, check=True)
            config = json.loads((mlx / "config.json").read_text())
            work = {"ours": lambda: ours(mlx), "whisper.cpp": lambda: whisper_cpp(cli, ggml)}
            found = series.measure(work, config, n_rounds)
            for who, form in [("ours", f"{bits} bits"), ("whisper.cpp", f"q{bits}_0")]:
                table.append(row(size, who, form, found[who]))
            mine, theirs = ({key: middle(found[who], key) for key in found[who][0]} for who in work)
            shares[size, bits] = mine["share"]
            base = f", that of base {shares['base', bits]:.0%}" if size != "base" and ("base", bits) in shares else ""
            gain = {key: f"{theirs[key] / mine[key]:.2f} times" for key in ["load", "window", "token"]}
            notes.append(
                f"- {size}, {bits} bits: a window {gain['window']}, a token {gain['token']} as fast as whisper.cpp, loaded "
                f"{gain['load']} as fast; share of the floor {mine['share']:.0%}{base}"
            )
            out.write_text("\n".join([heading(cli), *table, "", *notes, series.note(), ""]))
    print(out.read_text())


class Series:
    """Rounds, of which the good ones are kept."""

    def __init__(self, peak: str):
        self.peak, self.best, self.rounds, self.thrown = peak, (0.0, 0.0), 0, 0

    def measure(self, work: dict, config: dict, n_rounds: int) -> dict[str, list[dict]]:
        """Of each, what the good rounds gave."""
        found = {who: [] for who in work}
        tries = 0
        while len(found["ours"]) < n_rounds:
            tries += 1
            if tries > 20 * n_rounds:
                sys.exit(f"{tries - 1} rounds, {len(found['ours'])} of them good: the machine is too busy")
            turns = random.sample(list(work), len(work))
            results, others, peaks = rounds.watched(lambda: {who: work[who]() for who in turns}, self.peak)
            self.best = tuple(map(max, self.best, peaks))
            if others > OTHERS or peaks[0] < PEAK * self.best[0]:
                self.thrown += 1
                print(f"thrown away: others {others:.0%}, peak {peaks[0]:.0f} of {self.best[0]:.0f}", file=sys.stderr)
                continue
            self.rounds += 1
            for who, result in results.items():
                found[who].append(result | {"share": floor(config, *peaks) / result["window"]})
        return found

    def note(self) -> str:
        return (
            f"- good rounds: {self.rounds}; thrown away: {self.thrown}; peaks {self.best[0]:.0f} GFLOP/s (float32) and "
            f"{self.best[1]:.0f} GOP/s (integer dots), {THREADS} threads"
        )


def ours(model: Path) -> dict[str, float]:
    command = [*RUN, PROGRAM, "benchmark", "--json", "--quiet", "-n", "1", "-t", str(THREADS), "--language", "en", "-a", RECORDING]
    command += ["-i", "native", "-m", "base", "--model-path", f"native={model}"]
    (entry,) = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout)["entries"]
    if failure := entry["failure"] or entry["rows"][0]["failure"]:
        sys.exit(f"{model}: {failure['message']}")
    run = entry["rows"][0]["runs"][0]
    windows, steps = run["counts"]["windows"], run["counts"]["steps"]
    return {
        "load": entry["load_seconds"],
        "window": run["stages"]["encode"] / windows,
        "token": run["stages"]["decode"] / whole(model, windows, steps),
        "memory": entry["peak_memory_bytes"],
    }


def whisper_cpp(cli: Path, model: Path) -> dict[str, float]:
    command = [*RUN, cli, "-m", model, "-t", str(THREADS), "-l", "en", "-bs", "1", "-bo", "1", "-nf"]
    with tempfile.TemporaryFile() as report:
        process = subprocess.Popen([*command, *["-f", RECORDING] * HEARD], stdout=subprocess.DEVNULL, stderr=report)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        report.seek(0)
        text = report.read().decode(errors="replace")
    if process.returncode != 0:
        sys.exit(f"{model}: whisper-cli ended with {process.returncode}:\n{text}")

    def stage(name: str) -> tuple[float, int]:
        """Seconds, and how often."""
        time, runs = re.search(rf"{name} time = *([\d.]+) ms / *(\d+) runs", text).groups()
        return float(time) / 1000, int(runs)

    (encoding, windows), (decoding, steps) = stage("encode"), stage("decode")
    return {
        "load": float(re.search(r"load time = *([\d.]+) ms", text).group(1)) / 1000,
        "window": encoding / windows,
        "token": decoding / whole(model, windows, steps),
        "memory": used.ru_maxrss * 1024,
    }


def whole(model: Path, windows: int, steps: int) -> int:
    """The steps, if a window has as many as there can be: else the two would not have done the same work."""
    if steps < 200 * windows:
        sys.exit(f"{model}: expected more than 200 steps a window, found {steps} in {windows}")
    return steps


def middle(results: list[dict], key: str) -> float:
    return statistics.median(result[key] for result in results)


def row(size: str, who: str, form: str, results: list[dict]) -> str:
    windows = [result["window"] for result in results]
    cells = [size, who, form, f"{middle(results, 'load'):.2f} s", f"**{middle(results, 'window'):.3f} s**"]
    cells += [f"{min(windows):.3f}", f"{max(windows):.3f}", f"**{1000 * middle(results, 'token'):.2f} ms**"]
    cells += [f"{middle(results, 'memory') / 1e6:.0f} MB", f"{middle(results, 'share'):.0%}"]
    return "| " + " | ".join(cells) + " |"


def heading(cli: Path) -> str:
    def version(program) -> str:
        said = subprocess.run([program, "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
        return re.search(r"\d+\.\d+\.\S+", said).group()

    return (
        "# Larger models\n\n"
        f"Written by `benches/synthetic.sh` on {rounds.occasion()}\n"
        f"Ours is {version(PROGRAM)}, whisper.cpp {version(cli)}, built for this processor. The models have the shapes of Whisper's\n"
        "and random weights (`tools/make-synthetic-models.py`), the same for both but for rounding: what they hear is nonsense, what they\n"
        "compute is as much as with real ones. Every window is decoded to its limit, 224 steps here and 219 in whisper.cpp.\n\n"
        "Medians of the good rounds; of a window the least and the greatest, too. A window is the encoder, and the keys and values that\n"
        "the decoder takes from it; a token is a step of the decoder, without the choice of the token. Ours are times of a warm call,\n"
        "those of whisper.cpp what `whisper-cli` prints of two calls. Loading reads files that are in memory. The floor of a window is\n"
        "its attention at twice the peak of float32 (that of bfloat16) and all its other products at the peak of integer dots, both\n"
        "measured after each round.\n"
    )


if __name__ == "__main__":
    directory, count, peak_program, output, *names = sys.argv[1:]
    main(Path(directory), int(count), os.path.abspath(peak_program), Path(output), names)
