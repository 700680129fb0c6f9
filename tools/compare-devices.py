#!/usr/bin/env python3
"""Transcribes recordings on MLX and on the CPU engine in float32, and lists where the texts differ.

    tools/compare-devices.py SHARED [MOST]      SHARED holds audio/dev and models; by default all recordings, else the MOST shortest

English by tiny.en, other languages by base in 8 bits, at temperature 0. Needs MLX made ready (`doctor --enable mlx`); the program is
the one that WHISPER_SPEEDTEST names, else target/debug/whisper-speedtest. Exit code 1 where a text differs.
"""
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = os.environ.get("WHISPER_SPEEDTEST", "target/debug/whisper-speedtest")


def tokens(recording, model, language, device):
    command = [PROGRAM, "transcribe", recording, "-m", model, "--language", language, "-f", "json", "--quiet"]
    command += ["--compute", "f32", "--temperature", "0", "--temperature-increment-on-fallback", "None", "--device", device]
    result = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert ("MLX" in result["model"]["device"]) == (device == "mlx"), result["model"]
    return [token for segment in result["segments"] for token in segment["tokens"]], result["text"]


def main(shared, most=None):
    shared = Path(shared)
    with open(shared / "audio/dev/manifest.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    rows = sorted(rows, key=lambda row: float(row["seconds"]))[: int(most) if most else None]
    differ = 0
    for row in rows:
        model = shared / "models" / ("whisper-tiny.en-mlx" if row["language"] == "en" else "whisper-base-mlx-8bit")
        recording = shared / "audio/dev" / row["file"]
        cpu, mlx = (tokens(recording, model, row["language"], device) for device in ("cpu", "mlx"))
        if cpu != mlx:
            differ += 1
            same = sum(1 for a, b in zip(cpu[0], mlx[0]) if a == b)
            print(f"{row['file']}: {same} of {len(cpu[0])} tokens are equal\n  cpu {cpu[1]}\n  mlx {mlx[1]}")
    print(f"{len(rows)} recordings, {differ} differ")
    return differ > 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
