"""What every instrument last did: arrays that frames of the market log and of the engine move, vectorised."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tapewatch.clock import NANOS
from tapewatch.contract.frames import View
from tapewatch.contract.instruments import is_instrument_id
from tapewatch.contract.rows import Condition, RowType

MAX_INSTRUMENTS = 50_000
DAY = 86_400 * NANOS
MILLI = 1_000_000

ACTIONS = ("", "hold", "buy", "sell", "cancel_buy", "cancel_sell")
SEVERITIES = ("", "low", "medium", "high", "critical")
_MAX_DETECTORS = 32

Slots = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]


class Market:
    """Arrays by slot, one an instrument, in the order in which they were met. Not safe across threads.

    last, first : newest price, and the UTC day's first; volume : of the UTC day (the session's where quotes tell it)
    bid, ask : the touch; score : highest calibrated probability among detectors, newest of each
    action : of the newest signal (ACTIONS); alerts, severity : open alerts and the gravest of them (SEVERITIES)
    time : of the newest row, ms; dirty : what moved since `moved` was called
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.known: dict[str, int] = {}
        self._room(256)
        self._detectors: dict[str, int] = {}
        self._open: dict[int, dict[str, int]] = {}

    def _room(self, size: int) -> None:
        """Make the arrays that large."""
        old = len(self.names)

        def grown(name: str, dtype: Any, fill: Any, *more: int) -> None:
            array = np.full((size, *more), fill, dtype=dtype)
            if old:
                array[:old] = getattr(self, name)[:old]
            setattr(self, name, array)

        self.size = size
        for name in ("last", "first", "volume", "bid", "ask", "time"):
            grown(name, np.float64, np.nan)
        grown("score", np.float32, np.nan)
        grown("probability", np.float32, np.nan, _MAX_DETECTORS)
        grown("day", np.int64, -1)
        for name in ("action", "alerts", "severity"):
            grown(name, np.uint8, 0)
        for name in ("dirty", "priced", "cumulative", "traded"):
            grown(name, np.bool_, False)

    last: Floats
    first: Floats
    volume: Floats
    bid: Floats
    ask: Floats
    time: Floats
    score: npt.NDArray[np.float32]
    probability: npt.NDArray[np.float32]
    day: npt.NDArray[np.int64]
    action: npt.NDArray[np.uint8]
    alerts: npt.NDArray[np.uint8]
    severity: npt.NDArray[np.uint8]
    dirty: npt.NDArray[np.bool_]
    priced: npt.NDArray[np.bool_]
    cumulative: npt.NDArray[np.bool_]
    traded: npt.NDArray[np.bool_]

    def slot(self, name: str) -> int:
        """The slot of an instrument; -1 for what is none, and beyond 50,000."""
        found = self.known.get(name)
        if found is None:
            if not is_instrument_id(name) or len(self.names) >= MAX_INSTRUMENTS:
                return -1
            if len(self.names) == self.size:
                self._room(2 * self.size)
            found = self.known[name] = len(self.names)
            self.names.append(name)
            self.dirty[found] = True
        return found

    def slots(self, names: Iterable[str]) -> Slots:
        """Slots of names; -1 for what is none."""
        return np.array([self.slot(name) for name in names], dtype=np.intp)

    def change(self, slots: Slots) -> npt.NDArray[np.float32]:
        """Relative change since the day's first price."""
        first = self.first[slots]
        with np.errstate(invalid="ignore", divide="ignore"):
            changed: npt.NDArray[np.float32] = (self.last[slots] / first - 1).astype(np.float32)
        return changed

    def moved(self) -> Slots:
        """Slots that moved since the last call."""
        found = np.flatnonzero(self.dirty)
        self.dirty[found] = False
        return found

    def take_rows(self, view: View, entries: Slots, latest_ns: int) -> None:
        """Rows of a market frame. entries : slot of each entry of its dictionary; latest_ns : later rows do not count

        Rows that no admission would accept are passed over.
        """
        work = _TAKERS.get(view.type)
        if work is None or not len(entries):
            return
        codes, times = view.column("instrument"), view.column("ts_recv")
        inside = (codes >= 0) & (codes < len(entries)) & (times > 0) & (times <= latest_ns)
        slots = entries[np.where(inside, codes, 0)]
        keep = np.flatnonzero(inside & (slots >= 0))
        if not len(keep):
            return
        slots, times = slots[keep], times[keep]
        self._begin_days(slots, times)
        work(self, view, keep, slots)
        self.time[slots] = times / MILLI
        self.dirty[slots] = True

    def _begin_days(self, slots: Slots, times: npt.NDArray[np.int64]) -> None:
        days = times // DAY
        fresh = days > self.day[slots]
        if fresh.any():
            ours = slots[fresh]
            self.day[ours] = days[fresh]
            self.first[ours] = np.nan
            self.volume[ours] = 0.0

    def price(self, slots: Slots, prices: Floats) -> None:
        """Prices in the order of the rows; the first of a day is kept."""
        unknown = np.isnan(self.first[slots])
        if unknown.any():
            self.first[slots[unknown][::-1]] = prices[unknown][::-1]
        self.last[slots] = prices

    def take_scores(self, slots: Slots, names: Sequence[str], which: Any, chance: Any) -> None:
        """Scores of rows. names : of the detectors; which : detector's number of each row; chance : its probability"""
        columns = np.array([self._detector(name) for name in names] or [-1])
        inside = (which >= 0) & (which < len(columns)) & (slots >= 0) & np.isfinite(chance)
        column = columns[np.where(inside, which, 0)]
        keep = np.flatnonzero(inside & (column >= 0))
        if not len(keep):
            return
        self.probability[slots[keep], column[keep]] = chance[keep]
        touched = np.unique(slots[keep])
        self.score[touched] = np.nanmax(self.probability[touched], axis=1)
        self.dirty[touched] = True

    def _detector(self, name: str) -> int:
        if name not in self._detectors and len(self._detectors) < _MAX_DETECTORS:
            self._detectors[name] = len(self._detectors)
        return self._detectors.get(name, -1)

    def take_signal(self, name: str, action: str) -> None:
        """The newest action of a policy."""
        slot = self.slot(name)
        if slot >= 0 and action in ACTIONS:
            self.action[slot] = ACTIONS.index(action)
            self.dirty[slot] = True

    def take_alert(self, name: str, alert: str, severity: str, state: str) -> None:
        """An alert's newest revision."""
        slot = self.slot(name)
        if slot < 0:
            return
        ours = self._open.setdefault(slot, {})
        ours.pop(alert, None)
        if state != "closed" and severity in SEVERITIES:
            ours[alert] = SEVERITIES.index(severity)
        self.alerts[slot] = min(len(ours), 255)
        self.severity[slot] = max(ours.values(), default=0)
        self.dirty[slot] = True


