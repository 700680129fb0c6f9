"""Speech of a machine with its text, as much as is wanted: differences too small for a few recordings.

    speak.py OUT [CLIPS]        OUT/000-slt.wav ... (125: an hour) and OUT/manifest.tsv; needs Debian's flite and fortunes

Sayings of `fortunes`, half a minute of them a clip, are read by four voices of flite. Those with digits, capitals or dialect, of
which there are several spellings, are left out. Whisper makes about as many errors in it as in what people say.
"""

import csv
import hashlib
import re
import shutil
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

VOICES = ["slt", "rms", "awb", "kal16"]
FORTUNES = Path("/usr/share/games/fortunes")
TOPICS = "art education food fortunes kids literature love men-women miscellaneous people platitudes politics science wisdom work".split()
WORDS = 70  # of a clip, at least


def main(out: Path, n_clips: int = 125) -> None:
    if not shutil.which("flite") or not (FORTUNES / TOPICS[0]).exists():
        sys.exit("speak.py: flite or fortunes is missing: apt-get install flite fortunes")
    out.mkdir(parents=True, exist_ok=True)
    with (out / "manifest.tsv").open("w", encoding="utf-8", newline="") as file:
        manifest = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n")
        manifest.writerow(["file", "language", "seconds", "in_wer", "reference"])
        for i, (text, _) in enumerate(zip(clips(), range(n_clips))):
            voice = VOICES[i % len(VOICES)]
            path = out / f"{i:03}-{voice}.wav"
            subprocess.run(["flite", "-voice", voice, "-t", text, "-o", path], check=True)
            with wave.open(str(path)) as sound:
                seconds = sound.getnframes() / sound.getframerate()
            manifest.writerow([path.name, "en", f"{seconds:.2f}", "yes", text])


def clips() -> Iterator[str]:
    """Sayings of all topics, mixed, in the same order each time."""
    clip = []
    for saying in sorted(set(sayings()), key=lambda saying: hashlib.sha256(saying.encode()).digest()):
        clip += saying.split()
        if len(clip) >= WORDS:
            yield " ".join(clip)
            clip = []


def sayings() -> Iterator[str]:
    for topic in TOPICS:
        for text in (FORTUNES / topic).read_text(encoding="utf-8", errors="replace").split("\n%\n"):
            text = " ".join(text.split("\n\t\t--")[0].split())
            plain = re.fullmatch(r"[A-Z][A-Za-z ,.'?!;:]+[.?!]", text)
            odd = re.search(r"[A-Z]{2}|\.\.|'[A-Za-z]{4}|\b(ain|o|ol)'", text)
            if plain and not odd and 8 <= len(text.split()) <= 60:
                yield text


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
