"""Frames as the engine writes them, with values made up."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tapewatch.contract.frames import write_stream

TIME = pa.timestamp("ns", tz="UTC")


def _frame(
    kind: str, names: Sequence[str], stamps: Sequence[int], columns: Mapping[str, Any], **metadata: str
) -> bytes:
    """A frame: each stamp's rows, one an instrument."""
    codes = np.tile(np.arange(len(names), dtype=np.int32), len(stamps))
    keys = {
        "instrument": pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(names)),
        "ts": pa.array(np.repeat(np.array(stamps, dtype=np.int64), len(names)), type=TIME),
        "offset": pa.array(np.arange(len(codes), dtype=np.int64)),
    }
    described = {"tapewatch.type": kind, "tapewatch.version": "1.0"}
    described |= {f"tapewatch.{name}": text for name, text in metadata.items()}
    batch = pa.RecordBatch.from_pydict({**keys, **columns})
    return bytes(write_stream(batch.replace_schema_metadata(described)))


def bars(names: Sequence[str], ts: int) -> bytes:
    """A one-minute bar of each instrument. ts : its end, UTC nanoseconds"""
    count = len(names)
    prices = {name: pa.array(np.full(count, 2.0)) for name in ("open", "high", "low", "close")}
    amounts = {name: pa.array(np.full(count, 10.0)) for name in ("volume", "trades", "buys", "sells")}
    interval = {"interval_s": pa.array(np.full(count, 60, dtype=np.int32))}
    return _frame("bars", names, [ts], {**interval, **prices, **amounts})


def features(names: Sequence[str], stamps: Sequence[int]) -> bytes:
    """A warm and a cold feature of each instrument at each time."""
    count = len(names) * len(stamps)
    warm, cold = np.full(count, 0.25, dtype=np.float32), np.full(count, np.nan, dtype=np.float32)
    return _frame("features", names, stamps, {"return_1s": pa.array(warm), "return_60s": pa.array(cold)})


def scores(names: Sequence[str], ts: int, probabilities: Sequence[float]) -> bytes:
    """A K-means score of each instrument."""
    count = len(names)
    columns = {
        "detector": pa.array(np.zeros(count, dtype=np.int8)),
        "raw": pa.array(np.full(count, 3.0, dtype=np.float32)),
        "probability": pa.array(np.array(probabilities, dtype=np.float32)),
    }
    return _frame("scores", names, [ts], columns, detectors="kmeans", versions="kmeans=abc")
