"""The synthetic market with manipulation laid over it that its own simulator does not have: momentum ignition and
marking the close. Prices of quotes, books and trades follow a path, and one-sided trades are added to the tape.

Ranges were fixed before the rules were run on them: moves as in recorded cases of single stocks, 1 to 4 %.

Trades with accounts: a crowd of unequal accounts with wash trades injected, for measuring `wash_trades`
through the engine.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.account_controls import Trade, crowd, seconds_of, trade_rows
from detectors.scenarios.accounts import wash_trades
from detectors.scenarios.accounts.ring import hashed
from producers.synthetic import SyntheticConfig, SyntheticMarket
from streams.driver import Driver
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import ActiveModels, ModelStore
from tapewatch.clock import NANOS
from tapewatch.contract import messages, topics
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import Alert, from_rfc3339
from tapewatch.contract.rows import Chunk, Column, Rows, RowType, StatusKind
from tapewatch.market_log.registry import FixedRegistry
from tapewatch.rfc3339 import to_rfc3339

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


IGNITION, CLOSE = "momentum_ignition", "marking_the_close"
_PRICES = ("price", "last_price", "bid_price", "ask_price")
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Leg:
    """One part of an episode, s since the market's start. rate : trades/s; buys : chance that a trade is one."""

    begin: float
    end: float
    by: float
    rate: float
    buys: float


@dataclass(frozen=True, slots=True)
class InjectedEpisode:
    """An episode: its legs follow one another; what they moved in all fades within a minute after the last."""

    scenario: str
    instrument: str
    legs: tuple[Leg, ...]

    @property
    def begin(self) -> float:
        """Its beginning, s since the market's start."""
        return self.legs[0].begin

    @property
    def end(self) -> float:
        """Its end, s since the market's start."""
        return self.legs[-1].end

    def offset(self, times: Column) -> Column:
        """Log price offset at times, s since the market's start."""
        places = [self.begin, *(leg.end for leg in self.legs), self.end + 60.0]
        values = np.concatenate([[0.0], np.cumsum([leg.by for leg in self.legs]), [0.0]])
        found: Column = np.interp(times, places, values)
        return found


def ignition(rng: np.random.Generator, instrument: str, begin: float) -> InjectedEpisode:
    """Up or down by 1 to 4 % in 5 to 20 s on 8 to 30 one-sided trades/s; half to all of it comes back in 10 to 40 s."""
    side, top = rng.choice((-1.0, 1.0)), 0.01 * 4.0 ** rng.random()
    up, down, rate = rng.uniform(5.0, 20.0), rng.uniform(10.0, 40.0), rng.uniform(8.0, 30.0)
    legs = (
        Leg(begin, begin + up, side * top, rate, 0.5 + 0.4 * side),
        Leg(begin + up, begin + up + down, -side * top * rng.uniform(0.5, 1.0), 0.6 * rate, 0.5 - 0.35 * side),
    )
    return InjectedEpisode(IGNITION, instrument, legs)


def closing_push(rng: np.random.Generator, instrument: str, close: float) -> InjectedEpisode:
    """Up or down by .5 to 3 % over the last 30 to 120 s on 3 to 12 one-sided trades/s."""
    side, lasts = rng.choice((-1.0, 1.0)), rng.uniform(30.0, 120.0)
    top = 0.005 * 6.0 ** rng.random()
    leg = Leg(close - lasts, close, side * top, rng.uniform(3.0, 12.0), 0.5 + 0.42 * side)
    return InjectedEpisode(CLOSE, instrument, (leg,))


