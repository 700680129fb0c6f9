"""What a processor needs for a window at least."""


def floor(config: dict, flops: float, int8_ops: float) -> float:
    """Seconds of a window at the peaks (in billions): attention in bfloat16, which has twice the peak of float32, all else in
    integer dots. A product and a sum count as two."""
    d, frames = config["n_audio_state"], config["n_audio_ctx"]
    linear = config["n_audio_layer"] * 24 * d**2 * frames
    attention = config["n_audio_layer"] * 4 * frames**2 * d
    convolutions = 6 * config["n_mels"] * d * 2 * frames + 6 * d**2 * frames
    cross = config["n_text_layer"] * 4 * d**2 * frames
    return (linear + convolutions + cross) / (int8_ops * 1e9) + attention / (2 * flops * 1e9)
