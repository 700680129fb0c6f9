"""Rounds of `whisper-speedtest benchmark` over rivals, the good ones kept, and their table: called by benches/rivals.sh.

    rounds.py DIR ROUNDS DEV PEAK OUT

DIR has `rows` (a runner each) and `models`; PEAK prints the processor's peak. Everything measured is kept in DIR/results.
"""

import json
import os
import re
import resource
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

THREADS = 2
OTHERS = 0.05  # of the machine, in a good round
PEAK = 0.9  # of the best of the series
WER_MARGIN = 0.3  # points
LONG = "gb0_bush_2008-11-01.flac"
PROGRAM = os.environ["WHISPER_SPEEDTEST"]


def main(folder: Path, rounds: int, dev: Path, peak: str, out: Path) -> None:
    # A short recording is one window: batches change nothing, but ours without timestamps compare with the rival's, which have none.
    short = lambda row: not is_ours(row) or "batch" not in row or "plain" in row
    tasks = [Task("11 s", Path("samples/jfk.flac"), 1, ["-n", "3"], short)]
    if (dev / LONG).exists():
        joined = folder / "english.wav"
        once = ["-n", "1", "--warmup", "0", "--reference", str(folder / "english.tsv")]
        # Other builds of whisper.cpp show in the first table whether one of them is faster.
        builds = ("whisper_rs", "pywhispercpp") if (folder / "rows/whisper_cpp-f16").exists() else ()
        tasks.append(Task("127 s", dev / LONG, 4, ["-n", "1"], lambda row: not row.startswith(builds)))
        tasks.append(Task(f"{joined.stat().st_size / 32_000:.0f} s", joined, 4, once, lambda row: "batch" in row, False))
    else:
        print(f"no {dev / LONG}: eleven seconds only, no word error rates", file=sys.stderr)
    tasks = [task for task in tasks if task.name in os.environ.get("TASKS", task.name)]
    (folder / "results").mkdir(exist_ok=True)
    speech = [dev, *sorted((folder / "more").iterdir())] if (folder / "more").exists() else [dev]
    text = heading(len(speech) > 1)
    for model in os.environ.get("MODELS", "tiny.en base").split():
        rows = {row: weights for row in sorted(os.listdir(folder / "rows")) if (weights := weights_of(folder, model, row))}
        if not rows:
            continue
        for task in tasks:
            of_task = {row: weights for row, weights in rows.items() if task.has(row)}
            series = Series(folder, model, task, of_task, peak)
            for _ in range(rounds):
                for part in range(min(task.parts, len(of_task))):
                    series.measure(dict(list(of_task.items())[part :: task.parts]))
            decisive = {row: rows[row] for row in of_task if is_ours(row) or row == series.fastest_rival()}
            counts = task.counts and (dev / "manifest.tsv").exists()
            errors = [word_errors(folder, manifest, model, decisive) for manifest in speech] if counts else []
            text += series.table(f"Whisper {model}, {task.name} of speech", errors)
            out.write_text(text)
    print(text)


@dataclass
class Task:
    """A recording, and how it is measured."""

    name: str
    recording: Path
    parts: int  # of a round: so many runs of the tool, a part of the rows each
    options: list[str]
    has: Callable[[str], bool]  # whether a row takes part
    counts: bool = True  # whether word errors are still to be counted


def is_ours(row: str) -> bool:
    return row.startswith("native")


def weights_of(folder: Path, model: str, row: str) -> Path | None:
    """The weights of a row, if they are there."""
    implementation, form, *_ = row.lstrip(".").split("-")
    if row.startswith("."):
        return None
    if is_ours(row):
        name = f"whisper-{model}-mlx" + ("" if form == "f16" else f"-{form}")
    elif implementation == "faster_whisper":
        name = f"faster-whisper-{model}"
    else:
        name = f"ggml-{model}" + ("" if form == "f16" else f"-{form}") + ".bin"
    path = folder / "models" / name
    return path if path.exists() else None


