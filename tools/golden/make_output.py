"""Golden files of the writers: crates/speedtest/tests/output/NAME.json as mlx_whisper 0.4.3 writes it in all its forms.

    python -m pip download --no-deps --dest WHEEL mlx-whisper==0.4.3
    python tools/golden/make_output.py WHEEL/mlx_whisper-0.4.3-*.whl [../shared/golden/transcripts]

The json files are the input, too, and come out spelled as Python spells them. `speech` is two public-domain recordings, as
mlx_whisper heard them; `awkward` is made by hand. Of a folder of transcripts (MODEL.jsonl) only sums are kept, in
transcripts.sha256: model, form, SHA-256 of what is written of all recordings, one after the other.
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

for path in sorted(folder.glob("*.json")):
    result = json.loads(path.read_text("utf-8"))
    for extension in ["txt", "vtt", "srt", "tsv", "json"]:
        writers.get_writer(extension, str(folder))(result, path.stem)
    print(path.stem)

if len(sys.argv) > 2:
    sums = []
    for path in sorted(Path(sys.argv[2]).glob("*.jsonl")):
        if path.stem.endswith(".words"):
            continue
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        results = [{key: line[key] for key in ["text", "segments", "language"]} for line in lines]
        for extension in ["txt", "vtt", "srt", "tsv", "json"]:
            writer = writers.get_writer(extension, str(folder))
            digest = hashlib.sha256()
            for result in results:
                text = io.StringIO()
                writer.write_result(result, file=text)
                digest.update(text.getvalue().encode())
            sums.append(f"{path.stem} {extension} {digest.hexdigest()}\n")
    (folder / "transcripts.sha256").write_text("".join(sums))
