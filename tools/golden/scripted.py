"""What mlx_whisper makes of scripted networks, for the tests of `whisper::transcribe`: one line a recording.

    pip install mlx-whisper==0.4.3
    python tools/golden/scripted.py > crates/whisper/tests/golden/scripted.jsonl
    python tools/golden/scripted.py words > crates/whisper/tests/golden/scripted_words.jsonl

The networks are those of `ScriptedModel::erratic`: logits by chance from a seed, made to hit every rule. Recordings
that mlx_whisper would read for ever are left out, and with `words` those whose text it cannot cut into words. Options: temperature 0, float32, those in `options`.
"""
import json, math, sys, types
import mlx.core as mx
import mlx_whisper
import numpy as np
from mlx_whisper import decoding

transcribe = sys.modules["mlx_whisper.transcribe"]

EOT, SOT, PREV, NO_SPEECH, BEGIN, N_VOCAB = 50256, 50257, 50360, 50361, 50363, 51864
MASK = (1 << 64) - 1
WORDS = sys.argv[1:] == ["words"]
FIRST_TEXT = 300 if WORDS else 200  # below are bytes, which mlx_whisper's cutting into words stumbles over


def mix(*parts):
    """SplitMix64 of several numbers."""
    z = 0
    for part in parts:
        z = (z + part + 0x9E3779B97F4A7C15) & MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        z ^= z >> 31
    return z


def row(seed, window, sampled):
    out = np.full(N_VOCAB, -20.0, np.float32)
    text_is_due = bool(sampled) and sampled[-1] >= BEGIN and (len(sampled) == 1 or sampled[-2] >= BEGIN)
    last = next((t for t in reversed(sampled) if t >= BEGIN), BEGIN)
    for i in range(6):
        r = mix(seed, window, len(sampled), i)
        kind, pick, logit = r % 16, (r >> 8) & 0xFFFF, ((r >> 40) % 64) * 0.25 + i / 32  # no ties
        if kind < 8:
            token = FIRST_TEXT + pick % 3000
            logit += 10.0 * (text_is_due and seed % 3 > 0)
        elif kind < 12: token = min(last + pick % 120, BEGIN + 1500)
        elif kind == 12: token = BEGIN + pick % 1501
        elif kind == 13: token = BEGIN + (pick % 5 == 0)
        elif kind == 14: token = EOT if len(sampled) > 3 + seed % 3 * 15 else 300
        else: token = [50362, 50290, 220, 50290][pick % 4]
        out[token] = max(out[token], logit)
    if not sampled:
        out[NO_SPEECH] = (mix(seed, window) % 64) * 0.25 + 4.0
    return out


def scores(seed, window, tokens):
    """Where two heads look while they read: at each token a while, now and then for long or not at all, with some noise."""
    head, token, frame = np.ogrid[:2, : len(tokens), :1500]
    out = (token * 7919 + frame * 104729 + head * 1299709) % 1009 / 1009
    begin = mix(seed, window, 1) % 4 * 40
    for i in range(1, len(tokens)):
        r = mix(seed, window, i, 2)
        length = [1, 2, 90, 140][r // 16 % 4] if r % 16 == 0 else 4 + r // 16 % 24
        out[:, i - 1, begin : begin + length] += 9
        begin += length
    return out.astype(np.float32)


def read(seed, window, tokens):
    """Logits under which each token is more or less probable than another."""
    out = np.full((len(tokens), N_VOCAB), -40.0, np.float32)
    out[:, 299] = 0
    for i, token in enumerate(tokens[1:]):
        out[i, token] = -4.0 + mix(seed, window, i, 3) % 64 * (0.25 if mix(seed, window, 4) % 3 else 0.0625)
    return out


class Model:
    is_multilingual, num_languages = False, 99
    dims = types.SimpleNamespace(n_mels=80, n_audio_ctx=1500, n_audio_state=8, n_text_ctx=448, n_vocab=N_VOCAB)

    def __init__(self, seed):
        self.seed, self.window, self.prompts = seed, -1, []

    def encoder(self, mel):
        self.window += 1
        if self.window > 60: raise RecursionError
        return mx.zeros((1, 1500, 8))

    def decoder(self, tokens, features, kv_cache=None):
        new = tokens.tolist()[0]
        context = (kv_cache or []) + new
        if kv_cache is None:
            self.prompts.append(context)
        at_sot = len(context) - 1 - context[::-1].index(SOT)
        rows = [row(self.seed, self.window, context[at_sot + 1 : len(context) - len(new) + i + 1])
                if len(context) - len(new) + i >= at_sot else np.zeros(N_VOCAB, np.float32) for i in range(len(new))]
        return mx.array(np.stack(rows)[None]), context, None

    alignment_heads = mx.array([[0, 0], [1, 0]])

    def forward_with_cross_qk(self, mel, tokens):
        tokens = tokens.tolist()[0]
        return mx.array(read(self.seed, self.window, tokens)[None]), list(mx.array(scores(self.seed, self.window, tokens)[:, None, None]))

    def decode(self, mel, options):
        return decoding.decode(self, mel, options)


def clean(x):
    return None if isinstance(x, float) and not math.isfinite(x) else x


for seed in range(40):
    model = Model(seed)
    transcribe.ModelHolder.get_model = classmethod(lambda cls, *_: model)
    seconds = 5 + mix(seed, 99) % (70 if seed % 8 or WORDS else 250)
    options = [{}, {"condition_on_previous_text": False}, {"initial_prompt": "Glossary: mel, sot"}, {"clip_timestamps": [0, 12, 30, 41]},
               {"suppress_blank": False}, {"no_speech_threshold": None}, {"max_initial_timestamp": 0}, {"without_timestamps": True},
               {"sample_len": 17}, {"suppress_tokens": ""}][seed % 10]
    if WORDS:
        options["word_timestamps"] = True
        if seed % 4: options["hallucination_silence_threshold"] = [0.5, 2.0, 0.0][seed % 3]
    try:
        result = transcribe.transcribe(np.zeros(seconds * 16000, np.float32), fp16=False, language="en", temperature=0.0, **options)
    except (RecursionError, IndexError) as problem:
        print(f"seed {seed}: {type(problem).__name__}", file=sys.stderr)
        continue
    if WORDS and "\ufffd" in result["text"]: continue
    keys = "seek start end text tokens avg_logprob compression_ratio no_speech_prob".split() + ["words"] * WORDS
    segments = [{k: clean(s[k]) for k in keys} for s in result["segments"]]
    print(json.dumps({"seed": seed, "seconds": seconds, "options": options, "prompts": model.prompts, "text": result["text"],
                      "segments": segments}, ensure_ascii=False, separators=(",", ":")))
