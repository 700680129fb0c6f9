"""openai-whisper: the original, on PyTorch. Weights: a .pt file."""
from importlib import metadata
from pathlib import Path


class Runner:
    implementation = "openai-whisper"
    version = metadata.version("openai-whisper")
    components = {"torch": metadata.version("torch")}

    def __init__(self):
        import torch
        import whisper

        self.torch, self.library = torch, whisper

    def load(self, path, threads):
        if not Path(path).is_file():  # a name would be downloaded
            raise FileNotFoundError(f"{path}: no such file")
        self.torch.set_num_threads(threads)
        self.device = "cuda" if self.torch.cuda.is_available() else "cpu"
        self.model = self.library.load_model(path, device=self.device)
        weights = "float32" if self.device == "cpu" else "float16"
        return {"device": self.device, "weights": weights}

    def transcribe(self, samples, language):
        result = self.library.transcribe(
            self.model, samples, language=language, temperature=0.0, fp16=self.device != "cpu", verbose=None
        )
        tokens = sum(len(segment["tokens"]) for segment in result["segments"])
        return {"text": result["text"], "language": result["language"], "counts": {"tokens": tokens}}
