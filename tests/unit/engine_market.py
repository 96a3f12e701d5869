"""Small markets for the engine's tests: rows one at a time in log order, and the frames in which they are sent."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from streams.driver import Driver, table
from streams.engine.models import ActiveModels
from streams.engine.task import OutputRecord
from tapewatch.clock import NANOS
from tapewatch.contract import frames, topics
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import BOOK_LEVELS, EVERY_INSTRUMENT, REQUIRED, Rows, RowType, StatusKind, numpy_dtype
from tapewatch.market_log.registry import FixedRegistry

START = 1_750_000_020
"""The first second of every market, UTC seconds; a whole minute."""

NAN = float("nan")
Levels = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the log. at : ts_recv, UTC nanoseconds."""

    type: RowType
    instrument: str
    at: int
    values: dict[str, Any]
    ts_event: int = 0

    @property
    def second(self) -> int:
        return self.at // NANOS


def at(second: float) -> int:
    """UTC nanoseconds of a second of the market, to the millisecond."""
    return START * NANOS + round(second * 1000) * 1_000_000


def quote(
    name: str, when: float, bid: float, ask: float, bid_qty: float = 5.0, ask_qty: float = 5.0,
    last: float = NAN, volume: float = NAN,
) -> Event:  # fmt: skip
    values = {"bid_price": bid, "bid_qty": bid_qty, "ask_price": ask, "ask_qty": ask_qty}
    return Event(RowType.QUOTE, name, at(when), {**values, "last_price": last, "volume": volume})


def trade(name: str, when: float, price: float, qty: float = 1.0, side: int = 1, condition: int = 0) -> Event:
    values = {"price": price, "qty": qty, "aggressor_side": side, "condition": condition}
    return Event(RowType.TRADE, name, at(when), values)


def book(name: str, when: float, bids: Levels, asks: Levels) -> Event:
    values: dict[str, Any] = {"sequence": 0}
    for side, levels in (("bid", bids), ("ask", asks)):
        padded = [*levels, *[(NAN, NAN)] * (BOOK_LEVELS - len(levels))]
        values[f"{side}_price"] = [price for price, _ in padded]
        values[f"{side}_qty"] = [qty for _, qty in padded]
    return Event(RowType.BOOK, name, at(when), values)


def bar(name: str, when: float, ohlc: tuple[float, float, float, float], volume: float, trades: int) -> Event:
    values = dict(zip(("open", "high", "low", "close"), ohlc, strict=True))
    times = {"ts_open": at(when - 60), "interval_s": 60}
    return Event(RowType.BAR, name, at(when), {**times, **values, "volume": volume, "trades": trades})


def status(kind: StatusKind, when: float, name: str = EVERY_INSTRUMENT, detail: str = "") -> Event:
    return Event(RowType.STATUS, name, at(when), {"kind": int(kind), "detail": detail})


def heartbeats(until: float, since: float = 0) -> list[Event]:
    return [status(StatusKind.HEARTBEAT, second) for second in range(int(since), int(until) + 1)]


def in_order(*parts: Iterable[Event]) -> list[Event]:
    """The events of all parts by second, heartbeats first; otherwise by time, as given."""
    return sorted((event for part in parts for event in part), key=lambda event: event.at)


def rows_of(events: Sequence[Event], names: Sequence[str]) -> Rows:
    """Events of one type as rows over the dictionary `names`."""
    row_type = events[0].type
    columns: dict[str, Any] = {
        "instrument": np.array([names.index(event.instrument) for event in events], dtype=np.int32),
        "ts_event": np.array([event.ts_event or event.at for event in events], dtype=np.int64),
        "ts_recv": np.array([event.at for event in events], dtype=np.int64),
    }
    for name, kind in REQUIRED[row_type][3:]:
        columns[name] = np.array([event.values[name] for event in events], dtype=numpy_dtype(kind))
    return Rows(row_type, names, columns)


def frame(events: Sequence[Event], names: Sequence[str]) -> bytes:
    """Events of one type as a frame that carries the whole dictionary."""
    rows = rows_of(events, names)
    return frames.encode_with(rows, pa.array(names, type=pa.utf8()), rows.columns["instrument"])


def frames_of(events: Sequence[Event], cuts: Iterable[int] = ()) -> list[list[Event]]:
    """Runs of one type, cut further at the given places of the log."""
    bounds = sorted({0, len(events), *(cut % (len(events) + 1) for cut in cuts)})
    parts = [events[low:high] for low, high in pairwise(bounds)]
    return [list(run) for part in parts for _, run in groupby(part, key=lambda event: event.type)]


def names_in(events: Iterable[Event]) -> list[str]:
    """The dictionary of a log: `*`, then the instruments by name."""
    return [EVERY_INSTRUMENT, *sorted({event.instrument for event in events} - {EVERY_INSTRUMENT})]


def new_driver(
    names: Iterable[str], force: ActiveModels | None = None, kinds: Mapping[str, str] = MappingProxyType({})
) -> Driver:
    """A driver of shares, and of instruments whose kinds are named."""
    return Driver(FixedRegistry([Instrument(name, kind=kinds.get(name, "share")) for name in names]), force=force)


