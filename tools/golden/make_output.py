"""Golden files of the writers: crates/speedtest/tests/output/NAME.json as mlx_whisper 0.4.3 writes it in all its forms.

    python -m pip download --no-deps --dest WHEEL mlx-whisper==0.4.3
    python tools/golden/make_output.py WHEEL/mlx_whisper-0.4.3-*.whl [../shared/golden/transcripts]

The json files are the input, too, and come out spelled as Python spells them. `speech` is two public-domain recordings, as
mlx_whisper heard them; `awkward` is made by hand. Of a folder of transcripts (MODEL.jsonl) only sums are kept, in
transcripts.sha256: model, form, SHA-256 of what is written of all recordings, one after the other. Transcripts with words
(NAME.words.json, MODEL.words.jsonl) are written as subtitles in each of LAYOUTS, too: NAME.LAYOUT.srt.
"""

import hashlib
import io
import json
import sys
import zipfile
from pathlib import Path
from types import ModuleType

folder = Path(__file__).parents[2] / "crates" / "speedtest" / "tests" / "output"
writers = ModuleType("writers")  # alone: the package itself would import MLX
exec(zipfile.ZipFile(sys.argv[1]).read("mlx_whisper/writers.py"), writers.__dict__)

LAYOUTS = {
    "words": {},
    "highlighted": {"highlight_words": True},
    "wide": {"max_line_width": 42, "max_line_count": 2},
    "narrow": {"max_line_width": 12},
    "lines": {"max_line_count": 1},
    "few": {"max_words_per_line": 3},
    "wide_highlighted": {"max_line_width": 30, "max_line_count": 1, "highlight_words": True},
}


def written(extension, result, layout={}):
    text = io.StringIO()
    writers.get_writer(extension, str(folder)).write_result(result, file=text, **layout)
    return text.getvalue()


for path in sorted(folder.glob("*.json")):
    result = json.loads(path.read_text("utf-8"))
    name, words = path.stem.removesuffix(".words"), path.stem.endswith(".words")
    for extension in ["txt", "vtt", "srt", "tsv", "json"]:
        if not words:
            (folder / f"{name}.{extension}").write_text(written(extension, result), "utf-8")
    for layout in LAYOUTS if words else []:
        for extension in ["vtt", "srt"]:
            (folder / f"{name}.{layout}.{extension}").write_text(written(extension, result, LAYOUTS[layout]), "utf-8")
    print(path.stem)

if len(sys.argv) > 2:
    sums = []

    def add(name, extension, results, layout={}):
        text = "".join(written(extension, result, layout) for result in results)
        sums.append(f"{name} {extension} {hashlib.sha256(text.encode()).hexdigest()}\n")

    for path in sorted(Path(sys.argv[2]).glob("*.jsonl")):
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        results = [{key: line[key] for key in ["text", "segments", "language"]} for line in lines]
        if path.stem.endswith(".words"):
            add(path.stem, "json", results)
            for layout in LAYOUTS:
                for extension in ["vtt", "srt"]:
                    add(f"{path.stem} {layout}", extension, results, LAYOUTS[layout])
        else:
            for extension in ["txt", "vtt", "srt", "tsv", "json"]:
                add(path.stem, extension, results)
    (folder / "transcripts.sha256").write_text("".join(sums))
