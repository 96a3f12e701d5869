"""Policies made by hand, and markets as files for them to act in."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from detectors.ddqn import virtual
from detectors.ddqn.daily_market import INPUTS, Bars
from detectors.ddqn.lanes import ACTIONS
from detectors.ddqn.model import Card, Policy, PolicyMetadata
from detectors.ddqn.trading import inputs_for
from tapewatch.clock import NANOS
from tapewatch.contract import frames
from tapewatch.contract.rows import Rows, RowType

START = 1_750_000_000


def daily_follower(sign: float = 1.0, data: str = "") -> Policy:
    """Goes the way of the last day's return (against it with a negative sign), whatever it holds."""
    w1 = np.zeros((4, len(INPUTS)), dtype=np.float32)
    w1[0, 0], w1[1, 0] = sign, -sign
    w = np.array([[0, 1, 0, 0], [1, 0, 0, 0]], dtype=np.float32)
    return _policy("daily", INPUTS, ("short", "long"), w1, w, Card(data=data))


def second_follower(names: tuple[str, ...] = ("ret_10s",)) -> Policy:
    """Buys where the price rose over the last 10 s, sells where it fell, at the market."""
    return _goes_with_the_first("trading", inputs_for(names, 1), 1e4, Card(recipe={"order": "market"}))


def engine_follower(sign: float = 1.0) -> Policy:
    """The same on the engine's virtual position; against the price with a negative sign."""
    policy = _goes_with_the_first("virtual", ("ret_10s", *virtual.PRIVATE), 10.0 * sign, Card())
    scaling = {"center": np.zeros(1, dtype=np.float32), "scale": np.full(1, 1e3, dtype=np.float32)}
    return Policy(policy.described, policy.arrays | scaling)


def _goes_with_the_first(environment: str, inputs: tuple[str, ...], strength: float, card: Card) -> Policy:
    """Buys where the first input is above 0, sells where it is below."""
    w1 = np.zeros((4, len(inputs)), dtype=np.float32)
    w1[0, 0], w1[1, 0] = strength, -strength
    w = np.zeros((5, 4), dtype=np.float32)
    w[1, 0] = w[2, 1] = 1.0
    return _policy(environment, inputs, ACTIONS, w1, w, card, [0.5, 0.0, 0.0, -1.0, -1.0])


def _policy(
    environment: str,
    inputs: tuple[str, ...],
    actions: tuple[str, ...],
    w1: np.ndarray,
    w: np.ndarray,
    card: Card,
    bias: list[float] | None = None,
) -> Policy:
    four = np.zeros(4, dtype=np.float32)
    b = np.array(bias or [0.0] * len(actions), dtype=np.float32)
    arrays = {"w1": w1, "b1": four, "w2": np.eye(4, dtype=np.float32), "b2": four, "w": w, "b": b}
    return Policy(PolicyMetadata(environment, inputs, actions, card), arrays)


def bars_file(path: Path, bars: Bars) -> Path:
    """Daily bars as the commands read them."""
    columns = (bars.dates, bars.open, bars.high, bars.low, bars.close, bars.volume)
    lines = [",".join(str(value) for value in row) for row in zip(*columns, strict=True)]
    path.write_text("\n".join(["Timestamp,Open,High,Low,Close,Volume", *lines]) + "\n")
    return path


def trending(rows: int, seed: int, stay: float = 0.8, start: str = "2015-01-01") -> Bars:
    """A market whose days tend to go the way of the day before. stay : chance of that"""
    random = np.random.default_rng(seed)
    same = np.where(random.random(rows) < stay, 1.0, -1.0)
    change = np.cumprod(same) * np.abs(random.normal(0.0, 0.01, rows))
    close = 100.0 * np.exp(np.cumsum(change))
    return Bars(np.datetime64(start) + np.arange(rows), close, close * 1.005, close * 0.995, close, close * 0.0 + 1e5)


def swinging_market(folder: Path, seconds: int = 1200) -> Path:
    """Two instruments whose quotes swing by two percent within a minute or so, as quotes.parquet."""
    random = np.random.default_rng(4)
    parts = []
    for number in range(2):
        swing = 50 + 13 * number
        phase = (np.arange(seconds) + 7 * number) % (2 * swing) / swing
        middle = 10_000 + np.rint(200.0 * np.abs(1.0 - phase)).astype(np.int64) + random.integers(-1, 2, seconds)
        parts.append(((START + np.arange(seconds)) * NANOS + 400_000_000 + number, middle, np.full(seconds, number)))
    ts, middle, code = (np.concatenate(each) for each in zip(*parts, strict=True))
    order = np.argsort(ts)
    count = len(order)
    columns = {
        "instrument": code[order].astype(np.int32),
        "ts_event": ts[order],
        "ts_recv": ts[order],
        "bid_price": (middle[order] - 1) / 100.0,
        "bid_qty": np.full(count, 1e6),
        "ask_price": (middle[order] + 1) / 100.0,
        "ask_qty": np.full(count, 1e6),
        "last_price": middle[order] / 100.0,
        "volume": np.arange(count, dtype=np.float64),
    }
    rows = Rows(RowType.QUOTE, ("AAA.SIMX", "BBB.SIMX"), columns)
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_batches([frames.read_stream(frames.encode(rows))]), folder / "quotes.parquet")
    return folder
