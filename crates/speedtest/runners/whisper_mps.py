"""whisper-mps: Whisper on MLX, from OpenAI's weights. Weights: a file of OpenAI's with its name, as base.pt."""
from importlib import metadata
from pathlib import Path


class Runner:
    implementation = "whisper-mps"
    version = metadata.version("whisper-mps")
    components = {"mlx": metadata.version("mlx")}

    def __init__(self):
        from whisper_mps.whisper import load_models, transcribe

        self.models, self.module = load_models, transcribe

    def load(self, path, threads):
        import mlx.core

        file = Path(path)
        if not file.is_file():
            raise FileNotFoundError(f"{path}: no such file")
        # It knows names only, and downloads a file that is not what it expects.
        self.models._download = lambda url, folder: str(file)
        self.name, holder = file.stem, self.module.ModelHolder
        holder.model, holder.model_name = self.models.load_model(self.name, dtype=mlx.core.float16), self.name
        mlx.core.eval(holder.model.parameters())
        return {"device": "gpu", "weights": "float16"}

    def transcribe(self, samples, language):
        result = self.module.transcribe(samples, model=self.name, language=language, temperature=0.0, verbose=None)
        return {"text": result["text"], "language": result.get("language")}