def run(
    events: Sequence[Event],
    cuts: Iterable[int] = (),
    force: ActiveModels | None = None,
    kinds: Mapping[str, str] = MappingProxyType({}),
) -> Driver:
    """A driver that was fed the log."""
    names = names_in(events)
    driver = new_driver(names, force, kinds)
    for part in frames_of(events, cuts):
        send(driver, part, names)
    return driver


def send(driver: Driver, events: Sequence[Event], names: Sequence[str]) -> None:
    """Append events of one type as one frame."""
    value = frame(events, names)
    driver.record(value, FrameHeaders(events[0].type.label, "test", 0, driver.task.next_offset, 0).to_kafka())


def features(driver: Driver) -> dict[str, Any]:
    """The features written so far, a column a name."""
    return table(driver.outgoing(), "features")


def feature(driver: Driver, instrument: str, name: str) -> dict[int, float]:
    """One feature of one instrument by second of the market (the second that was closed)."""
    found = features(driver)
    if not found:
        return {}
    mine = found["instrument"] == instrument
    times = found["ts"][mine] // NANOS - START - 1
    return dict(zip(times.tolist(), found[name][mine].tolist(), strict=True))


def messages_of(records: Iterable[OutputRecord], topic: str) -> list[bytes]:
    return [record.value for record in records if record.topic == topic]


def bits(records: Sequence[OutputRecord], with_offsets: bool = True) -> dict[str, Any]:
    """Everything that a log gives, rows of a kind in their order, as bytes: however it was cut into records."""
    found: dict[str, Any] = {}
    for kind in ("features", "scores", "bars", "sealed"):
        columns = table(records, kind)
        found[kind] = {
            name: values.tolist() if values.dtype == object else values.tobytes()
            for name, values in columns.items()
            if with_offsets or name != "offset"
        }
    for topic in (topics.ALERTS, topics.SIGNALS, topics.SHADOW_SIGNALS, topics.COVERAGE) if with_offsets else ():
        found[topic] = messages_of(records, topic)
    found["refused"] = [(record.headers, record.value) for record in records if record.topic.endswith(".dlq")]
    return found


class RandomMarket:
    """Instruments of every data tier over `seconds`: `BOOKS` (all types), `QUOTED` (no books), `TRADED` (trades only),
    `DEEP` (books only).

    interruptions : status rows, and (first, last) seconds in which the feed says nothing
    """

    def __init__(self, seed: int, seconds: int, silence: tuple[int, int] = (0, 0), rate: float = 2.0) -> None:
        self._rng = random.Random(seed)
        self._seconds, self._silence, self._rate = seconds, silence, rate
        self._mid = dict.fromkeys(("BOOKS.SIMX", "QUOTED.SIMX", "TRADED.SIMX", "DEEP.SIMX"), 100.0)

    def events(self) -> list[Event]:
        made: list[Event] = []
        for second in range(self._seconds):
            if self._silence[0] <= second < self._silence[1]:
                continue
            made.append(status(StatusKind.HEARTBEAT, second))
            for name in self._mid:
                made += self._second(name, second)
        return sorted(made, key=lambda event: event.at)

    def _second(self, name: str, second: int) -> list[Event]:
        rng = self._rng
        if rng.random() < 0.3:
            return []
        count = min(int(rng.expovariate(1.0 / self._rate)), 12)
        return [self._event(name, second + rng.randrange(1, 999) / 1000.0) for _ in range(count)]

    def _event(self, name: str, when: float) -> Event:
        rng = self._rng
        self._mid[name] = mid = max(50.0, round(self._mid[name] + rng.gauss(0.0, 0.05), 2))
        kinds = {"BOOKS": "tqqb", "QUOTED": "tq", "TRADED": "t", "DEEP": "b"}[name.partition(".")[0]]
        kind = rng.choice(kinds)
        if kind == "t":
            condition = rng.choices((0, 1, 2), (0.9, 0.05, 0.05))[0]
            return trade(name, when, mid, rng.randrange(1, 400) / 8, rng.choice((1, -1, 0)), condition)
        if kind == "b":
            return book(name, when, self._levels(mid - 0.05, -1), self._levels(mid + 0.05, 1))
        bid, ask = round(mid - 0.01 * rng.randrange(0, 4), 2), round(mid + 0.01 * rng.randrange(1, 4), 2)
        bid_qty, ask_qty = rng.randrange(0, 80) / 8, rng.randrange(0, 80) / 8
        lone = rng.random()
        if lone < 0.03:
            return quote(name, when, NAN, ask, NAN, ask_qty)
        return quote(name, when, bid, NAN if lone < 0.06 else ask, bid_qty, 0.0 if lone < 0.06 else ask_qty)

    def _levels(self, best: float, direction: int) -> list[tuple[float, float]]:
        rng, price, levels = self._rng, best, []
        for _ in range(rng.choice((0, 2, 5, 10, 10, 10))):
            levels.append((round(price, 2), rng.randrange(1, 80) / 8))
            price += direction * 0.01 * rng.randrange(1, 3)
        return levels
