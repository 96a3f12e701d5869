"""Frames and signals for the paper broker's tests: a few instruments that wander by chance."""

from dataclasses import dataclass

import numpy as np

from tapewatch.clock import NANOS
from tapewatch.contract.instruments import Instrument, Tick
from tapewatch.contract.messages import Cause, Signal, stable_id
from tapewatch.contract.rows import Rows, RowType, StatusKind
from tapewatch.rfc3339 import to_rfc3339

TOPIC = "market.test"
START = 1_700_000_000
TICKS = (Tick(0.0, 0.01), Tick(50.0, 0.05))
REFERENCE = {
    "A.SIMX": Instrument("A.SIMX", currency="USD", ticks=TICKS, lot=10.0, kind="perpetual"),
    "B.SIMX": Instrument("B.SIMX", currency="USD", ticks=TICKS, lot=1.0),
    "2330.XTAI": Instrument("2330.XTAI", currency="TWD", lot=1000.0),
}
IDS = tuple(REFERENCE)


def rows_of(of_type: RowType, codes: list[int], seconds: list[float], **columns: list[float]) -> Rows:
    """Rows at `seconds` after the start."""
    ts = np.array([round((START + each) * NANOS) for each in seconds], dtype=np.int64)
    whole: dict[str, np.ndarray] = {"instrument": np.array(codes, dtype=np.int32), "ts_event": ts, "ts_recv": ts}
    return Rows(of_type, IDS, whole | {name: np.array(values) for name, values in columns.items()})


def quote(second: float, bid: float, ask: float, qty: float = 1000.0, code: int = 0) -> Rows:
    """One quote."""
    return rows_of(
        RowType.QUOTE, [code], [second], bid_price=[bid], bid_qty=[qty], ask_price=[ask], ask_qty=[qty],
        last_price=[bid], volume=[0.0],
    )  # fmt: skip


def trade(second: float, price: float, qty: float, side: int, code: int = 0) -> Rows:
    """One regular trade."""
    return rows_of(
        RowType.TRADE, [code], [second], price=[price], qty=[qty], aggressor_side=[side], condition=[0]
    )  # fmt: skip


def close(second: float) -> Rows:
    """The session's end, for all instruments."""
    rows = rows_of(RowType.STATUS, [0], [second], kind=[int(StatusKind.CLOSE)])
    return Rows(rows.type, ("*",), rows.columns)


def signal(action: str, second: float, offset: int, instrument: str = "A.SIMX", **more: float | None) -> Signal:
    """A policy's word."""
    ts = to_rfc3339(round((START + second) * NANOS))
    return Signal(
        id=stable_id("test", instrument, ts, action), instrument=instrument, ts=ts, policy="test", model="0" * 16,
        action=action, q_values={}, advantage=None, cause=Cause(TOPIC, 0, offset), **more,  # type: ignore[arg-type]
    )  # fmt: skip


@dataclass(frozen=True)
class Log:
    """Frames in their order, and the signals that follow each of them."""

    frames: list[Rows]
    signals: list[list[Signal]]


def random_log(seed: int, seconds: int = 40) -> Log:
    """Quotes and trades of all instruments, several frames a second, and signals after some of them."""
    rng = np.random.default_rng(seed)
    price = np.array([49.0, 100.0, 600.0])
    frames: list[Rows] = []
    signals: list[list[Signal]] = []
    for second in range(seconds):
        for part in range(3):
            count = int(rng.integers(1, 8))
            codes = rng.integers(0, 3, count)
            price = price * (1.0 + 0.0005 * rng.standard_normal(3))
            step = np.where(price < 50, 0.01, np.where(price < 500, 0.05, 1.0))[codes]
            bid = np.round(np.floor(price[codes] / step) * step, 2)
            at = sorted((second + (part + rng.random(count)) / 3).tolist())
            qty = (rng.integers(1, 9, count) * 1000).tolist()
            if part == 1:
                side = rng.choice([-1, 0, 1], count).tolist()
                frame = rows_of(
                    RowType.TRADE, codes.tolist(), at, price=bid.tolist(), qty=qty, aggressor_side=side,
                    condition=rng.choice([0, 0, 0, 2], count).tolist(),
                )  # fmt: skip
            else:
                ask = np.round(bid + step * rng.integers(1, 4, count), 2).tolist()
                frame = rows_of(
                    RowType.QUOTE, codes.tolist(), at, bid_price=bid.tolist(), bid_qty=qty, ask_price=ask,
                    ask_qty=qty[::-1], last_price=bid.tolist(), volume=[0.0] * count,
                )  # fmt: skip
            frames.append(frame)
            signals.append([])
            if rng.random() < 0.5:
                action = str(rng.choice(["buy", "sell", "buy", "sell", "hold", "cancel_buy", "cancel_sell"]))
                at_offset = len(frames) - 1
                signals[-1].append(signal(action, second + (part + 1) / 3, at_offset, IDS[int(rng.integers(0, 3))]))
    return Log(frames, signals)
