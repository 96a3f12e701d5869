"""Every coin's state, and the ranking at a minute's close: no broker, no clock, a function of the minutes given."""

import math
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from detectors.coin_features import state, windows
from detectors.coin_features.state import Barriers, Coin, MinuteOutput
from detectors.ranking.features import WARM_MINUTES
from detectors.ranking.model import RankingModel
from detectors.regime.model import RegimeModel
from detectors.regime.rules import HOURS
from streams.coin_ranking.minute_buffer import Bar
from tapewatch.contract.messages import Ranking, RankingEntry, stable_id
from tapewatch.rfc3339 import to_rfc3339

MINUTE_NS = 60_000_000_000
NAME = "coins"
LEAST_TURNOVER = 1_000_000.0
"""Of a day, where the currency is not below: about a million US dollars."""
LEAST_BY_CURRENCY = {"KRW": 1.4e9, "JPY": 1.5e8, "TWD": 3e7, "BTC": 20.0, "ETH": 400.0}
STALE_MINUTES = 10
"""A coin without a bar for longer is left out."""

_HOUR, _DAY = windows.NAMES.index("1h"), windows.NAMES.index("1d")
_CALLS = {1.0: "bull", -1.0: "bear", 0.0: ""}


class Question(msgspec.Struct, frozen=True):
    """What is asked of every coin. least_turnover : of a day in the quote currency, None takes the currency's own"""

    target: float
    stop: float
    least_turnover: float | None = None


class CoinRanking:
    """The coins by name. currency : of an instrument, empty where it is not known"""

    def __init__(
        self, model: RankingModel, regimes: RegimeModel, question: Question, currency: Callable[[str], str]
    ) -> None:
        self.model, self.regimes, self.question = model, regimes, question
        self.coins: dict[str, Coin] = {}
        self.asked = Barriers(model.horizon, question.target, question.stop)
        self._currency = currency
        self._rules = regimes.regimes()
        self._seen: dict[str, MinuteOutput] = {}

    def add(self, minute: int, bars: Sequence[Bar]) -> None:
        """Let the coins live through a minute."""
        for bar in bars:
            coin = self.coins.get(bar.instrument)
            if coin is None:
                coin = self.coins[bar.instrument] = state.new_coin(self.asked.horizon)
            if coin.head[0] >= minute:
                continue
            seen = self._seen.setdefault(bar.instrument, state.new_seen())
            state.step(coin, minute, bar.values, self.asked, self._rules, seen)

    def shown(self, name: str) -> MinuteOutput:
        """What a coin's newest minute gave."""
        return self._seen[name]

    def restore(self, name: str, coin: Coin, seen: MinuteOutput) -> None:
        """A coin as it was."""
        self.coins[name], self._seen[name] = coin, seen

    def ranking(self, minute: int) -> Ranking:
        """All coins at a minute's close, the likeliest first; those left out with the reason."""
        reasons = {name: self._reason(name, minute) for name in sorted(self.coins)}
        names = [name for name, reason in reasons.items() if not reason]
        chances: list[float] = []
        if names:
            chances = self.model.probability(np.array([self._seen[name].inputs for name in names])).tolist()
        order = sorted(zip(chances, names, strict=True), key=lambda one: (-one[0], one[1]))
        as_of = to_rfc3339((minute + 1) * MINUTE_NS)
        return Ranking(
            id=stable_id(NAME, as_of),
            name=NAME,
            as_of=as_of,
            horizon_s=self.asked.horizon * 60,
            target_return=self.asked.target,
            stop_return=self.asked.stop,
            model=self.model.hash,
            ranked=tuple(self._ranked(name, chance) for chance, name in order),
            excluded={name: reason for name, reason in reasons.items() if reason},
        )

    def _reason(self, name: str, minute: int) -> str:
        """Why a coin is left out; empty where it is not."""
        coin, seen = self.coins[name], self._seen[name]
        age = minute - int(coin.head[0])
        if age > STALE_MINUTES:
            return f"no bar for {age} minutes"
        day = seen.windows[_DAY]
        if math.isnan(seen.inputs[0]):
            return f"{day[windows.S_MINUTES]:.0f} of the {WARM_MINUTES} minutes that it needs"
        least = self._least(name)
        # Of a coin younger than a day, what a day would come to.
        turnover = day[windows.S_TURNOVER] * windows.WINDOWS[_DAY] / max(day[windows.S_MINUTES], 1.0)
        return f"turnover of a day {turnover:,.0f} below {least:,.0f}" if turnover < least else ""

    def _least(self, name: str) -> float:
        asked = self.question.least_turnover
        return LEAST_BY_CURRENCY.get(self._currency(name), LEAST_TURNOVER) if asked is None else asked

    def _ranked(self, name: str, chance: float) -> RankingEntry:
        seen = self._seen[name]
        hour, day = seen.windows[_HOUR], seen.windows[_DAY]
        calls = {
            f"{hours}h": _CALLS[float(seen.regime[horizon, place])]
            for horizon, (hours, place) in enumerate(zip(HOURS, self.regimes.places(), strict=True))
        }
        told = bool(hour[windows.S_BUYS] + hour[windows.S_SELLS] > 0.0)
        return RankingEntry(
            instrument=name,
            probability=chance,
            regime=calls["24h"],
            regimes=calls,
            hourly_return=float(hour[windows.RETURN]),
            win_rate=float(min(day[windows.S_WINS] / day[windows.S_ENTRIES], 1.0))
            if day[windows.S_ENTRIES] > 0.0
            else None,
            buys=float(hour[windows.S_BUYS]) if told else None,
            sells=float(hour[windows.S_SELLS]) if told else None,
            volatility=float(hour[windows.VOLATILITY]),
            volatility_level=float(hour[windows.VOLATILITY] / day[windows.VOLATILITY])
            if day[windows.VOLATILITY] > 0.0
            else None,
            high_line=float(day[windows.HIGH_LINE]),
            low_line=float(day[windows.LOW_LINE]),
            position=float(day[windows.POSITION]),
            averages=dict(zip(windows.NAMES, seen.windows[:, windows.AVERAGE].tolist(), strict=True)),
            volumes=dict(zip(windows.NAMES, seen.windows[:, windows.S_VOLUME].tolist(), strict=True)),
        )
