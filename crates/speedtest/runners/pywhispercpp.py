"""pywhispercpp: whisper.cpp in a Python package, as its wheel is built. Weights: a ggml file."""
from importlib import metadata
from pathlib import Path


class Runner:
    implementation = "pywhispercpp"
    version = metadata.version("pywhispercpp")
    components = {}

    def __init__(self):
        import _pywhispercpp
        import pywhispercpp.model

        self.library, self.core = pywhispercpp.model, _pywhispercpp
        if hasattr(_pywhispercpp, "whisper_version"):
            self.components = {"whisper.cpp": _pywhispercpp.whisper_version()}

    def load(self, path, threads):
        if not Path(path).is_file():  # a name would be downloaded
            raise FileNotFoundError(f"{path}: no such file")
        self.model = self.library.Model(
            path, n_threads=threads, print_progress=False, print_realtime=False, print_timestamps=False
        )
        return {}

    def transcribe(self, samples, language):
        segments = self.model.transcribe(
            samples, language=language or "auto", temperature=0.0, temperature_inc=0.0, greedy={"best_of": 1}
        )
        return {"text": " ".join(segment.text.strip() for segment in segments), "language": language}
