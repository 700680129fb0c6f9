#!/usr/bin/env python3
"""Checkpoints with the shapes of a Whisper and random weights, to measure models whose weights are not at hand.

    tools/make-synthetic-models.py OUT SIZE [--bits 4] [--bits 8]      SIZE is base, small, medium or large-v3-turbo

Of each width (by default both) two forms of the same weights are written:

    OUT/whisper-SIZE-8bit-synthetic          MLX, affine, groups of 64; or 4bit
    OUT/ggml-SIZE-synthetic-q8_0.bin         whisper.cpp; or q4_0

The same names give the same bytes. What is there already is left alone. Needs numpy, and less than 1 GB of memory.
"""

import argparse
import importlib
import json
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np

ggml = importlib.import_module("mlx-to-ggml")

# Width, heads, layers of the encoder and of the decoder, bands, tokens.
SIZES = {
    "base": (512, 8, 6, 6, 80, 51865),
    "small": (768, 12, 12, 12, 80, 51865),
    "medium": (1024, 16, 24, 24, 80, 51865),
    "large-v3-turbo": (1280, 20, 32, 4, 128, 51866),
}
GROUP = 64
N_TEXT = 50257  # tokens that are text; the end of it, languages and timestamps follow


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("size", choices=SIZES, metavar="SIZE")
    parser.add_argument("--bits", type=int, choices=[4, 8], action="append")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for bits in arguments.bits or [8, 4]:
        form = f"q{bits}_0"
        folder = arguments.out / f"whisper-{arguments.size}-{bits}bit-synthetic"
        file = arguments.out / f"ggml-{arguments.size}-synthetic-{form}.bin"
        if folder.exists() and file.exists():
            continue
        # Under other names until they are whole.
        parts = [path.with_name(path.name + ".part") for path in (folder, file)]
        write(arguments.size, bits, form, *parts)
        shutil.rmtree(folder, ignore_errors=True)
        for part, path in zip(parts, (folder, file)):
            part.replace(path)
            print(path)


def write(size: str, bits: int, form: str, folder: Path, file: Path) -> None:
    config = configuration(size, bits)
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=4))
    with (folder / "weights.safetensors").open("wb") as mlx, file.open("wb") as other:
        write_header(mlx, tensors(config), bits)
        ggml.write_head(other, config, form)
        for name, shape, is_matrix in tensors(config):
            random = np.random.default_rng([bits, zlib.crc32(f"{size} {name}".encode())])
            if is_matrix:
                packed, scales, biases = matrix(random, name, shape, bits)
                for array in (packed, scales, biases):
                    mlx.write(array.data)
                values = widened(packed, scales, biases, bits)
            else:
                values = plain(random, name, shape)
                mlx.write(values.data)
            ggml.write_tensor(other, name, values, form)


def configuration(size: str, bits: int) -> dict:
    width, heads, encoder, decoder, n_mels, n_vocab = SIZES[size]
    return {
        "n_mels": n_mels,
        "n_audio_ctx": 1500,
        "n_audio_state": width,
        "n_audio_head": heads,
        "n_audio_layer": encoder,
        "n_vocab": n_vocab,
        "n_text_ctx": 448,
        "n_text_state": width,
        "n_text_head": heads,
        "n_text_layer": decoder,
        "quantization": {"group_size": GROUP, "bits": bits},
        "model_type": "whisper",
    }


def tensors(config: dict):
    """Name, shape, and whether MLX quantizes it: the parts of a Whisper, as `crates/whisper/src/weights/inventory.rs` has them."""
    width = config["n_text_state"]

    def linear(path, n=width, k=width, bias=True):
        yield f"{path}.weight", (n, k), True
        if bias:
            yield f"{path}.bias", (n,), False

    def norm(path):
        yield f"{path}.weight", (width,), False
        yield f"{path}.bias", (width,), False

    def block(path, attentions):
        for attention in attentions:
            for projection in ["query", "key", "value", "out"]:
                yield from linear(f"{path}.{attention}.{projection}", bias=projection != "key")
            yield from norm(f"{path}.{attention}_ln")
        yield from linear(f"{path}.mlp1", n=4 * width)
        yield from linear(f"{path}.mlp2", k=4 * width)
        yield from norm(f"{path}.mlp_ln")

    for path, channels in [("encoder.conv1", config["n_mels"]), ("encoder.conv2", width)]:
        yield f"{path}.weight", (width, 3, channels), False
        yield f"{path}.bias", (width,), False
    for i in range(config["n_audio_layer"]):
        yield from block(f"encoder.blocks.{i}", ["attn"])
    yield from norm("encoder.ln_post")
    yield "decoder.token_embedding.weight", (config["n_vocab"], width), True
    yield "decoder.positional_embedding", (config["n_text_ctx"], width), False
    for i in range(config["n_text_layer"]):
        yield from block(f"decoder.blocks.{i}", ["attn", "cross_attn"])
    yield from norm("decoder.ln")


def matrix(random, name: str, shape: tuple[int, int], bits: int):
    """Codes as MLX packs them, scales and biases, such that an output is about as large as an input."""
    n, k = shape
    # Every byte is a code or a pair of them.
    packed = random.integers(0, 256, (n, k * bits // 8), np.uint8)
    largest = 2**bits - 1
    deviation = np.sqrt(((largest + 1) ** 2 - 1) / 12)
    scales = random.uniform(0.5, 1.5, (n, k // GROUP)) / (deviation * np.sqrt(k))
    biases = scales * (-largest / 2)
    if name == "decoder.token_embedding.weight":
        # With the 1 of `decoder.ln.bias` this takes 50 from the logit of all that is no text: no window ends early.
        biases[N_TEXT:] -= 50 / k
    return packed, scales.astype("<f2"), biases.astype("<f2")


def widened(packed: np.ndarray, scales: np.ndarray, biases: np.ndarray, bits: int) -> np.ndarray:
    """The weights themselves."""
    codes = packed if bits == 8 else np.stack([packed & 15, packed >> 4], axis=-1)
    values = codes.reshape(*scales.shape, GROUP) * scales.astype(np.float32)[:, :, None]
    values += biases.astype(np.float32)[:, :, None]
    return values.reshape(len(packed), -1)


def plain(random, name: str, shape: tuple) -> np.ndarray:
    if name == "decoder.ln.bias":
        values = np.ones(shape)
    elif "ln" in name and name.endswith("weight"):
        values = random.normal(1, 0.02, shape)
    elif "conv" in name and name.endswith("weight"):
        values = random.normal(0, 1 / np.sqrt(shape[1] * shape[2]), shape)
    else:
        values = random.normal(0, 0.02, shape)
    return values.astype("<f2")


def write_header(file, parts, bits: int) -> None:
    """The head of a safetensors file whose tensors follow in this order, as they are drawn."""
    header, at = {"__metadata__": {"format": "mlx"}}, 0
    for name, shape, is_matrix in parts:
        stored = [(name, "F16", shape)]
        if is_matrix:
            n, k = shape
            path = name.removesuffix("weight")
            stored = [(name, "U32", (n, k * bits // 32)), *((path + part, "F16", (n, k // GROUP)) for part in ["scales", "biases"])]
        for name, kind, shape in stored:
            end = at + int(np.prod(shape)) * {"F16": 2, "U32": 4}[kind]
            header[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, end]}
            at = end
    text = json.dumps(header).encode()
    file.write(struct.pack("<Q", len(text)) + text)


main()
