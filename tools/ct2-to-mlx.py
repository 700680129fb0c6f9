"""A Whisper from its CTranslate2 form into an MLX folder, dense (f16) or quantized: called by make-models.sh.

    ct2-to-mlx.py CTRANSLATE2-FOLDER OUT f16|BITS|BITSfit

BITS is what `mx.quantize` makes, whose codes reach from the least to the greatest number of a group. BITSfit has the same form;
its scales and biases are those with the least squared error.

The two forms hold the same float16 numbers and differ in three ways: CTranslate2 stacks the query, key and value matrices of
an attention (key and value in cross-attention), its convolutions are [out, in, kernel] where MLX has [out, kernel, in], and
it stores a bias of zeros for the keys, which Whisper does not have.
"""

import json
import struct
import sys
from pathlib import Path

import mlx.core as mx
import numpy as np

GROUP = 64


def main(folder: Path, out: Path, form: str) -> None:
    source = read_ctranslate2((folder / "model.bin").read_bytes())
    layers = dict(whisper_layers(source))
    heads = json.loads((folder / "config.json").read_text())["alignment_heads"]
    layers["alignment_heads"] = np.array(heads, dtype=np.int64)

    bits = None if form == "f16" else int(form.removesuffix("fit"))
    quantize = fitted if form.endswith("fit") else mx.quantize
    out.mkdir(parents=True, exist_ok=True)
    mx.save_safetensors(str(out / "weights.safetensors"), dict(encoded(layers, bits, quantize)))
    config = dimensions(source)
    if bits:
        config["quantization"] = {"group_size": GROUP, "bits": bits}
    config["model_type"] = "whisper"
    (out / "config.json").write_text(json.dumps(config, indent=4))


def read_ctranslate2(data: bytes) -> dict[str, np.ndarray]:
    """The tensors of a CTranslate2 `model.bin`, version 6.

    Strings carry their length and a final zero; a tensor is its name, rank, sizes, type, number of bytes, bytes.
    """
    at = 0

    def take(form: str) -> tuple:
        nonlocal at
        values = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return values

    def text() -> str:
        (length,) = take("H")
        return take(f"{length}s")[0].rstrip(b"\0").decode()

    (version,) = take("I")
    assert version == 6, f"model.bin: expected version 6, found {version}"
    text()  # the kind of model
    _revision, n_tensors = take("II")
    types = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
    tensors = {}
    for _ in range(n_tensors):
        name = text()
        (rank,) = take("B")
        shape = take(f"{rank}I")
        kind, n_bytes = take("BI")
        tensors[name] = np.frombuffer(take(f"{n_bytes}s")[0], types[kind]).reshape(shape)
    return tensors


def dimensions(source: dict[str, np.ndarray]) -> dict[str, int]:
    state, n_mels, _ = source["encoder/conv1/weight"].shape
    return {
        "n_mels": n_mels,
        "n_audio_ctx": 1500,
        "n_audio_state": state,
        "n_audio_head": int(source["encoder/num_heads"]),
        "n_audio_layer": blocks(source, "encoder"),
        "n_vocab": source["decoder/embeddings/weight"].shape[0],
        "n_text_ctx": 448,
        "n_text_state": state,
        "n_text_head": int(source["decoder/num_heads"]),
        "n_text_layer": blocks(source, "decoder"),
    }


def whisper_layers(source: dict[str, np.ndarray]):
    """Every tensor under MLX's name, in the order of MLX's own module tree (the order of the file depends on it)."""

    def linear(name, at):
        yield f"{name}.weight", source[f"{at}/weight"]
        yield f"{name}.bias", source[f"{at}/bias"]

    def norm(name, at):
        yield f"{name}.weight", source[f"{at}/gamma"]
        yield f"{name}.bias", source[f"{at}/beta"]

    def stacked(name, at, parts):
        weights = np.split(source[f"{at}/weight"], len(parts))
        biases = np.split(source[f"{at}/bias"], len(parts))
        for part, weight, bias in zip(parts, weights, biases):
            yield f"{name}.{part}.weight", weight
            if part != "key":
                yield f"{name}.{part}.bias", bias
            else:
                assert not bias.any(), f"{at}: Whisper's keys have no bias"

    def block(name, at):
        yield from stacked(f"{name}.attn", f"{at}/self_attention/linear_0", ["query", "key", "value"])
        yield from linear(f"{name}.attn.out", f"{at}/self_attention/linear_1")
        yield from norm(f"{name}.attn_ln", f"{at}/self_attention/layer_norm")
        if f"{at}/attention/linear_0/weight" in source:
            yield from linear(f"{name}.cross_attn.query", f"{at}/attention/linear_0")
            yield from stacked(f"{name}.cross_attn", f"{at}/attention/linear_1", ["key", "value"])
            yield from linear(f"{name}.cross_attn.out", f"{at}/attention/linear_2")
            yield from norm(f"{name}.cross_attn_ln", f"{at}/attention/layer_norm")
        yield from linear(f"{name}.mlp1", f"{at}/ffn/linear_0")
        yield from linear(f"{name}.mlp2", f"{at}/ffn/linear_1")
        yield from norm(f"{name}.mlp_ln", f"{at}/ffn/layer_norm")

    for conv in ["conv1", "conv2"]:
        yield f"encoder.{conv}.weight", source[f"encoder/{conv}/weight"].transpose(0, 2, 1)
        yield f"encoder.{conv}.bias", source[f"encoder/{conv}/bias"]
    for i in range(blocks(source, "encoder")):
        yield from block(f"encoder.blocks.{i}", f"encoder/layer_{i}")
    yield from norm("encoder.ln_post", "encoder/layer_norm")

    yield "decoder.token_embedding.weight", source["decoder/embeddings/weight"]
    yield "decoder.positional_embedding", source["decoder/position_encodings/encodings"]
    for i in range(blocks(source, "decoder")):
        yield from block(f"decoder.blocks.{i}", f"decoder/layer_{i}")
    yield from norm("decoder.ln", "decoder/layer_norm")


