# The protocol of docs/protocol.md: the end of every runner in this folder. The program joins it to the class `Runner`, which says
# `implementation`, `version` and `components`, loads a model and transcribes samples.
import json
import sys
import time


def serve(requests, replies):
    import numpy

    runner, audio = None, {}
    for line in requests:
        request = json.loads(line)
        kind = request["request"]
        if kind == "bye":
            return
        try:
            if kind == "hello":
                runner = Runner()
                reply = {
                    "protocol": 1,
                    "implementation": runner.implementation,
                    "version": runner.version,
                    "components": runner.components,
                }
            elif kind == "audio":
                samples = numpy.fromfile(request["path"], dtype="<f4")
                if len(samples) != request["samples"]:
                    raise ValueError(f"expected {request['samples']} samples, found {len(samples)}")
                audio[request["audio"]] = (samples, request["language"])
                reply = {"audio": request["audio"]}
            elif kind == "load":
                if request["path"] is None:
                    raise ValueError(f"{request['model']}: weights on disk are needed")
                began = time.perf_counter()
                reply = runner.load(request["path"], request["threads"])
                reply["seconds"] = time.perf_counter() - began
            elif kind == "transcribe":
                samples, language = audio[request["audio"]]
                began = time.perf_counter()
                reply = runner.transcribe(samples, language)
                reply["seconds"] = time.perf_counter() - began
                reply["text"] = reply["text"].strip()
                reply["audio"] = request["audio"]
            else:
                raise ValueError(f"unknown request {kind}")
            reply["reply"] = kind
        except Exception as error:
            reply = {"reply": "error", "message": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    import os

    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no reply
    os.environ["HF_HUB_OFFLINE"] = "1"  # nothing is downloaded
    serve(sys.stdin, replies)
