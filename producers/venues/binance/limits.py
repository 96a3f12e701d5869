"""Binance's published limits, and how many levels a snapshot asks for within them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

STREAMS_A_CONNECTION = 300
"""Streams on one websocket; the venue allows 1,024, but fewer are lost when one breaks."""
PARAMS_A_MESSAGE = 100
MESSAGES_A_SECOND = 4.0
"""Subscribe messages on one connection; the venue disconnects above 5 (spot) or 10 (futures) a second."""
CONNECTS_A_SECOND = 0.9
"""The venue allows 300 attempts in 5 minutes."""
SNAPSHOTS_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class RestLimits:
    """Paths and weights of one market. minute : weight of REST requests allowed in a minute

    path : of combined streams; paths : of channels that come by another
    keyed : questions that are answered to holders of a key only
    depth : (levels, weight) from the fullest snapshot down; trades : path and weight of trades by id, by question
    """

    prefix: str
    minute: float
    depth: tuple[tuple[int, int], ...]
    trades: dict[str, tuple[str, int]]
    listed: int
    day: int
    keyed: frozenset[str] = frozenset()
    path: str = "/stream"
    paths: Mapping[str, str] = field(default_factory=dict)

    @property
    def pace(self) -> tuple[float, float]:
        """Weight a second, and at once, such that no minute sees more than its limit: what goes out at once counts."""
        burst = self.minute / 4.0
        return (self.minute - burst) / 60.0, burst

    def levels(self, symbols: int) -> tuple[int, int]:
        """Levels and weight of a snapshot such that all symbols have one within a minute, or the least there is."""
        for levels, weight in self.depth:
            if symbols * weight <= self.minute * SNAPSHOTS_WITHIN_S / 60.0:
                return levels, weight
        return self.depth[-1]


SPOT = RestLimits(
    prefix="/api/v3",
    minute=6_000.0,
    depth=((5_000, 250), (1_000, 50), (500, 25), (100, 5)),
    trades={"trades": ("historicalTrades", 25), "aggregates": ("aggTrades", 4)},
    listed=20,
    day=80,
)
USDM = RestLimits(
    prefix="/fapi/v1",
    minute=2_400.0,
    depth=((1_000, 20), (500, 10), (100, 5), (50, 2)),
    trades={"trades": ("historicalTrades", 20), "aggregates": ("aggTrades", 20)},
    listed=1,
    day=40,
    keyed=frozenset({"trades"}),
    # Since April 2026 the path without a route takes subscriptions to aggregate trades and sends none.
    path="/public/stream",
    paths={"aggTrade": "/market/stream"},
)
COINM = replace(USDM, prefix="/dapi/v1", path="/stream", paths={})
