"""MIS requests: how many symbols go into one, and which."""

from collections.abc import Sequence
from math import ceil
from urllib.parse import quote

from producers.venues.twse.instruments import mis_channel

PATH = "/stock/api/getStockInfo.jsp"
PER_SECOND, BURST = 0.6, 1
"""Three requests in five seconds, evenly spaced, so that no five seconds see more; more lead to a block."""
REFRESH_S = 5.0
"""How often MIS shows something new."""
SYMBOLS = 150
URL_LIMIT = 4_000
"""Characters of a request's query, well below what proxies and servers take."""


def batches(instruments: Sequence[str], symbols: int = SYMBOLS, limit: int = URL_LIMIT) -> list[str]:
    """MIS's channels joined by |, in requests of bounded length and about equal size."""
    channels = [mis_channel(instrument) for instrument in instruments]
    if not channels:
        return []
    longest = max(len(quote(channel)) for channel in channels) + len(quote("|"))
    room = max(1, min(symbols, limit // longest))
    count = ceil(len(channels) / room)
    size = ceil(len(channels) / count)
    return ["|".join(channels[start : start + size]) for start in range(0, len(channels), size)]


def parameters(batch: str) -> dict[str, str]:
    """The query of one request."""
    return {"ex_ch": batch, "json": "1", "delay": "0"}


def round_s(count: int) -> float:
    """Seconds between two looks at the same instrument with so many requests a round."""
    return max(1, ceil(count / (PER_SECOND * REFRESH_S))) * REFRESH_S
