"""Reads the files of transcripts back with parsers that are not ours: read_back.py FOLDER. PYTHONPATH has webvtt-py and srt.

NAME.json says what the others must hold. Exit code 1, and what is wrong, where one does not.
"""

import csv
import json
import re
import sys
from pathlib import Path

import srt
import webvtt

wrong = []


def words(text):
    """Line ends, runs of spaces and the arrow that cues must not hold are written differently."""
    return " ".join(text.replace("-->", "->").split())


def seconds(clock):
    hours, minutes, rest = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def refuse(constant):
    raise ValueError(f"{constant} is no JSON")


def check(path, found, expected, tolerance=0.0006):
    if len(found) != len(expected):
        wrong.append(f"{path.name}: {len(found)} entries, expected {len(expected)}")
        return
    for entry, (start, end, text) in zip(found, expected):
        times = [(entry[0], start), (entry[1], end)]
        if words(entry[2]) != words(text) or any(abs(a - b) > tolerance for a, b in times if a is not None):
            wrong.append(f"{path.name}: {entry}, expected {(start, end, text)}")


def table(path, **dialect):
    with path.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file, strict=True, **dialect)
    if head != ["start", "end", "text"]:
        wrong.append(f"{path.name}: columns {head}")
    return [(int(start) / 1000, int(end) / 1000, text) for start, end, text in rows]


folder = Path(sys.argv[1])
documents = sorted(folder.glob("*.json"))
for document in documents:
    result = json.loads(document.read_text("utf-8"), parse_constant=refuse)
    segments = [(s["start"], s["end"], s["text"]) for s in result["segments"]]
    said = [segment for segment in segments if segment[2].strip()]
    if words("".join(text for _, _, text in segments)) != words(result["text"]):
        wrong.append(f"{document.name}: the segments are not the text")

    path = document.with_suffix(".txt")
    lines = path.read_text("utf-8").splitlines()
    if words(" ".join(lines)) != words(" ".join(text for _, _, text in segments)):
        wrong.append(f"{path.name}: {lines}")

    path = document.with_suffix(".vtt")
    cues = webvtt.read(str(path)).captions
    check(path, [(seconds(c.start), seconds(c.end), c.text) for c in cues if c.text.strip()], said)

    path = document.with_suffix(".srt")
    cues = list(srt.parse(path.read_text("utf-8")))
    if [cue.index for cue in cues] != list(range(1, len(segments) + 1)):
        wrong.append(f"{path.name}: numbered {[cue.index for cue in cues]}")
    check(path, [(c.start.total_seconds(), c.end.total_seconds(), c.content) for c in cues], segments)

    path = document.with_suffix(".tsv")
    check(path, table(path, delimiter="\t", quoting=csv.QUOTE_NONE), segments)
    path = document.with_suffix(".csv")
    check(path, table(path), segments)

    path = document.with_suffix(".lrc")
    head, *lines = path.read_text("utf-8").splitlines()
    lyrics = [re.fullmatch(r"\[(\d{2,}):(\d\d\.\d\d)\](.*)", line).groups() for line in lines]
    check(path, [(int(m) * 60 + float(s), None, text) for m, s, text in lyrics], segments, 0.0106)

print(f"{len(documents)} transcripts read back")
if wrong or not documents:
    print("\n".join(wrong) or "no transcripts", file=sys.stderr)
    sys.exit(1)
