"""Trades with accounts: a crowd of unequal accounts with wash trades injected, for measuring `wash_trades`."""

import msgspec
import numpy as np

from benchmarks.account_controls import Trade, crowd
from detectors.scenarios.accounts import wash_trades, watch
from detectors.scenarios.accounts.ring import NANOS, hashed

INSTRUMENTS = 20
SECONDS = 3600.0


class WashMarket:
    """Instruments of 60 accounts each, a trade every 1 to 6 s; on half of them one episode.

    episodes : instrument, begin and end in s
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 78])
        self.instrument_hours = INSTRUMENTS * SECONDS / 3600.0
        self.episodes: list[tuple[str, float, float]] = []
        self._trades: dict[str, list[Trade]] = {}
        for number in range(INSTRUMENTS):
            name = f"W{number}.SIMX"
            every_s = float(6.0 ** rng.random())
            trades = list(crowd(int(rng.integers(2**31)), SECONDS, every_s, accounts=60))
            if number % 2:
                trades += self._inject(rng, name, trades)
            self._trades[name] = sorted(trades)

    def _inject(self, rng: np.random.Generator, name: str, trades: list[Trade]) -> list[Trade]:
        """8 to 30 trades in 1 to 4 minutes, of one account with itself or of two to and fro, at the crowd's price."""
        begin, lasts = float(rng.uniform(600.0, 3200.0)), float(rng.uniform(60.0, 240.0))
        one, other = hashed(f"{name}/one"), hashed(f"{name}/other")
        alone, size = rng.random() < 0.3, float(rng.lognormal(3.0, 0.5))
        times = begin + np.sort(rng.uniform(0.0, lasts, int(rng.integers(8, 31))))
        known, prices = np.array([each[0] for each in trades]), [each[1] for each in trades]
        found: list[Trade] = []
        for place, when in enumerate(times.tolist()):
            price = prices[max(int(np.searchsorted(known, when)) - 1, 0)]
            pair = (one, one) if alone else (one, other) if place % 2 else (other, one)
            found.append((when, price, size * float(rng.uniform(0.9, 1.1)), *pair))
        self.episodes.append((name, begin, begin + lasts))
        return found

    def alerts(self) -> list[tuple[str, float]]:
        """Where and when (s) an episode of hits begins, by the shipped hold, quiet and cooldown times."""
        rule = msgspec.structs.asdict(wash_trades.Parameters())
        found: list[tuple[str, float]] = []
        for name, trades in self._trades.items():
            ring, opened, newest = watch.create(), -np.inf, -np.inf
            for when, price, qty, buyer, seller in trades:
                if not watch.on_trade(ring, int(when * NANOS), price, qty, buyer, seller) & watch.WASH_TRADES:
                    continue
                if when - newest >= rule["quiet_s"] and when - opened >= rule["cooldown_s"]:
                    found.append((name, when))
                    opened = when
                newest = when
        return found
