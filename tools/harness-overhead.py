"""What the harness of the speed test adds to a run: the time outside less the time inside of a runner that does nothing
(crates/speedtest/examples/null.rs), for 11 seconds and for an hour of audio. Median of 100 runs, in milliseconds.

    cargo build --release -p whisper-speedtest --bins --examples
    python3 tools/harness-overhead.py [target/release]
"""

import json
import statistics
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

LIMIT_MS = 2.0


def silence(path, seconds):
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        for _ in range(seconds):
            file.writeframes(bytes(2 * 16_000))


def overhead_ms(programs, recording):
    command = [programs / "whisper-speedtest", "benchmark", "-n", "100", "--json", "-q", "--language", "en"]
    done = subprocess.run([*command, "-i", programs / "examples" / "null", "-a", recording], stdout=subprocess.PIPE, check=True)
    runs = json.loads(done.stdout)["entries"][0]["rows"][0]["runs"]
    assert len(runs) == 100
    return statistics.median(1000 * (run["seconds"] - run["inside_seconds"]) for run in runs)


programs = Path(sys.argv[1] if len(sys.argv) > 1 else "target/release").resolve()
worst = 0.0
with tempfile.TemporaryDirectory() as folder:
    for name, seconds in [("11 s", 11), ("1 h", 3600)]:
        recording = Path(folder) / f"{seconds}.wav"
        silence(recording, seconds)
        found = overhead_ms(programs, recording)
        worst = max(worst, found)
        print(f"{name}: {found:.3f} ms a run")
sys.exit(worst > LIMIT_MS)
