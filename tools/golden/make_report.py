"""Results of a benchmark as the reports are tested with: figures like real ones, names and texts that attack.

    python3 tools/golden/make_report.py > crates/speedtest/tests/report/results.json
"""

import json
import random
import statistics
import sys

random.seed(3)
TEXT = "And so, my fellow Americans: ask not what your country can do for you; ask what you can do for your country."
ATTACK = "<script>fetch('http://example.com')</script> <img src=http://example.com/x.png> | `a` =1+1 \u001b[31mred"


def run(seconds, stages):
    return {
        "seconds": seconds,
        "inside_seconds": seconds - 0.0004,
        "cpu_seconds": round(seconds * 1.9, 2),
        "first_segment_seconds": seconds * 0.9,
        "stages": {name: seconds * part for name, part in stages.items()},
        "counts": {"tokens": 27},
    }


def entry(name, model, version, weights, seconds, memory, errors, load, stages=None, **others):
    runs = [run(abs(random.gauss(seconds, seconds * 0.012)), stages or {}) for _ in range(12)]
    times = sorted(r["seconds"] for r in runs)
    median = statistics.median(times)
    row = {
        "recording": 0,
        "warmups": [run(seconds * 1.2, stages or {})],
        "runs": runs,
        "time": {
            "n": len(times), "min": times[0], "median": median, "mean": statistics.mean(times), "max": times[-1],
            "sigma": statistics.stdev(times), "mad": statistics.median(abs(t - median) for t in times), "p95": times[-1],
            "interval": {"low": times[3], "high": times[8], "kind": "confidence"},
        },
        "text": " " + TEXT if errors == 0 else " " + TEXT.replace("fellow", "fallow"),
        "language": "en",
        "texts_differ": False,
        "accuracy": {
            "words": {"substitutions": errors, "deletions": 0, "insertions": 0, "reference": 200},
            "characters": {"substitutions": errors, "deletions": 0, "insertions": 0, "reference": 900},
        },
        "agreement": None,
        "warnings": [],
        "failure": None,
    }
    return {
        "implementation": name, "model": model,
        "identity": {"protocol": 1, "implementation": name, "version": version, "components": {}},
        "weights": "org/" + name, "fallback": False,
        "loaded": {"seconds": load, "weights": weights, "device": "cpu", "differs": [], "handicap": None},
        "start_seconds": 0.004 if name == "native" else 1.2, "load_seconds": load,
        "first_run": run(seconds * 1.25, stages or {}), "peak_memory_bytes": memory,
        "rows": [row], "failure": None, **others,
    }


mlx = entry("mlx-whisper", "base", "0.4.3", "f16", 2.9, 1_900_000_000, 0, 0.9)
mlx["loaded"]["handicap"] = "MLX is made for Apple's GPUs; this is its CPU path"
whisper_cpp = entry("whisper.cpp", "base", "1.9.3", "q5_1", 0.98, 310_000_000, 1, 0.21,
                    {"mel": 0.02, "encode": 0.7, "decode": 0.26, "sample": 0.02})
whisper_cpp["loaded"]["differs"] = ["the language is told to the server once"]
wrong = entry(ATTACK, "base", ATTACK, ATTACK, 0.2, 90_000_000, 9, 0.1)
wrong["rows"][0]["text"] = ATTACK
crashed = entry("faster-whisper", "large-v3", "1.2.1", "int8", 9, 0, 0, 1)
crashed["rows"][0] |= {"runs": [], "warmups": [], "time": None, "text": None, "accuracy": None, "failure": {
    "kind": "killed", "message": 'killed by the system at "transcribe": most likely out of memory', "complaints": ATTACK}}
crashed["peak_memory_bytes"] = 7_400_000_000
large = entry("native", "large-v3", "0.1.0", "8 bits, groups of 64", 7.9, 1_700_000_000, 0, 1.4,
              {"mel": 0.004, "encode": 0.81, "decode": 0.18, "rest": 0.006})
large["fallback"] = True
large["weights"] = "mlx-community/whisper-large-v3-mlx"

document = {
    "schema": "whisper-speedtest benchmark 1",
    "version": "0.1.0",
    "started": "2026-11-24T02:42:32Z",
    "complete": True,
    "machine": {
        "cpu": "AMD EPYC", "architecture": "x86_64", "instruction_set": "avx512", "logical_cores": 2,
        "physical_cores": 2, "memory_bytes": 25_276_502_016, "system": "Linux (Debian GNU/Linux 12)",
        "kernel": "6.1", "virtual_machine": True, "power": None, "governor": None,
    },
    "settings": {
        "runs": 12, "min_runs": 5, "min_seconds": 3.0, "max_seconds": 60.0, "warmup": 1, "cool_down": 0.0,
        "timeout": 600.0, "interleaved": True, "seed": 0, "threads": 2, "wer_margin": 1.0,
    },
    "recordings": [{"name": "jfk.flac", "seconds": 11.0, "sha256": "ebd5", "language": "en", "reference": TEXT}],
    "entries": [
        entry("native", "bundled", "0.1.0", "5 bits, groups of 64", 0.41, 230_000_000, 0, 0.28,
              {"mel": 0.01, "encode": 0.68, "decode": 0.29, "rest": 0.02}),
        entry("faster-whisper", "base", "1.2.1", "int8", 0.72, 420_000_000, 1, 0.55),
        whisper_cpp, mlx, wrong, crashed, large,
    ],
    "warnings": ["the machine is busy with something else (31 % of its processors): close it, and measure again"],
}
json.dump(document, sys.stdout, indent=1)
print()
