"""Trades with accounts: a crowd of unequal accounts with wash trades injected, for measuring `wash_trades`
through the engine.
"""

import numpy as np

from benchmarks.account_controls import Trade, crowd, seconds_of, trade_rows
from detectors.scenarios.accounts import wash_trades
from detectors.scenarios.accounts.ring import hashed
from streams.driver import Driver
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import ActiveModels, ModelStore
from tapewatch.clock import NANOS
from tapewatch.contract import messages, topics
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import Alert, from_rfc3339
from tapewatch.market_log.registry import FixedRegistry

INSTRUMENTS = 20
SECONDS = 3600.0
START = 1_750_000_020
"""Second of the epoch at which the trades begin."""


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
        """Which alerts of `wash_trades` the engine opens, and when they are decided (s), at the shipped thresholds."""
        trades = sorted(
            ((name, each) for name, found in self._trades.items() for each in found), key=lambda one: one[1]
        )
        registry = FixedRegistry([Instrument(name) for name in self._trades])
        driver = Driver(registry, force=ActiveModels(ModelStore(), {}, DetectorConfig()))
        second = START
        for rows in seconds_of(trade_rows(trades, START * NANOS)):
            until = int(rows.ts_recv[0]) // NANOS
            while second < until:
                second += 1
                driver.heartbeat(second)
            driver.send(rows)
        found = [messages.decode(Alert, each.value) for each in driver.collect().get(topics.ALERTS, ())]
        return [
            (alert.instrument, from_rfc3339(alert.decided) / NANOS - START)
            for alert in found
            if alert.scenario == wash_trades.NAME and alert.state == "open"
        ]
