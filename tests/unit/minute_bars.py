"""Minute bars as the engine writes them: frames of the topic `bars`."""

import numpy as np

from detectors.forecast.lstm.inputs import FEATURES
from detectors.forecast.lstm.model import MINUTE, LstmMetadata, Model
from streams.engine.output_frames import BARS, FrameWriter
from streams.forecast.minute import MinuteTask

MINUTE_NS = 60_000_000_000
START = 1_700_000_040_000_000_000 // MINUTE_NS * MINUTE_NS
HEADERS = [("type", b"bars"), ("version", b"1"), ("feed", b"coins"), ("partition", b"0")]


def untrained(units: int = 8, horizon: str = MINUTE, seed: int = 3) -> Model:
    """A model of drawn weights."""
    random = np.random.default_rng(seed)
    shapes = {"wide": (FEATURES + units, 4 * units), "bias": (4 * units,), "head": (units + 1,)}
    arrays = {name: random.normal(0.0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    return Model(LstmMetadata(horizon), arrays)


def walk(minutes: int, seed: int = 0) -> np.ndarray:
    """Open, high, low, close and volume of minutes, float64[minutes, 5]."""
    random = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.001, minutes)))
    spread = np.exp(random.random((2, minutes)) * 0.001)
    return np.column_stack([close, close * spread[0], close / spread[1], close, random.lognormal(2.0, 1.0, minutes)])


def frame(names: list[str], at: np.ndarray, bars: np.ndarray) -> bytes:
    """A frame of one bar for each name. at : int64[names], close, ns; bars : float64[names, 5]"""
    codes = np.arange(len(names), dtype=np.int32)
    keys = [codes, at, np.zeros(len(names), np.int64), np.full(len(names), 60, np.int32)]
    table = np.vstack([bars.T, np.zeros((3, len(names)))])
    return FrameWriter(BARS).write(names, keys, np.ascontiguousarray(table), 0, len(names))


def log_of(series: dict[str, np.ndarray], start: int = START) -> list[bytes]:
    """A record for each minute with a bar of every instrument."""
    names = list(series)
    minutes = len(series[names[0]])
    return [
        frame(
            names, np.full(len(names), start + (minute + 1) * MINUTE_NS), np.array([series[n][minute] for n in names])
        )
        for minute in range(minutes)
    ]


def said(task: MinuteTask) -> list[tuple[str, bytes]]:
    """Topic and value of what a task has to say."""
    return [(record.topic, record.value) for record in task.take()]
