"""mlx_whisper: Whisper on MLX, Apple's array framework.

On a CPU, MLX multiplies matrices by a BLAS that is slow as packaged; OpenBLAS, opened first, takes its place.
"""
import ctypes
import ctypes.util
import platform
import sys
from importlib import metadata
from pathlib import Path


def open_blas():
    """OpenBLAS of the environment or the system, its functions before all others'."""
    packaged = [Path(folder) / "cmeel.prefix/lib/libopenblas.so.0" for folder in sys.path]
    if platform.machine() == "x86_64" and "avx512bw" not in Path("/proc/cpuinfo").read_text():
        packaged = []  # it is made for AVX-512 alone, and would end the process
    for candidate in [*(str(path) for path in packaged if path.is_file()), ctypes.util.find_library("openblas")]:
        if candidate:
            try:
                return ctypes.CDLL(candidate, mode=ctypes.RTLD_GLOBAL)
            except OSError:
                pass
    return None


class Runner:
    implementation = "mlx-whisper"
    version = metadata.version("mlx-whisper")
    components = {"mlx": metadata.version("mlx")}

    def __init__(self):
        self.blas = open_blas() if sys.platform == "linux" else None
        import mlx.core
        import mlx_whisper

        self.core, self.library = mlx.core, mlx_whisper
        self.on_cpu = mlx.core.default_device() == mlx.core.Device(mlx.core.cpu)
        if self.blas:
            self.blas.openblas_get_config.restype = ctypes.c_char_p
            config = self.blas.openblas_get_config().decode().split()
            self.components = {**self.components, "openblas": config[1]}

    def load(self, path, threads):
        from mlx_whisper.transcribe import ModelHolder

        if self.blas:
            self.blas.openblas_set_num_threads(threads)
        # The object that `transcribe` takes, which would else load the model in its first run.
        dtype = self.core.float32 if self.on_cpu else self.core.float16
        model = ModelHolder.get_model(path, dtype)
        self.core.eval(model.parameters())
        self.path = path
        reply = {"device": "cpu" if self.on_cpu else "gpu", "weights": weights(path), "differs": []}
        if self.on_cpu:
            reply["handicap"] = "MLX is made for GPUs; this is its CPU path"
            if not self.blas:
                reply["differs"].append("no OpenBLAS: matrices are multiplied slowly")
        return reply

    def transcribe(self, samples, language):
        result = self.library.transcribe(
            samples, path_or_hf_repo=self.path, language=language, temperature=0.0, fp16=not self.on_cpu, verbose=None
        )
        tokens = sum(len(segment["tokens"]) for segment in result["segments"])
        return {"text": result["text"], "language": result["language"], "counts": {"tokens": tokens}}


def weights(path):
    import json

    quantization = json.loads((Path(path) / "config.json").read_text()).get("quantization")
    if quantization:
        return f"affine {quantization['bits']} bits, groups of {quantization['group_size']}"
    return "dense"
