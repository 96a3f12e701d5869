"""A small partition for targets: an instrument that behaves, and one whose records are fuzzed."""

from functools import cache
from typing import Any

import numpy as np

from streams.driver import Driver
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import Rows, RowType
from tapewatch.market_log.registry import FixedRegistry

GOOD, BAD = "GOOD.SIMX", "BADLY.SIMX"
START = 1_750_000_020
"""First second of the market, a whole minute, UTC."""


def driver() -> Driver:
    """A new partition with both instruments registered."""
    return Driver(FixedRegistry([Instrument(GOOD, kind="share"), Instrument(BAD, kind="spot")]))


@cache
def second(number: int) -> tuple[Rows, Rows]:
    """The good instrument's trade and quote of a second of the market."""
    rng = np.random.default_rng(number)
    price = 100.0 + round(float(rng.normal(0.0, 0.2)), 2)
    stamp = np.array([(START + number) * NANOS + 250_000_000], dtype=np.int64)
    times: dict[str, Any] = {"instrument": np.zeros(1, dtype=np.int32), "ts_event": stamp, "ts_recv": stamp}
    side = np.array([1 if rng.random() < 0.5 else -1], dtype=np.int8)
    trade: dict[str, Any] = {
        "price": price,
        "qty": float(rng.integers(1, 40)),
        "aggressor_side": side,
        "condition": np.zeros(1, dtype=np.int8),
    }
    quote: dict[str, Any] = {
        "bid_price": price - 0.01,
        "bid_qty": float(rng.integers(1, 90)),
        "ask_price": price + 0.01,
        "ask_qty": float(rng.integers(1, 90)),
        "last_price": price,
        "volume": np.nan,
    }
    made = []
    for row_type, values in ((RowType.TRADE, trade), (RowType.QUOTE, quote)):
        columns = {name: np.atleast_1d(value) for name, value in values.items()}
        made.append(Rows(row_type, (GOOD,), {**times, **columns}))
    return made[0], made[1]
