"""A dense MLX folder as a file of whisper.cpp: called by make-models.sh, and by make-synthetic-models.py in parts.

    mlx-to-ggml.py MLX-FOLDER f16|q8_0|q4_0 OUT.bin

The layout is that of whisper.cpp's `models/convert-pt-to-ggml.py`, the quantization that of its `whisper-quantize`, whose files
these are byte for byte.
"""

import base64
import json
import struct
import sys
from pathlib import Path

import numpy as np

ASSETS = Path(__file__).resolve().parent.parent / "crates/whisper/assets"
F32, F16 = 0, 1
# Type of a tensor and, with the version of the encoding in thousands, of the file.
QUANTIZED = {"q4_0": (2, 2002), "q8_0": (8, 2007)}


def main(folder: Path, form: str, out: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert "quantization" not in config, f"{folder}: expected a dense checkpoint"
    with out.open("wb") as file:
        write_head(file, config, form)
        for name, array in read_safetensors(folder / "weights.safetensors").items():
            if name != "alignment_heads":
                write_tensor(file, name, array, form)


def write_head(file, config: dict, form: str) -> None:
    """All that comes before the tensors of the checkpoint: sizes, filters, words, the encoder's positions."""
    names = ["n_vocab", "n_audio_ctx", "n_audio_state", "n_audio_head", "n_audio_layer"]
    names += ["n_text_ctx", "n_text_state", "n_text_head", "n_text_layer", "n_mels"]
    _, file_kind = QUANTIZED.get(form, (F16, F16))
    file.write(struct.pack("<12i", 0x67676D6C, *(config[name] for name in names), file_kind))
    filters = mel_filters(config["n_mels"])
    file.write(struct.pack("<2i", *filters.shape) + filters.astype("<f4").tobytes())
    words = vocabulary(config["n_vocab"])
    file.write(struct.pack("<i", len(words)))
    for word in words:
        file.write(struct.pack("<i", len(word)) + word)
    write_tensor(file, "encoder.positional_embedding", sinusoids(config["n_audio_ctx"], config["n_audio_state"]), form)


def write_tensor(file, name: str, array: np.ndarray, form: str) -> None:
    """A tensor of MLX, under OpenAI's name and in its shape."""
    name = name.replace(".mlp1.", ".mlp.0.").replace(".mlp2.", ".mlp.2.")
    if name.startswith("encoder.conv"):
        array = array.transpose(0, 2, 1) if name.endswith("weight") else array[:, None]
    # Vectors, biases of convolutions [n, 1] and positions stay in float32, kernels [out, in, 3] in float16.
    small = array.ndim < 2 or array.shape[-1] == 1 or name.endswith("positional_embedding")
    if small:
        kind, data = F32, [array.astype("<f4").tobytes()]
    elif form in QUANTIZED and array.ndim == 2:
        # In parts: what it needs on the way is several times the matrix.
        parts = (array[at : at + 4096] for at in range(0, len(array), 4096))
        kind, data = QUANTIZED[form][0], (quantize(form, part.astype(np.float32)) for part in parts)
    else:
        kind, data = F16, [array.astype("<f2").tobytes()]
    file.write(struct.pack("<3i", array.ndim, len(name), kind))
    file.write(struct.pack(f"<{array.ndim}i", *reversed(array.shape)) + name.encode())
    file.writelines(data)


def quantize(form: str, array: np.ndarray) -> bytes:
    """Blocks of 32 numbers: a float16 scale, then codes."""
    blocks = array.reshape(-1, 32)
    largest = blocks[np.arange(len(blocks)), np.abs(blocks).argmax(axis=1)]
    scales = np.abs(largest) / np.float32(127) if form == "q8_0" else largest / np.float32(-8)
    inverse = np.divide(np.float32(1), scales, out=np.zeros_like(scales), where=scales != 0)
    scaled = blocks * inverse[:, None]
    if form == "q8_0":
        # Halves are rounded away from zero, as by C.
        codes = np.trunc(scaled + np.copysign(np.float32(0.5), scaled)).astype(np.int8).view(np.uint8)
    else:
        codes = np.minimum((scaled + np.float32(8.5)).astype(np.uint8), 15)
        codes = codes[:, :16] | codes[:, 16:] << 4
    return np.hstack([scales.astype("<f2")[:, None].view(np.uint8), codes]).tobytes()


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    types = {"F16": "<f2", "F32": "<f4", "I64": "<i8"}
    tensors = {}
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        count, offset = int(np.prod(entry["shape"])), 8 + length + entry["data_offsets"][0]
        tensors[name] = np.frombuffer(data, types[entry["dtype"]], count, offset).reshape(entry["shape"])
    return tensors


def sinusoids(length: int, channels: int) -> np.ndarray:
    step = np.log(10000) / (channels // 2 - 1)
    angles = np.arange(length)[:, None] * np.exp(-step * np.arange(channels // 2))[None]
    return np.hstack([np.sin(angles), np.cos(angles)])


def mel_filters(n_mels: int) -> np.ndarray:
    """Triangles of equal area on Slaney's scale, `[n_mels, 201]`: linear to 1 kHz, then logarithmic."""

    def hertz(mel):
        return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))

    top = 15 + 27 * np.log(8) / np.log(6.4)  # 8 kHz
    corners = hertz(np.linspace(0, top, n_mels + 2))
    bins = np.linspace(0, 8000, 201)
    rising = (bins - corners[:-2, None]) / np.diff(corners)[:-1, None]
    falling = (corners[2:, None] - bins) / np.diff(corners)[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return triangles * (2 / (corners[2:] - corners[:-2]))[:, None]


def vocabulary(n_vocab: int) -> list[bytes]:
    name = "multilingual" if n_vocab >= 51865 else "gpt2"
    lines = (ASSETS / f"{name}.tiktoken").read_text().splitlines()
    return [base64.b64decode(line.split()[0]) for line in lines if line]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