class InjectedMarket:
    """A `RowSource` (tapewatch/contract/rows.py): the market of a configuration, seed and start, that closes at its
    end, with `ignitions` episodes of momentum ignition and a closing push on every third instrument.
    """

    def __init__(self, config: SyntheticConfig, seed: int, start_ns: int, ignitions: int) -> None:
        self.market = SyntheticMarket(config, seed, start_ns)
        self._config, self._start_ns, self._rng = config, start_ns, np.random.default_rng([seed, 77])
        names = [instrument.id for instrument in self.market.instruments]
        first, last = config.warmup_s, config.seconds - 300.0
        own = [
            ignition(self._rng, str(self._rng.choice(names)), float(self._rng.uniform(first, last)))
            for _ in range(ignitions)
        ]
        self.episodes = _apart(own) + [closing_push(self._rng, name, float(config.seconds)) for name in names[::3]]
        self._quoted: dict[str, tuple[float, float]] = {}
        self._sizes: dict[str, float] = {}

    @property
    def instruments(self) -> Sequence[Instrument]:
        """Reference data of all instruments."""
        return self.market.instruments

    @property
    def fingerprint(self) -> str:
        """Of the market beneath."""
        return self.market.fingerprint

    def chunks(self) -> Iterator[Chunk]:
        """One chunk a simulated second."""
        for chunk in self.market.chunks():
            second = (chunk.end_ns - self._start_ns) / NANOS - 1.0
            active = [each for each in self.episodes if each.begin - 1.0 < second < each.end + 61.0]
            yield Chunk(chunk.end_ns, [self._changed(rows, second, active) for rows in chunk.rows])

    def _changed(self, rows: Rows, second: float, active: Sequence[InjectedEpisode]) -> Rows:
        if rows.type == RowType.STATUS:
            return self._with_close(rows)
        if rows.type in (RowType.TRADE, RowType.QUOTE):
            self._note(rows)
        columns = dict(rows.columns)
        for episode in active:
            if episode.instrument in rows.instruments:
                _shift(columns, rows.instruments.index(episode.instrument), episode, self._start_ns)
        if rows.type == RowType.TRADE:
            for episode in active:
                columns = self._with_prints(columns, rows.instruments, episode, second)
        return Rows(rows.type, rows.instruments, columns)

    def _with_close(self, rows: Rows) -> Rows:
        closes = f"closes={to_rfc3339(self._start_ns + self._config.seconds * NANOS)}"
        opening = rows.columns["kind"] == int(StatusKind.OPEN)
        detail = np.where(opening, closes, rows.columns["detail"]).astype(object)
        return Rows(rows.type, rows.instruments, {**rows.columns, "detail": detail})

    def _note(self, rows: Rows) -> None:
        """Remember each instrument's newest touch and the usual size of its trades."""
        codes = rows.columns["instrument"].tolist()
        if rows.type == RowType.QUOTE:
            pairs = zip(rows.columns["bid_price"].tolist(), rows.columns["ask_price"].tolist(), strict=True)
            self._quoted.update({rows.instruments[code]: pair for code, pair in zip(codes, pairs, strict=True)})
            return
        for code, qty in zip(codes, rows.columns["qty"].tolist(), strict=True):
            name = rows.instruments[code]
            self._sizes[name] = self._sizes.get(name, qty) * 0.98 + 0.02 * qty

    def _with_prints(
        self, columns: dict[str, Column], names: Sequence[str], episode: InjectedEpisode, second: float
    ) -> dict[str, Column]:
        """The second's trades with those of an episode among them, at the touch as the path has it."""
        rng, name = self._rng, episode.instrument
        rate = sum(leg.rate for leg in episode.legs if leg.begin - 0.5 <= second < leg.end - 0.5)
        buys = [leg.buys for leg in episode.legs if leg.begin - 0.5 <= second < leg.end - 0.5]
        count = int(rng.poisson(rate))
        if count == 0 or name not in names or name not in self._quoted or name not in self._sizes:
            return columns
        times = np.sort(second + rng.uniform(0.0, 0.999, count))
        side = np.where(rng.random(count) < buys[0], 1, -1)
        bid, ask = self._quoted[name]
        price = np.where(side > 0, ask, bid) * np.exp(episode.offset(times))
        stamps = self._start_ns + (times * NANOS).astype(np.int64)
        new: dict[str, Column] = {
            "instrument": np.full(count, names.index(name)),
            "ts_event": stamps,
            "ts_recv": stamps,
            "price": np.round(price, _DIGITS),
            "qty": np.maximum(np.round(self._sizes[name] * rng.lognormal(0.0, 0.5, count)), 1.0),
            "aggressor_side": side,
            "condition": np.zeros(count),
            "trade_id": np.array([f"x{stamp}" for stamp in stamps.tolist()], dtype=object),
        }
        order = np.argsort(np.concatenate([columns["ts_recv"], stamps]), kind="stable")
        return {
            key: np.concatenate([column, new[key].astype(column.dtype)])[order]
            for key, column in columns.items()
            if key in new
        }


def _apart(episodes: Sequence[InjectedEpisode]) -> list[InjectedEpisode]:
    """Those that begin at least 20 minutes after the one before on the same instrument."""
    kept: list[InjectedEpisode] = []
    for each in sorted(episodes, key=lambda episode: episode.begin):
        if all(each.begin - other.end > 1200.0 for other in kept if other.instrument == each.instrument):
            kept.append(each)
    return kept


def _shift(columns: dict[str, Column], code: int, episode: InjectedEpisode, start_ns: int) -> None:
    """Move the prices of one instrument's rows along an episode's path, in place of the columns."""
    mine = columns["instrument"] == code
    if not mine.any():
        return
    factor = np.exp(episode.offset((columns["ts_recv"][mine] - start_ns) / NANOS))
    for name in _PRICES:
        if name in columns:
            moved = columns[name].copy()
            moved[mine] = np.round(moved[mine] * (factor[:, None] if moved.ndim == 2 else factor), _DIGITS)
            columns[name] = moved
