"""Known values for the statistics of the speed test, from numpy and scipy.

    python3 -m venv v && v/bin/pip install numpy==2.4.6 scipy==1.17.1
    v/bin/python tools/golden/make_statistics.py > crates/speedtest/tests/stats/known.json
"""

import json
import sys
from math import comb

import numpy as np
from scipy import stats

rng = np.random.default_rng(7)
SAMPLES = {
    "one": [0.25],
    "two": [1.5, 0.5],
    "equal": [2.0] * 9,
    "ten": [1.02, 0.98, 1.01, 1.00, 0.99, 1.03, 1.00, 0.97, 1.05, 1.60],
    "normal": rng.normal(1.0, 0.05, 31).tolist(),
    "skewed": rng.lognormal(-1.0, 0.6, 25).tolist(),
    "even": rng.normal(0.3, 0.01, 40).tolist(),
    "wide": [1e-6, 1e3, 3.0, 2.0, 5.0, 8.0, 13.0],
}


def median_interval(sample):
    """The 95 % percentile interval of the bootstrap distribution of the median, not sampled but exact (n odd):
    the k-th value is the median of a resample where at most half of the draws lie above it."""
    n, half = len(sample), len(sample) // 2 + 1
    values = sorted(sample)

    def below(k):  # P(median of the resample <= values[k])
        p = (k + 1) / n
        return sum(comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(half, n + 1))

    low = next(k for k in range(n) if below(k) >= 0.025)
    high = next(k for k in range(n) if below(k) >= 0.975 - 1e-12)
    return [values[low], values[high]]


def known(sample):
    x = np.array(sample)
    mad = stats.median_abs_deviation(x)
    result = {
        "samples": sample,
        "min": x.min(),
        "max": x.max(),
        "median": np.median(x),
        "mean": x.mean(),
        "sigma": x.std(ddof=1) if len(x) > 1 else None,
        "mad": mad,
        "p95": np.percentile(x, 95),
        # Iglewicz and Hoaglin, as scipy has the constant
        "z": ((x - np.median(x)) * stats.norm.ppf(0.75) / mad).tolist() if mad > 0 else None,
    }
    if len(x) % 2 == 1 and len(x) > 8:
        result["interval"] = median_interval(sample)
    if len(x) > 8 and mad > 0:
        # many resamples: the ends of the interval, for a comparison within some error
        again = stats.bootstrap((x,), np.median, n_resamples=200_000, method="percentile", rng=1)
        result["sampled_interval"] = list(again.confidence_interval)
    return result


def ratio(a, b):
    """How often b goes into a, by medians, and the 95 % percentile interval of the bootstrap."""
    x, y = np.array(SAMPLES[a]), np.array(SAMPLES[b])
    again = stats.bootstrap(
        (x, y),
        lambda x, y, axis: np.median(x, axis=axis) / np.median(y, axis=axis),
        n_resamples=200_000,
        method="percentile",
        rng=1,
    )
    return {"of": a, "to": b, "ratio": np.median(x) / np.median(y), "interval": list(again.confidence_interval)}


document = {
    "samples": {name: known(sample) for name, sample in SAMPLES.items()},
    "ratios": [ratio("normal", "even"), ratio("skewed", "normal"), ratio("ten", "normal")],
}
json.dump(document, sys.stdout, indent=1)
print()
