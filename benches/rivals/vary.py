"""Other versions of the English recordings of a manifest, in which the same is said: how much of a word error rate is chance?

    DIR/tools/bin/python benches/rivals/vary.py DEV OUT        DIR is that of benches/rivals.sh

OUT/slower and OUT/faster (by 3 %), OUT/noise (30 dB below the speech) and OUT/both (1.5 % faster, noise at -35 dB), each with
its manifest: `MORE=1 benches/rivals.sh` and `tools/precision.py` count errors in them.
"""

import csv
import shutil
import sys
from pathlib import Path

import numpy as np
import soundfile

# How fast, and how loud the noise is, in dB.
VERSIONS = {"slower": (0.97, None), "faster": (1.03, None), "noise": (1.0, -30), "both": (1.015, -35)}


def main(dev: Path, out: Path) -> None:
    with (dev / "manifest.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    rows = [row for row in rows if row["language"] == "en" and row["in_wer"] == "yes"]
    for version, (speed, decibels) in VERSIONS.items():
        (out / version).mkdir(parents=True, exist_ok=True)
        shutil.copy(dev / "manifest.tsv", out / version)
        for seed, row in enumerate(rows):
            samples, rate = soundfile.read(dev / row["file"])
            if decibels is not None:
                level = np.sqrt((samples**2).mean()) * 10 ** (decibels / 20)
                samples = samples + level * np.random.default_rng(seed).standard_normal(samples.shape)
            # The speed is in the header: who hears it resamples.
            soundfile.write(out / version / row["file"], samples.clip(-1, 1), round(rate * speed), "PCM_16")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
