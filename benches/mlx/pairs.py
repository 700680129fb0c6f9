#!/usr/bin/env python3
"""Our network on MLX beside mlx_whisper's, interleaved: times of one run differ by half from those of another, pairs do not.

    target/mlx/bin/python benches/mlx/pairs.py MODEL [PAIRS]

A pair is, of each: a window encoded, with the first step over it, then steps, each with its logits on the host and the likeliest
token. In float32, with OpenBLAS where it is needed. Prints medians and the ratio of each pair. Needs `tools/setup-mlx.sh`, the MLX
made ready by the tests of crates/mlx, and in that environment `pip install --no-deps mlx-whisper==0.4.3` and
`pip install numpy tiktoken huggingface-hub tqdm`.
"""
import ctypes
import json
import statistics
import subprocess
import sys
import time
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
THREADS = 2
STEPS = 40


def theirs(model_folder):
    """Answers as `examples/paces.rs` does."""
    packages = next(Path(sys.prefix).glob("lib/python*/site-packages"))
    avx512 = "avx512f" in Path("/proc/cpuinfo").read_text()  # the package's OpenBLAS needs it
    packaged = [packages / "cmeel.prefix/lib/libopenblas.so.0"] if avx512 else []
    for blas in [*packaged, "libopenblas.so.0"]:
        try:
            ctypes.CDLL(str(blas), mode=ctypes.RTLD_GLOBAL).openblas_set_num_threads(THREADS)
            break
        except OSError:
            continue
    import mlx.core as mx

    package = types.ModuleType("mlx_whisper")  # its own __init__ asks for numba and scipy, which its network does not need
    package.__path__ = [str(packages / "mlx_whisper")]
    sys.modules["mlx_whisper"] = package
    from mlx_whisper import whisper

    config = json.loads((Path(model_folder) / "config.json").read_text())
    config.pop("model_type", None)
    if config.pop("quantization", None):
        raise SystemExit("give a model that is not quantized")
    model = whisper.Whisper(whisper.ModelDimensions(**config), mx.float32)
    weights = {name: value.astype(mx.float32) for name, value in load(mx, Path(model_folder)).items()}
    model.load_weights(list(weights.items()), strict=False)
    mx.eval(model.parameters())
    mel = mx.sin(mx.arange(3000 * config["n_mels"]).astype(mx.float32) * 0.37).reshape(1, 3000, config["n_mels"])
    mx.eval(mel)
    print(json.dumps({"version": mx.__version__}), flush=True)
    for line in sys.stdin:
        what, n = line.split()
        features = model.encoder(mel)
        mx.eval(features)
        cache, seconds = None, []
        for i in range(int(n)):
            began = time.perf_counter()
            if what == "encode":
                features, cache = model.encoder(mel), None
            logits, cache, _ = model.decoder(mx.array([[i % 100]]), features, kv_cache=cache)
            mx.argmax(logits[0, -1]).item()
            seconds.append(time.perf_counter() - began)
        print(sorted(seconds)[len(seconds) // 2], flush=True)


def load(mx, folder):
    return mx.load(str(next(folder / name for name in ["weights.safetensors", "weights.npz"] if (folder / name).exists())))


class Child:
    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.about = json.loads(self.process.stdout.readline())

    def ask(self, request):
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def main(model, pairs=5):
    cache = ROOT / "target/mlx-cache/mlx"
    enabled = json.loads((cache / "enabled.json").read_text())
    ours = Child(
        ROOT / "target/debug/examples/paces", cache / enabled["shim"], enabled["installation"]["folder"], model, str(THREADS)
    )
    python = Child(sys.executable, __file__, "--theirs", model)
    print(f"MLX {ours.about['version']} and {python.about['version']}, {ours.about['device']}, {THREADS} threads, {pairs} pairs")
    for request, name in [("encode 1", "encode and first step"), (f"step {STEPS}", "step")]:
        rows = []
        for _ in range(int(pairs) + 1):
            rows.append((ours.ask(request), python.ask(request)))
        rows = rows[1:]  # the first pair warms up
        ratios = [a / b for a, b in rows]
        mine, its = (statistics.median(column) * 1000 for column in zip(*rows))
        print(
            f"{name}: ours {mine:.1f} ms, mlx_whisper {its:.1f} ms, median ratio {statistics.median(ratios):.3f} "
            f"({min(ratios):.3f} to {max(ratios):.3f})"
        )


if __name__ == "__main__":
    theirs(sys.argv[2]) if sys.argv[1:2] == ["--theirs"] else main(*sys.argv[1:])
