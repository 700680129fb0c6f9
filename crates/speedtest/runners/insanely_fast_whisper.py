"""insanely-fast-whisper: Whisper in Transformers, chunks of a recording in batches, as its program does it.

Weights: a folder of Transformers.
"""
from importlib import metadata
from pathlib import Path

BATCH = 24  # its default


class Runner:
    implementation = "insanely-fast-whisper"
    version = metadata.version("insanely-fast-whisper")
    components = {name: metadata.version(name) for name in ["torch", "transformers"]}

    def __init__(self):
        import torch
        import transformers

        self.torch, self.transformers = torch, transformers

    def load(self, path, threads):
        if not Path(path).is_dir():  # a name would be downloaded
            raise FileNotFoundError(f"{path}: no such folder")
        device = "cuda:0" if self.torch.cuda.is_available() else "mps"
        self.pipe = self.transformers.pipeline(
            "automatic-speech-recognition",
            model=path,
            dtype=self.torch.float16,
            device=device,
            model_kwargs={"attn_implementation": "sdpa"},
        )
        self.multilingual = self.pipe.model.generation_config.is_multilingual
        differs = [f"chunks of 30 s that overlap, {BATCH} at once"]
        return {"device": device, "weights": "float16", "differs": differs}

    def transcribe(self, samples, language):
        options = {"num_beams": 1, "do_sample": False}
        if self.multilingual:
            options |= {"task": "transcribe", "language": language}
        result = self.pipe(
            {"raw": samples, "sampling_rate": 16000},
            chunk_length_s=30,
            batch_size=BATCH,
            generate_kwargs=options,
            return_timestamps=True,
        )
        return {"text": result["text"], "language": language}
