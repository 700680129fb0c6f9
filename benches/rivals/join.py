"""The English recordings of a manifest as one, in its order, with a second of silence after each: called by benches/rivals.sh.

    join.py DEV OUT

OUT/english.wav (16 kHz, one channel) and OUT/english.tsv, its manifest: the references one after the other.
"""

import csv
import sys
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000


def main(dev: Path, out: Path) -> None:
    with (dev / "manifest.tsv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    rows = [row for row in rows if row["language"] == "en" and row["in_wer"] == "yes"]
    sound = []
    for row in rows:
        samples, rate = soundfile.read(dev / row["file"], dtype="int16")
        assert (rate, samples.ndim) == (RATE, 1), f"{row['file']}: expected one channel of {RATE} Hz"
        sound += [samples, np.zeros(RATE, "int16")]
    soundfile.write(out / "english.wav", np.concatenate(sound), RATE, "PCM_16")
    reference = " ".join(row["reference"] for row in rows)
    (out / "english.tsv").write_text(f"file\tlanguage\tin_wer\treference\nenglish.wav\ten\tyes\t{reference}\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
