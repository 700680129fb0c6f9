"""Golden files of the writers: crates/speedtest/tests/output/NAME.json as mlx_whisper 0.4.3 writes it in all its forms.

    python -m pip download --no-deps --dest WHEEL mlx-whisper==0.4.3
    python tools/golden/make_output.py WHEEL/mlx_whisper-0.4.3-*.whl

The json files are the input, too, and come out spelled as Python spells them. `speech` is two public-domain recordings, as
mlx_whisper heard them; `awkward` is made by hand.
"""

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
