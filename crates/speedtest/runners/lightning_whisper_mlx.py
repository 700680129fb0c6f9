"""lightning-whisper-mlx: Whisper on MLX, windows of a recording in batches. Weights: an MLX folder with weights.npz."""
from importlib import metadata
from pathlib import Path

BATCH = 12  # its default


class Runner:
    implementation = "lightning-whisper-mlx"
    version = metadata.version("lightning-whisper-mlx")
    components = {"mlx": metadata.version("mlx")}

    def __init__(self):
        from lightning_whisper_mlx import transcribe

        self.module = transcribe

    def load(self, path, threads):
        import mlx.core

        if not (Path(path) / "weights.npz").is_file():  # a name would be downloaded
            raise FileNotFoundError(f"{path}: no weights.npz")
        self.path = path
        model = self.module.ModelHolder.get_model(path, mlx.core.float16)
        mlx.core.eval(model.parameters())
        return {"device": "gpu", "differs": [f"{BATCH} windows at once, without the text before"]}

    def transcribe(self, samples, language):
        result = self.module.transcribe_audio(
            samples, path_or_hf_repo=self.path, language=language, temperature=0.0, batch_size=BATCH
        )
        return {"text": result["text"], "language": result.get("language")}
