"""Bars that are a function of symbol and time: what a simulated chart shows, and what a client's rows must equal."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SimulatedBar:
    """opened : seconds since the epoch; prices in whole ticks"""

    opened: int
    open: int
    high: int
    low: int
    close: int
    volume: int


def bar_at(symbol: str, opened: int, seed: int = 0) -> SimulatedBar:
    """The bar of a symbol that opens then: the same whenever it is asked for."""
    draws = hashlib.sha256(f"{seed} {symbol} {opened}".encode()).digest()
    base = 10_000 + int.from_bytes(hashlib.sha256(symbol.encode()).digest()[:2], "big")
    first, last = base + draws[0] - 128, base + draws[1] - 128
    return SimulatedBar(
        opened, first, max(first, last) + draws[2] % 16, min(first, last) - draws[3] % 16, last, draws[4] * 100
    )


def openings(start: int, end: int, interval_s: int) -> range:
    """Openings of the bars in [start, end), seconds since the epoch."""
    return range(-(-start // interval_s) * interval_s, end, interval_s)