def blocks(source: dict[str, np.ndarray], side: str) -> int:
    return len({name.split("/")[1] for name in source if name.startswith(f"{side}/layer_") and "/ffn/" in name})


def encoded(layers: dict[str, np.ndarray], bits: int | None, quantize):
    """What MLX quantizes are the matrices of linear and embedding layers; each scales and biases pair follows its codes."""
    for name, array in layers.items():
        value = mx.array(np.ascontiguousarray(array))
        if bits and name.endswith(".weight") and array.ndim == 2:
            codes, scales, biases = quantize(value, group_size=GROUP, bits=bits)
            yield name, codes
            yield name.removesuffix("weight") + "scales", scales
            yield name.removesuffix("weight") + "biases", biases
        else:
            yield name, value


def fitted(weights: mx.array, group_size: int, bits: int) -> tuple[mx.array, mx.array, mx.array]:
    """As `mx.quantize`: codes, scales and biases."""
    rows, columns = weights.shape
    groups = np.array(weights).reshape(-1, group_size).astype(np.float64)
    parts = [fit(groups[at : at + 4096], bits) for at in range(0, len(groups), 4096)]  # what fits into the cache
    codes, scales, biases = (np.concatenate(part) for part in zip(*parts))
    # Little-endian: the first code has the lowest bits, 32 codes fill whole words.
    stream = np.unpackbits(codes.astype(np.uint8)[..., None], axis=-1, count=bits, bitorder="little")
    words = np.packbits(stream.reshape(rows, -1), axis=-1, bitorder="little").view(np.uint32)
    per_row = (rows, columns // group_size)
    return mx.array(words), mx.array(scales.reshape(per_row)), mx.array(biases.reshape(per_row))


def fit(groups: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes, scales and biases (float16) of groups, [n, size] in float64.

    From each of many ranges around the middle of a group, the nearest codes and the straight line through them are found in
    turns (Lloyd's way, which ends in a near minimum); the best is kept. In float64, so that no machine rounds otherwise.
    """
    most = 2**bits - 1
    low, high = groups.min(1, keepdims=True), groups.max(1, keepdims=True)
    mean = groups.mean(1, keepdims=True)
    best, least = None, None
    for share in np.linspace(0.7, 1.05, 36):
        scale = np.maximum(share * (high - low) / most, 1e-7)
        bias = (low + high) / 2 - scale * most / 2
        for _ in range(8):
            codes = nearest(groups, scale, bias, most)
            centre = codes.mean(1, keepdims=True)
            spread = ((codes - centre) ** 2).sum(1, keepdims=True)
            slope = ((codes - centre) * groups).sum(1, keepdims=True) / np.maximum(spread, 1e-9)
            scale = np.where(slope > 1e-7, slope, scale)
            bias = mean - scale * centre
        scale, bias = scale.astype(np.float16), bias.astype(np.float16)
        found = nearest(groups, scale.astype(np.float64), bias.astype(np.float64), most), scale, bias
        error = ((found[0] * scale.astype(np.float64) + bias - groups) ** 2).sum(1, keepdims=True)
        if best is None:
            best, least = found, error
        else:
            best = tuple(np.where(error < least, new, old) for new, old in zip(found, best))
            least = np.minimum(error, least)
    return best


def nearest(groups: np.ndarray, scale: np.ndarray, bias: np.ndarray, most: int) -> np.ndarray:
    return np.clip(np.rint((groups - bias) / scale), 0, most)


main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
