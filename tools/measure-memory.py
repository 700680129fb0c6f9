#!/usr/bin/env python3
"""Measures the peak memory of `transcribe` with tiny.en f16: a short recording, one of three hours, and the same through
standard input. Fails where a limit is broken.

    tools/measure-memory.py PROGRAM MODEL RECORDINGS

PROGRAM: a release build. MODEL: a folder with whisper-tiny.en-mlx (f16). RECORDINGS: a folder of FLAC files, repeated
until they are three hours (needs ffmpeg).
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOURS = 3


def main(program, model, recordings):
    with tempfile.TemporaryDirectory() as folder:
        long = Path(folder, "long.flac")
        repeat(Path(recordings), long)
        command = [program, "transcribe", "--language", "en", "--model", model]
        rows = [
            ("jfk.flac", command + [ROOT / "samples/jfk.flac"], None, 300),
            (f"{HOURS} h", command + [long], None, 700),
            (f"{HOURS} h, standard input", command + ["-"], long, 700),
        ]
        ok = True
        for name, command, stdin, limit in rows:
            peak, seconds, words = measure(command, stdin)
            ok &= peak < limit
            print(f"{name:22} {peak:4.0f} MB, limit {limit} MB; {seconds:6.1f} s, {words} words", flush=True)
    return 0 if ok else 1


def repeat(recordings, long):
    """All recordings in the order of their names, again and again."""
    files = sorted(recordings.resolve().glob("*.flac"))
    if not files:
        sys.exit(f"{recordings}: no FLAC files")
    playlist = long.with_name("playlist")
    playlist.write_text("".join(f"file '{file}'\n" for file in files))
    concat = ["-stream_loop", "-1", "-f", "concat", "-safe", "0", "-i", playlist]
    one = ["-t", str(HOURS * 3600), "-ar", "16000", "-ac", "1", "-c:a", "flac", long]
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", *concat, *one], check=True)


def measure(command, stdin):
    """Peak MB, seconds, and how many words came."""
    start = time.monotonic()
    with open(stdin or os.devnull, "rb") as source, tempfile.TemporaryFile() as out:
        child = subprocess.Popen(command, stdin=source, stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        if status:
            sys.exit(f"{command}: status {status}")
        out.seek(0)
        words = len(out.read().split())
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return kilobytes * 1024 / 1e6, time.monotonic() - start, words


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
