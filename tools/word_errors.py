"""Errors of a transcript by the rules of the Open ASR leaderboard: words of English and of most languages, characters of Japanese,
Korean and Chinese (folded to simplified). A script that imports this runs in an environment of its own, below target/accuracy."""

import csv
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ["jiwer==4.0.0", "whisper-normalizer==0.1.15", "zhconv==1.4.3"]

environment = ROOT / "target/accuracy/venv"
if Path(sys.prefix) != environment.resolve():
    python = environment / "bin/python"
    if not python.exists():
        venv.create(environment, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    sys.exit(subprocess.run([python, *sys.argv]).returncode)

import jiwer
import zhconv
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

english, basic, letters = EnglishTextNormalizer(), BasicTextNormalizer(), BasicTextNormalizer(split_letters=True)


def recordings(folder: Path) -> list[dict[str, str]]:
    """The rows of the manifest that count: file, language, seconds, reference."""
    with open(folder / "manifest.tsv", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if row["in_wer"] == "yes"]


def count(row: dict[str, str], text: str) -> tuple[int, int]:
    """Errors and words of what was heard in a recording."""
    language = row["language"]
    counted = jiwer.process_words(normalise(row["reference"], language), normalise(text, language))
    errors = counted.substitutions + counted.deletions + counted.insertions
    return errors, counted.hits + counted.substitutions + counted.deletions


def normalise(text: str, language: str) -> str:
    if language == "en":
        return english(text)
    if language == "zh":
        return letters(zhconv.convert(text, "zh-cn"))
    if language in ("ja", "ko"):
        return letters(text.replace(" ", ""))
    return basic(text)
