"""What is injected: each scenario as what it does to an instrument's flow (a drive) or book (a script of orders).

The ranges come from published calibrations and were fixed before any detector was tuned; docs/synthetic-market.md gives
the reasons. Times are seconds since the market's start; `strength` is the label's (see `Label`).

When what is injected where: planned and random events that never overlap on an instrument, and their labels.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from producers.synthetic.book import ASK, BID, CANCEL, HIT, PLACE, REFRESH, TRADE
from producers.synthetic.config import MANIPULATIONS, Rota, SyntheticConfig
from producers.synthetic.labels import Label
from tapewatch.clock import NANOS

Step = tuple[float, int, int, int, int]
"""Time in s, action code, side, level, lots."""


@dataclass(frozen=True, slots=True)
class FlowBaseline:
    """What is usual for the instrument: trades/s, quote updates/s, mean lots of a limit order."""

    trades: float
    updates: float
    order_lots: float


@dataclass(slots=True)
class Event:
    """An injected event.

    keep : share of the price offset at its end that stays for good; the rest decays over minutes
    moves_price : whether the long cooldown follows
    offset : time since the beginning in s -> log price offset
    drive : time since the beginning in s, drive record -> sets fields of the record for the second
    steps : script in time order; hidden orders placed by it are gone after `end_s`
    placed_s : when the last order of the script is placed; an event without any left after that has ended
    """

    scenario: str
    begin_s: float
    end_s: float
    strength: float
    keep: float = 0.0
    moves_price: bool = False
    offset: Callable[[float], float] | None = None
    drive: Callable[[float, Any], None] | None = None
    steps: list[Step] = field(default_factory=list)
    placed_s: float = np.inf
    pause: bool = False


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    return float(low * (high / low) ** rng.random())


def pump_and_dump(rng: np.random.Generator, begin: float, intensity: float, usual: FlowBaseline) -> Event:
    """A rush of market buys lifts the price by 5 to 60 % in 10 to 90 s; selling brings it back in 1 to 5 minutes."""
    rise = 0.05 * 12.0**intensity
    up, down = _between(rng, 10.0, 90.0), _between(rng, 60.0, 300.0)
    back, buys, sells = rng.uniform(0.6, 1.0), rng.uniform(0.7, 0.95), rng.uniform(0.6, 0.85)
    orders = max(8.0, _between(rng, 10.0, 50.0) * usual.trades)
    top = np.log1p(rise)

    def offset(t: float) -> float:
        if t < up:
            return float(top * (1.0 - np.exp(-3.0 * t / up)) / (1.0 - np.exp(-3.0)))
        fallen = (1.0 - np.exp(-2.5 * min(1.0, (t - up) / down))) / (1.0 - np.exp(-2.5))
        return float(top + np.log1p(-back * rise / (1.0 + rise)) * fallen)

    def drive(t: float, name: Any) -> None:
        if t < up:
            name["orders"], name["buy"], name["size"], name["eaten"] = orders, buys, 1.5, ASK
            name["scale"], name["stress"] = 3.0, 2.0
        else:
            left = np.exp(-2.0 * (t - up) / down)
            name["orders"], name["buy"], name["size"], name["eaten"] = 0.5 * orders * left, 1.0 - sells, 1.2, BID
            name["scale"], name["stress"] = 1.0 + 2.0 * left, 1.0 + left

    return Event("pump_and_dump", begin, begin + up + down, rise, 1.0, True, offset, drive)


def news_jump(rng: np.random.Generator, begin: float, intensity: float, usual: FlowBaseline) -> Event:
    """News: the price is another by 2 to 20 % within 1 to 3 s, up or down, and stays; two-sided trading for minutes."""
    jump = 0.02 * 10.0**intensity * (1.0 if rng.random() < 0.5 else -1.0)
    takes, fade = rng.uniform(1.0, 3.0), _between(rng, 30.0, 90.0)
    heavy, wide = _between(rng, 10.0, 40.0), rng.uniform(1.0, 4.0)
    least = max(heavy, 8.0 / usual.trades) * 0.5

    def offset(t: float) -> float:
        return float(np.log1p(jump) * min(1.0, t / takes))

    def drive(t: float, name: Any) -> None:
        left = np.exp(-max(0.0, t - takes) / fade)
        name["orders"], name["buy"], name["size"] = least * usual.trades * left, 0.5, 1.5
        name["scale"], name["stress"] = 1.0 + 0.5 * heavy * left, 1.0 + wide * left

    return Event("news_jump", begin, begin + takes + 3.0 * fade, jump, 1.0, True, offset, drive)


def ramping(rng: np.random.Generator, begin: float, intensity: float, usual: FlowBaseline) -> Event:
    """Small steady market buys carry the price up by 1 to 4 % in 2 to 6 minutes."""
    drift, lasts = 0.01 * 4.0**intensity, rng.uniform(120.0, 360.0)
    orders = rng.uniform(0.5, 1.5) + 0.5 * usual.trades

    def offset(t: float) -> float:
        return float(np.log1p(drift) * min(1.0, t / lasts))

    def drive(_: float, name: Any) -> None:
        name["orders"], name["buy"], name["size"] = orders, 0.97, 0.5

    return Event("ramping", begin, begin + lasts, drift, 0.3, True, offset, drive)


def quote_stuffing(rng: np.random.Generator, begin: float, intensity: float, usual: FlowBaseline) -> Event:
    """Bursts of quote updates without trades, 10 to 50 times the usual rate, for 2 to 15 s."""
    multiple = 10.0 * 5.0**intensity
    updates = max(60.0, multiple * usual.updates)

    def drive(_: float, name: Any) -> None:
        name["flicker"] = updates

    return Event("quote_stuffing", begin, begin + rng.uniform(2.0, 15.0), multiple, drive=drive)


def _evade(_: float, name: Any) -> None:
    name["evade"] = 1


def _opposite(rng: np.random.Generator, side: int, begin: float, hold: float, usual: FlowBaseline) -> list[Step]:
    """One or two small trades that heavy orders on `side` invite: buys where the bid is heavy, else sells."""
    taker = 1 if side == BID else -1
    times = begin + hold * rng.uniform(0.3, 0.9, rng.integers(1, 3))
    return [(float(t), TRADE, taker, 0, max(1, round(usual.order_lots * rng.uniform(0.3, 1.0)))) for t in times]


def spoofing(rng: np.random.Generator, begin: float, intensity: float, usual: FlowBaseline) -> Event:
    """One order of 10 to 50 genuine sizes behind the touch, gone in 1 to 10 s (2 % filled); small trades."""
    multiple, side = 10.0 * 5.0**intensity, int(rng.integers(2))
    hold, level = _between(rng, 1.0, 10.0), int(rng.integers(1, 7))
    lots = round(multiple * usual.order_lots)
    caught = rng.random() < 0.02
    end = begin + hold
    steps = [(begin, PLACE, side, 0 if caught else level, lots), *_opposite(rng, side, begin, hold, usual)]
    if caught:
        steps.append((end - 0.1, HIT, side, 0, lots))
    steps.append((end, CANCEL, side, 0, 0))
    return Event(
        "spoofing", begin, end, multiple, drive=None if caught else _evade, steps=sorted(steps), placed_s=begin
    )


def layering(rng: np.random.Generator, begin: float, intensity: float, usual: FlowBaseline) -> Event:
    """3 to 6 orders on successive levels, together 10 to 50 genuine sizes, gone at once after 2 to 12 s."""
    multiple, side, levels = 10.0 * 5.0**intensity, int(rng.integers(2)), int(rng.integers(3, 7))
    hold, build = _between(rng, 2.0, 12.0), rng.uniform(0.2, 1.2)
    nearest = int(rng.integers(1, 4))
    steps: list[Step] = []
    for k in range(levels):
        lots = max(1, round(multiple * usual.order_lots / levels * rng.uniform(0.8, 1.2)))
        steps.append((begin + build * k / (levels - 1), PLACE, side, nearest + k, lots))
    steps += _opposite(rng, side, begin + build, hold - build, usual)
    steps.append((begin + hold, CANCEL, side, 0, 0))
    return Event("layering", begin, begin + hold, multiple, drive=_evade, steps=sorted(steps), placed_s=begin + build)


def large_order(rng: np.random.Generator, begin: float, intensity: float, usual: FlowBaseline) -> Event:
    """A genuine order of 10 to 50 usual sizes at or near the touch; 89 % stay until filled, the others are given up."""
    multiple, side, level = 10.0 * 5.0**intensity, int(rng.integers(2)), int(rng.integers(3))
    lots = round(multiple * usual.order_lots)
    steps: list[Step] = [(begin, PLACE, side, level, lots)]
    if rng.random() < 0.89:
        t = begin + rng.uniform(1.0, 20.0)
        while t < begin + 290.0:
            steps.append((t, HIT, side, 0, max(1, round(lots * rng.uniform(0.05, 0.25)))))
            t += float(rng.exponential(2.0))
        end = begin + 300.0
    else:
        end = begin + rng.uniform(20.0, 120.0)
    steps.append((end, CANCEL, side, 0, 0))
    return Event("large_order", begin, end, multiple, steps=steps, placed_s=begin)


def mm_refresh(rng: np.random.Generator, begin: float, intensity: float, usual: FlowBaseline) -> Event:
    """A market maker quotes the whole book anew 3 to 8 times within 1 to 4 s, with 5 to 20 times the usual updates."""
    multiple, lasts = 5.0 * 4.0**intensity, rng.uniform(1.0, 4.0)
    updates = multiple * usual.updates
    times = begin + lasts * np.sort(rng.random(int(rng.integers(3, 9))))
    steps = [(float(t) + 1e-6 * side, REFRESH, side, 0, 0) for t in times for side in (BID, ASK)]

    def drive(_: float, name: Any) -> None:
        name["flicker"] = updates

    return Event("mm_refresh", begin, begin + lasts, multiple, drive=drive, steps=steps)


def auction(rng: np.random.Generator, begin: float, _: float, __: FlowBaseline) -> Event:
    """Continuous trading is interrupted by a call of 10 to 40 s that ends in one large trade."""
    start = float(np.ceil(begin))
    return Event("auction", start, start + int(rng.integers(10, 41)), 0.0, pause=True)


def halt(rng: np.random.Generator, begin: float, _: float, __: FlowBaseline) -> Event:
    """Trading is halted for 1 to 5 minutes."""
    start = float(np.ceil(begin))
    return Event("halt", start, start + int(rng.integers(60, 301)), 0.0, moves_price=True, pause=True)


DRAW: dict[str, Callable[[np.random.Generator, float, float, FlowBaseline], Event]] = {
    "pump_and_dump": pump_and_dump,
    "spoofing": spoofing,
    "layering": layering,
    "quote_stuffing": quote_stuffing,
    "ramping": ramping,
    "news_jump": news_jump,
    "large_order": large_order,
    "mm_refresh": mm_refresh,
    "auction": auction,
    "halt": halt,
}
"""Scenario -> (generator, beginning in s, intensity 0..1 within the range, what is usual) -> the event."""


REMEMBERED = 64
"""Events that are over and still labelled where a rota goes on for ever."""


class Schedule:
    """The events of one run.

    active : instrument -> the event it is in, or about to begin within this second or the next
    rota : further events, in turn; one whose instrument is not free then is left out
    """

    def __init__(
        self,
        config: SyntheticConfig,
        ids: tuple[str, ...],
        start_ns: int,
        rng: np.random.Generator,
        rota: Rota | None = None,
    ) -> None:
        self.active: dict[int, Event] = {}
        self._config = config
        self._ids = ids
        self._start_ns = start_ns
        self._rng = rng
        self._free_from = np.zeros(len(ids))
        self._plan = sorted(config.plan, key=lambda planned: planned.at_s)
        self._rates = {scenario: rate for scenario, rate in config.rates().items() if rate > 0}
        self._done: deque[tuple[Event, int]] = deque(maxlen=None if rota is None else REMEMBERED)
        self._rota, self._turn = rota, 0

    def open_second(self, second: int, usual: Callable[[int], FlowBaseline]) -> list[tuple[int, Event]]:
        """Draw the events that begin in `second`; returns (instrument, event) of each."""
        since = second - self._config.warmup_s
        if since < 0:
            return []
        begun = [self._drawn(scenario, second, usual) for scenario in self._due(since)]
        begun += [self._begin(scenario, instrument, second, usual) for scenario, instrument in self._turns(since)]
        return [one for one in begun if one is not None]

    def _due(self, since: float) -> list[str]:
        due = []
        while self._plan and self._plan[0].at_s < since + 1.0:
            due.append(self._plan.pop(0).scenario)
        for scenario, rate in self._rates.items():
            due += [scenario] * int(self._rng.poisson(rate * len(self._ids) / 3600.0))
        return due

    def _turns(self, since: float) -> Iterator[tuple[str, int]]:
        """What the rota has for the second that begins `since` seconds after the warm-up."""
        while self._rota is not None and (self._turn + 1) * self._rota.every_s < since + 1.0:
            yield self._rota.event(self._turn, len(self._ids))
            self._turn += 1

    def _drawn(self, scenario: str, second: int, usual: Callable[[int], FlowBaseline]) -> tuple[int, Event] | None:
        free = np.flatnonzero(self._free_from <= second)
        return self._begin(scenario, int(self._rng.choice(free)), second, usual) if len(free) else None

    def _begin(
        self, scenario: str, instrument: int, second: int, usual: Callable[[int], FlowBaseline]
    ) -> tuple[int, Event] | None:
        if self._free_from[instrument] > second:
            return None
        intensity = self._rng.uniform(self._config.strength_low, self._config.strength_high)
        event = DRAW[scenario](self._rng, second + 0.9 * self._rng.random(), float(intensity), usual(instrument))
        self._free_from[instrument] = np.inf
        self.active[instrument] = event
        return instrument, event

    def close_second(self, second: int, has_orders: Callable[[int], bool]) -> list[tuple[int, Event]]:
        """End the events that are over after `second`, early where no injected order is left; returns what ended.

        A pause lasts one second longer here than its label, for the second in which trading resumes belongs to it.
        """
        ended = []
        for instrument, event in list(self.active.items()):
            gone = event.placed_s < second + 1.0 < event.end_s and not has_orders(instrument)
            if gone:
                event.end_s = second + 1.0
            if second + 1.0 >= event.end_s + event.pause:
                ended.append((instrument, event))
                self._done.append((event, instrument))
                self._free_from[instrument] = event.end_s + (
                    self._config.cooldown_s if event.moves_price else self._config.gap_s
                )
                del self.active[instrument]
        return ended

    def labels(self, now_s: float) -> list[Label]:
        """Labels of the events begun before `now_s`, by their beginning."""
        known = [*self._done, *((event, instrument) for instrument, event in self.active.items())]
        begun = sorted((one for one in known if one[0].begin_s < now_s), key=lambda one: (one[0].begin_s, one[1]))
        return [
            Label(
                scenario=event.scenario,
                instrument=self._ids[instrument],
                start_ns=self._start_ns + int(event.begin_s * NANOS),
                end_ns=self._start_ns + int(event.end_s * NANOS),
                strength=event.strength,
                labelled=event.scenario in MANIPULATIONS,
            )
            for event, instrument in begun
        ]