def benchmark(folder: Path, model: str, rows: dict[str, Path], options: list[str], run: list[str] = []) -> dict:
    """The results of one run of the tool."""
    command = [*run, PROGRAM, "benchmark", "--json", "--quiet", "-m", model, "-t", str(THREADS), *options]
    command += ["-i", ",".join(str(folder / "rows" / row) for row in rows)]
    for row, path in rows.items():
        command += ["--model-path", f"{row}={path}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    results = json.loads(done.stdout)
    for entry in results["entries"]:
        for failure in [entry["failure"], *(row["failure"] for row in entry["rows"])]:
            if failure:
                print(f"{entry['implementation']} {model}: {failure['message']}", file=sys.stderr)
    return results


def word_errors(folder: Path, dev: Path, model: str, rows: dict[str, Path]) -> dict[str, tuple[int, int]]:
    """Errors and words of each row over the English recordings of the manifest; kept for the next time."""
    kept = folder / "results" / f"errors-{model}-{dev.name}.json"
    errors = json.loads(kept.read_text()) if kept.exists() else {}
    recordings = english(dev / "manifest.tsv")
    for row in rows:
        if row in errors:
            continue
        options = ["-n", "1", "--warmup", "0", "--reference", str(dev / "manifest.tsv"), "-a", *map(str, recordings)]
        (entry,) = benchmark(folder, model, {row: rows[row]}, options)["entries"]
        if counted := errors_of(entry["rows"]):
            errors[row] = counted
            kept.write_text(json.dumps(errors))
    return errors


def errors_of(rows: list[dict]) -> tuple[int, int] | None:
    """Errors and words of all recordings of an entry, if all were counted."""
    counts = [one["accuracy"]["words"] for one in rows if one["accuracy"]]
    if not rows or len(counts) < len(rows):
        return None
    wrong = sum(count[kind] for count in counts for kind in ["substitutions", "deletions", "insertions"])
    return wrong, sum(count["reference"] for count in counts)


def english(manifest: Path) -> list[Path]:
    head, *lines = (line.split("\t") for line in manifest.read_text().splitlines())
    rows = [dict(zip(head, line)) for line in lines]
    return [manifest.parent / row["file"] for row in rows if row["language"] == "en" and row["in_wer"] == "yes"]


class Series:
    """The rounds of a model on a recording."""

    def __init__(self, folder: Path, model: str, task: Task, rows: dict[str, Path], peak: str):
        self.folder, self.model, self.task, self.peak = folder, model, task, peak
        self.seconds = {row: [] for row in rows}
        self.entries = {}
        self.rounds = self.thrown = 0
        self.best = 0.0

    def measure(self, rows: dict[str, Path]) -> None:
        """A good round; those before it are thrown away."""
        options = [*self.task.options, "--seed", str(self.rounds), "-a", str(self.task.recording)]
        for _ in range(20):
            ask = json.dumps([str(self.folder), self.model, {row: str(path) for row, path in rows.items()}, options, self.peak])
            command = [*shlex.split(os.environ.get("RUN", "")), sys.executable, __file__, "--round", ask]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
            if done.returncode != 0:
                sys.exit("a round failed: see above")
            answer = json.loads(done.stdout)
            self.best = max(self.best, answer["peak"])
            if answer["others"] <= OTHERS and answer["peak"] >= PEAK * self.best:
                break
            self.thrown += 1
            print(f"thrown away: others {answer['others']:.0%}, peak {answer['peak']:.0f} of {self.best:.0f}", file=sys.stderr)
        else:
            sys.exit("twenty rounds were thrown away: the machine is too busy")
        self.rounds += 1
        for entry in filter(lambda entry: entry["loaded"], answer["results"]["entries"]):
            self.entries[entry["implementation"]] = entry
            self.seconds[entry["implementation"]] += [run["seconds"] for row in entry["rows"] for run in row["runs"]]

    def fastest_rival(self) -> str | None:
        rivals = {row: statistics.median(seconds) for row, seconds in self.seconds.items() if seconds and not is_ours(row)}
        return min(rivals, key=rivals.get, default=None)

    def table(self, title: str, errors: list[dict[str, tuple[int, int]]]) -> str:
        """With the errors in each folder of speech, the recordings first."""
        medians = {row: statistics.median(seconds) for row, seconds in self.seconds.items() if seconds}
        errors = errors or [{row: counted for row, entry in self.entries.items() if (counted := errors_of(entry["rows"]))}]
        # A column for the recordings and, where there is more speech, one for all of it, which decides.
        columns = [rates_of(errors[:1]), rates_of(errors)][: len(errors)]
        names = ["WER", "of all speech"][: len(errors)]
        lines = [
            f"## {title}\n",
            f"| | version | weights | time | from | to | runs | memory | {' | '.join(names)} |",
            "|---" * (8 + len(names)) + "|",
        ]
        for row, median in sorted(medians.items(), key=lambda item: item[1]):
            entry, seconds = self.entries[row], self.seconds[row]
            parts = [entry["identity"]["version"], *(f"{k} {v}" for k, v in entry["identity"]["components"].items())]
            memory = f"{entry['peak_memory_bytes'] / 1e6:.0f} MB" if entry["peak_memory_bytes"] else ""
            rates = [f"{rates[row]:.2f} %" if row in rates else "" for rates in columns]
            lines.append(
                f"| {row} | {', '.join(parts)} | {entry['loaded'].get('weights') or ''} | **{median:.3f} s** "
                f"| {min(seconds):.3f} | {max(seconds):.3f} | {len(seconds)} | {memory} | {' | '.join(rates)} |"
            )
        lines.append("")
        if fastest := self.fastest_rival():
            for row, median in medians.items():
                if is_ours(row):
                    lines.append(f"- {row} is {medians[fastest] / median:.2f} times as fast as {fastest}" + verdict(row, fastest, columns[-1]))
        notes = sorted({note for entry in self.entries.values() for note in entry["loaded"]["differs"]})
        lines += [f"- {note}: {', '.join(row for row in self.entries if note in self.entries[row]['loaded']['differs'])}" for note in notes]
        lines.append(f"- good rounds: {self.rounds}; thrown away: {self.thrown}; peak {self.best:.0f} GFLOP/s (float32, {THREADS} threads)")
        return "\n".join(lines) + "\n\n"


def rates_of(errors: list[dict[str, tuple[int, int]]]) -> dict[str, float]:
    """In percent, of all folders together."""
    rates = {}
    for row in errors[0]:
        if all(row in of_folder for of_folder in errors):
            wrong, words = map(sum, zip(*(of_folder[row] for of_folder in errors)))
            rates[row] = 100 * wrong / words
    return rates


def verdict(row: str, rival: str, rates: dict[str, float]) -> str:
    if row not in rates or rival not in rates:
        return ", word error rates unknown"
    counts = rates[row] <= rates[rival] + WER_MARGIN
    return "" if counts else f", but its WER is {rates[row] - rates[rival]:.2f} points higher: it does not count"


def one_round(folder: str, model: str, rows: dict[str, str], options: list[str], peak: str) -> None:
    """Prints results, what part of the processors others took meanwhile, and the peak in GFLOP/s."""
    results, others, (reached, _) = watched(lambda: benchmark(Path(folder), model, rows, options), peak)
    print(json.dumps({"results": results, "others": others, "peak": reached}))


def watched(work, peak: str):
    """What `work` gives, what part of the processors others took meanwhile, and the peaks after it, in GFLOP/s and GOP/s."""
    busy, own, began = busy_seconds(), children_seconds(), time.monotonic()
    results = work()
    busy, own, elapsed = busy_seconds() - busy, children_seconds() - own, time.monotonic() - began
    others = max(0, busy - own) / (elapsed * os.cpu_count())
    reached = subprocess.run([peak, str(THREADS)], stdout=subprocess.PIPE, text=True, check=True).stdout
    return results, others, tuple(map(float, reached.split()))


def children_seconds() -> float:
    """Of the processes started from here, those that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def busy_seconds() -> float:
    """Of all processors since the start of the system, without the time that a host took from a virtual machine."""
    user, nice, system, _idle, _wait, irq, softirq = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def heading(more: bool) -> str:
    text = (
        "# Against rivals\n\n"
        f"Written by `benches/rivals.sh` on {occasion()}\n"
        "Times are medians of warm calls on samples in memory: no start of a process, no loading, no decoding of audio. All greedy, at\n"
        "temperature 0. WER: of the English development recordings, of our rows and of the fastest rival. Ratios of one table compare;\n"
        "times of two tables do not.\n"
    )
    if more:
        text += (
            "All speech: these recordings, the same faster, slower and with noise (`benches/rivals/vary.py`), and a machine's voice\n"
            "(`benches/rivals/speak.py`), so that chance evens out. A row counts by it.\n"
        )
    return text + "\n"


def occasion() -> str:
    """Date, commit and machine."""
    info = Path("/proc/cpuinfo").read_text()
    cpu = re.search(r"model name\s*: (.*)", info).group(1)
    isa = next((isa for isa in ["avx512_vnni", "avx512f", "avx_vnni", "avx2"] if isa in info), "neither AVX2 nor AVX-512")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE, text=True).stdout.strip()
    return f"{date.today()}, of commit {commit}, on {cpu} ({isa}), {os.cpu_count()} cores, {THREADS} threads each."


if __name__ == "__main__":
    if sys.argv[1] == "--round":
        one_round(*json.loads(sys.argv[2]))
    else:
        directory, count, recordings, peak_program, output = sys.argv[1:]
        main(Path(directory), int(count), Path(recordings), os.path.abspath(peak_program), Path(output))
