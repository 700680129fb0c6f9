"""What mlx_whisper 0.4.3 hears in recordings, in float32 at temperature 0: golden transcripts, a line of JSON for each.

    python tools/golden/transcripts.py MODEL-FOLDER RECORDINGS OUT.jsonl [FILE...]      with FILEs: of these, with words

RECORDINGS is a folder with manifest.tsv; the shortest come first. Needs mlx-whisper==0.4.3, mlx==0.32.4 and ffmpeg, and OpenBLAS
(`LD_PRELOAD=libopenblas.so.0`): MLX's own matrix products take minutes a recording on processors. Quantized layers are
dequantized, which is exact in float32.
"""

import csv
import json
import math
import sys
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx_whisper
from mlx.utils import tree_map, tree_unflatten
from mlx_whisper.load_models import load_model
from mlx_whisper.transcribe import ModelHolder


def in_float32(folder: str):
    model = load_model(folder, dtype=mx.float32)
    model.update(tree_map(lambda a: a.astype(mx.float32) if mx.issubdtype(a.dtype, mx.floating) else a, model.parameters()))
    dense = []
    for name, layer in model.named_modules():
        if isinstance(layer, (nn.QuantizedLinear, nn.QuantizedEmbedding)):
            weight = mx.dequantize(layer.weight, layer.scales, layer.biases, layer.group_size, layer.bits)
            if isinstance(layer, nn.QuantizedEmbedding):
                dense.append((name, nn.Embedding(*weight.shape)))
            else:
                dense.append((name, nn.Linear(weight.shape[1], weight.shape[0], bias="bias" in layer)))
            dense[-1][1].update({"weight": weight} | ({"bias": layer.bias} if "bias" in layer else {}))
    model.update_modules(tree_unflatten(dense))
    mx.eval(model.parameters())
    return model


def plain(value):
    """As JSON can have it: numbers that are none become null."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    if isinstance(value, (str, int, type(None))):
        return value
    return float(value) if math.isfinite(value) else None


def main(model: str, recordings: str, out: str, *files: str) -> None:
    ModelHolder.model, ModelHolder.model_path = in_float32(model), model
    with open(Path(recordings, "manifest.tsv"), encoding="utf-8") as manifest:
        rows = sorted(csv.DictReader(manifest, delimiter="\t", quoting=csv.QUOTE_NONE), key=lambda row: float(row["seconds"]))
    with open(out, "w", encoding="utf-8") as lines:
        for row in rows:
            if files and row["file"] not in files:
                continue
            recording = str(Path(recordings, row["file"]))
            options = {"temperature": 0.0, "fp16": False, "verbose": None, "word_timestamps": bool(files)}
            result = mlx_whisper.transcribe(recording, path_or_hf_repo=model, **options)
            lines.write(json.dumps({"file": row["file"], **plain(result)}, ensure_ascii=False) + "\n")


main(*sys.argv[1:])
