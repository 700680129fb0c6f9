"""parakeet-mlx: NVIDIA's Parakeet on MLX, no Whisper at all. Weights: a folder with config.json and model.safetensors."""
from importlib import metadata
from pathlib import Path


class Runner:
    implementation = "parakeet-mlx"
    version = metadata.version("parakeet-mlx")
    components = {"mlx": metadata.version("mlx")}

    def __init__(self):
        import parakeet_mlx

        self.library = parakeet_mlx

    def load(self, path, threads):
        import mlx.core

        if not (Path(path) / "model.safetensors").is_file():  # a name would be downloaded
            raise FileNotFoundError(f"{path}: no model.safetensors")
        self.model = self.library.from_pretrained(path)
        mlx.core.eval(self.model.parameters())
        return {"device": "gpu", "weights": "bfloat16", "differs": ["another model: Parakeet"]}

    def transcribe(self, samples, language):
        import mlx.core
        from parakeet_mlx.audio import get_logmel

        mel = get_logmel(mlx.core.array(samples), self.model.preprocessor_config)
        return {"text": self.model.generate(mel)[0].text}
