"""faster-whisper: Whisper on CTranslate2.

Arguments, for comparisons: `--compute-type float32` (int8 on a CPU, else float16), `--batch 8` (windows at once; their batches need
its voice detection, which cuts the recording).
"""
import argparse
import time
from importlib import metadata


class Runner:
    implementation = "faster-whisper"
    version = metadata.version("faster-whisper")
    components = {"ctranslate2": metadata.version("ctranslate2")}

    def __init__(self):
        import faster_whisper

        arguments = argparse.ArgumentParser()
        arguments.add_argument("--compute-type")
        arguments.add_argument("--batch", type=int)
        self.arguments = arguments.parse_args()
        self.library = faster_whisper

    def load(self, path, threads):
        import ctranslate2

        device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        compute_type = self.arguments.compute_type or ("int8" if device == "cpu" else "float16")
        self.model = self.library.WhisperModel(
            path, device=device, compute_type=compute_type, cpu_threads=threads, local_files_only=True
        )
        self.pipeline, self.options, differs = self.model, {}, []
        if self.arguments.batch:
            self.pipeline = self.library.BatchedInferencePipeline(self.model)
            self.options = {"batch_size": self.arguments.batch, "vad_filter": True}
            differs = [f"voice detection, then {self.arguments.batch} windows at once without timestamps"]
        return {"weights": self.model.model.compute_type, "device": device, "differs": differs}

    def transcribe(self, samples, language):
        began = time.perf_counter()
        segments, info = self.pipeline.transcribe(
            samples, language=language, beam_size=1, temperature=0.0, **{"vad_filter": False, **self.options}
        )
        texts, tokens, first = [], 0, None
        for segment in segments:
            first = first or time.perf_counter() - began
            texts.append(segment.text)
            tokens += len(segment.tokens)
        return {
            "text": "".join(texts),
            "language": info.language,
            "first_segment_seconds": first,
            "counts": {"tokens": tokens},
        }
