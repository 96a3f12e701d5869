"""Daily bars of a random walk as text, and tables of them compared bit by bit."""

from typing import Any

import numpy as np
import pyarrow as pa

from streams.spark.cleaning import BARS, Rule

HEADER = "Date,Open,High,Low,Close,Volume\n"
KEEP, CLIP = Rule(), Rule(outliers="clip")


def walk(rows: int, seed: int = 0, **changed: dict[int, float]) -> str:
    """Daily bars of a random walk as text, some closes multiplied."""
    random = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(0.01 * random.standard_normal(rows)))
    for row, factor in changed.get("times", {}).items():
        close[row] *= factor
    for row, factor in changed.get("from_on", {}).items():
        close[row:] *= factor
    days = np.datetime64("2015-01-01") + np.arange(rows)
    lines = [
        f"{day},{price:.4f},{price * 1.01:.4f},{price * 0.99:.4f},{price:.4f},{random.integers(1, 1000)}"
        for day, price in zip(days, close, strict=True)
    ]
    return HEADER + "\n".join(lines) + "\n"


def bits(table: pa.Table) -> list[Any]:
    return [
        table[name].combine_chunks().to_pylist() if name == "symbol" else table[name].to_numpy().tobytes()
        for name in BARS.names
    ]