def _sound(values: Floats) -> npt.NDArray[np.bool_]:
    """Whether each is a price."""
    return np.isfinite(values) & (values > 0)


def _quotes(market: Market, view: View, keep: Slots, slots: Slots) -> None:
    bid, ask = view.column("bid_price")[keep], view.column("ask_price")[keep]
    _touch(market, slots, bid, ask)
    last, volume = view.column("last_price")[keep], view.column("volume")[keep]
    known = _sound(last)
    market.price(slots[known], last[known])
    market.priced[slots[known]] = True
    told = np.isfinite(volume) & (volume >= 0)
    market.volume[slots[told]] = volume[told]
    market.cumulative[slots[told]] = True
    # A feed that tells of quotes alone: their middle stands for the price.
    both = _sound(bid) & _sound(ask) & ~market.priced[slots]
    market.price(slots[both], (bid[both] + ask[both]) / 2)


def _touch(market: Market, slots: Slots, bid: Floats, ask: Floats) -> None:
    market.bid[slots] = np.where(_sound(bid), bid, np.nan)
    market.ask[slots] = np.where(_sound(ask), ask, np.nan)


def _trades(market: Market, view: View, keep: Slots, slots: Slots) -> None:
    price, qty, condition = (view.column(name)[keep] for name in ("price", "qty", "condition"))
    regular = (condition == Condition.REGULAR) | (condition == Condition.AUCTION)
    counts = regular & _sound(price) & np.isfinite(qty) & (qty >= 0)
    ours = slots[counts]
    market.price(ours, price[counts])
    market.priced[ours] = market.traded[ours] = True
    added = counts & ~market.cumulative[slots]
    _add_volume(market, slots[added], qty[added])


def _books(market: Market, view: View, keep: Slots, slots: Slots) -> None:
    _touch(market, slots, view.column("bid_price")[keep, 0], view.column("ask_price")[keep, 0])


def _bars(market: Market, view: View, keep: Slots, slots: Slots) -> None:
    close, volume, interval = (view.column(name)[keep] for name in ("close", "volume", "interval_s"))
    counts = _sound(close) & ~market.traded[slots] & (interval < 86_400)
    market.price(slots[counts], close[counts])
    market.priced[slots[counts]] = True
    added = counts & np.isfinite(volume) & (volume >= 0) & ~market.cumulative[slots]
    _add_volume(market, slots[added], volume[added])


def _add_volume(market: Market, slots: Slots, volume: Floats) -> None:
    market.volume[slots] = np.nan_to_num(market.volume[slots])
    np.add.at(market.volume, slots, volume)


_TAKERS: dict[RowType, Callable[[Market, View, Slots, Slots], None]] = {
    RowType.QUOTE: _quotes,
    RowType.TRADE: _trades,
    RowType.BOOK: _books,
    RowType.BAR: _bars,
}
