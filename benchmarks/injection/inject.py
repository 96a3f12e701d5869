"""Draws what is injected into a recorded market, and when: a function of market, plan and seed.

Scenarios in which the price itself is moved. A recording cannot answer to trades that never were, so everything in
it (books, quotes, trades) is shifted along a price path from the event on: its own moves stay in, its liquidity does
not react.

What honest traders do that resembles manipulation: large orders, refreshes of market makers, bursts, news.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from benchmarks.injection.market import RecordedMarket
from benchmarks.injection.overlay import overlaid
from benchmarks.injection.placing import (
    Habit,
    Label,
    Print,
    RestingOrder,
    Rng,
    Script,
    between,
    cycles,
    deceptive_qty,
    drawn_side,
    fills,
    layering,
    ns,
    quote_stuffing,
    rest,
    spoofing,
)
from tapewatch.clock import NANOS
from tapewatch.contract.rows import Rows
from tapewatch.errors import TapewatchError

FILLED_SHARE = 0.89
STILL = Habit(0.0, 1, 0.0, 1, 0.0, 0.01)


def large_order(market: RecordedMarket, rng: Rng, begin: int, strength: float) -> Script:
    """A genuine order as large as a spoof, on one or several levels: 89 % stay until they are traded (or the recording
    ends), the others are given up after 1 to 60 s.
    """
    side, total = drawn_side(rng), deceptive_qty(market, rng, strength)
    parts = 1 if rng.random() < 0.6 else min(int(rng.integers(2, 6)), market.levels)
    levels = np.sort(rng.choice(min(8, market.levels), parts, replace=False))
    stays = rng.random() < FILLED_SHARE
    end = market.end if stays else min(market.end, begin + ns(between(rng, 1.0, 60.0)))
    resting: list[RestingOrder] = []
    prints: list[Print] = []
    for level in levels.tolist():
        start = begin + ns(rng.uniform(0.0, 0.8)) if parts > 1 else begin
        qty = round(total / parts * rng.uniform(0.6, 1.4), market.decimals)
        if stays:
            own, eaten = _until_traded(market, rng, side, level, qty, start)
            resting, prints = resting + own, prints + eaten
        else:
            resting += rest(market, rng, side, level, qty, start, max(end, start + 1), STILL)
    last = max((order.end for order in resting), default=end)
    return Script(Label("large_order", begin, last, strength, False), resting, prints)


def _until_traded(
    market: RecordedMarket, rng: Rng, side: int, level: int, qty: float, begin: int
) -> tuple[list[RestingOrder], list[Print]]:
    """An order that waits for the market to come to its price, and is eaten before the price goes through it."""
    price = float(market.side_at(side, begin)[level])
    through = market.run_over(side, price, begin, market.end)
    if through == market.end:
        return [RestingOrder(side, price, qty, begin, market.end)], []
    first = max(begin, through - ns(between(rng, 0.2, 5.0)))
    resting, prints = fills(market, rng, side, price, qty, first, through)
    waiting = [RestingOrder(side, price, qty, begin, first)] if first > begin else []
    return waiting + resting, prints


def market_maker(market: RecordedMarket, rng: Rng, begin: int, strength: float) -> Script:
    """A market maker on several levels, mostly of both sides, who cancels and replaces them all every few moments."""
    lasts = between(rng, 2.0, 30.0)
    end = min(market.end, begin + ns(lasts))
    sides = (0, 1) if rng.random() < 0.75 else (drawn_side(rng),)
    count = min(int(rng.integers(2, 8)), market.levels)
    each = deceptive_qty(market, rng, strength) / count * rng.uniform(0.3, 1.0)
    pause, pace = between(rng, 0.03, 0.4), between(rng, 0.3, 4.0)
    resting: list[RestingOrder] = []
    when = begin
    while when < end:
        until = min(end, when + ns(pace * rng.uniform(0.5, 1.5)))
        for side in sides:
            for level in np.sort(rng.choice(market.levels, count, replace=False)).tolist():
                resting += rest(market, rng, side, level, each * rng.uniform(0.8, 1.2), when, until, STILL)
        when = until + ns(pause * rng.uniform(0.5, 1.5))
    return Script(Label("market_maker", begin, end, strength, False), resting)


def quoting_burst(market: RecordedMarket, rng: Rng, begin: int, strength: float) -> Script:
    """Genuine quoting in haste, at up to two thirds of stuffing's rate, with the trades that cause it."""
    lasts = between(rng, 0.8, 8.0)
    end = begin + ns(lasts)
    entries = int(rng.uniform(0.1, 0.5) * strength * market.quotes_per_second * lasts)
    resting = cycles(market, rng, begin, end, entries, touch_share=rng.uniform(0.5, 1.0))
    prints = _two_sided(market, rng, begin, end, rng.uniform(1.0, 4.0) * market.trades_per_second)
    return Script(Label("quoting_burst", begin, end, strength, False), resting, prints)


def news_jump(market: RecordedMarket, rng: Rng, begin: int, strength: float) -> Script:
    """The price is another by .02 to .3 % within 0.3 to 3 s and stays, with heavy trading on both sides."""
    jump = between(rng, 0.0002, 0.003) * (1.0 if rng.random() < 0.5 else -1.0)
    takes, fade = rng.uniform(0.3, 3.0), between(rng, 3.0, 20.0)
    end = min(market.end, begin + ns(takes + fade))

    def drift(when: int) -> float:
        return float(jump * min(1.0, max(0.0, (when - begin) / ns(takes))))

    prints = _two_sided(market, rng, begin, end, rng.uniform(1.0, 3.0) * market.trades_per_second)
    return Script(Label("news_jump", begin, end, strength, False), [], prints, drift)


def _two_sided(market: RecordedMarket, rng: Rng, begin: int, end: int, rate: float) -> list[Print]:
    """Trades at the touch on both sides, sized as recorded ones."""
    prints = []
    for when in np.sort(rng.integers(begin, max(begin + 1, end), int(rate * (end - begin) / 1e9))).tolist():
        side = 1 if rng.random() < 0.5 else -1
        qty = float(market.trades["qty"][int(rng.integers(len(market.trades["qty"])))])
        prints.append(Print(when, market.touch_at(when)[1 if side > 0 else 0], qty, side))
    return prints


Path = Callable[[float], float]


def momentum_ignition(market: RecordedMarket, rng: Rng, begin: int, strength: float) -> Script:
    """Aggressive orders of one side drive the price by .02 to .06 % times strength in 2 to 15 s; most of it comes back
    while the trader gets out on the other side.
    """
    up, back = between(rng, 2.0, 15.0), between(rng, 5.0, 30.0)
    top, share = rng.uniform(2e-4, 6e-4) * strength, rng.uniform(0.6, 1.0)
    side = 1 if drawn_side(rng) == 0 else -1

    def path(t: float) -> float:
        if t < up:
            return side * top * t / up
        return side * top * (1.0 - share * min(1.0, (t - up) / back))

    rate = market.trades_per_second * rng.uniform(1.0, 2.0) * strength
    flows = [(0.0, up, rate, 0.9, side), (up, up + back, 0.4 * rate, 0.8, -side)]
    return _driven("momentum_ignition", market, rng, begin, up + back, strength, path, flows)


def ramping(market: RecordedMarket, rng: Rng, begin: int, strength: float) -> Script:
    """Small steady orders of one side carry the price by .05 to .15 % times strength in 30 to 120 s; a third fades."""
    lasts, fade = between(rng, 30.0, 120.0), 30.0
    top, side = rng.uniform(5e-4, 1.5e-3) * strength, 1 if drawn_side(rng) == 0 else -1

    def path(t: float) -> float:
        return side * top * (min(1.0, t / lasts) - 0.3 * min(1.0, max(0.0, (t - lasts) / fade)))

    flows = [(0.0, lasts, market.trades_per_second * rng.uniform(0.2, 0.5) * strength, 0.95, side)]
    return _driven("ramping", market, rng, begin, lasts, strength, path, flows)


def marking_the_close(market: RecordedMarket, rng: Rng, begin: int, strength: float) -> Script:
    """In the recording's last 5 to 60 s, orders of one side push the price by .02 to .08 % times strength; `begin` only
    bounds it from below.
    """
    lasts = min(between(rng, 5.0, 60.0), (market.end - begin) / NANOS)
    start = market.end - ns(lasts)
    top, side = rng.uniform(2e-4, 8e-4) * strength, 1 if drawn_side(rng) == 0 else -1
    flows = [(0.0, lasts, market.trades_per_second * rng.uniform(0.5, 1.5) * strength, 0.95, side)]
    return _driven(
        "marking_the_close", market, rng, start, lasts, strength, lambda t: side * top * min(1.0, t / lasts), flows
    )


def pump_and_dump(market: RecordedMarket, rng: Rng, begin: int, strength: float) -> Script:
    """A rush of market buys lifts the price by 1 to 3 % times strength in 10 to 60 s; selling brings it back."""
    up, down = between(rng, 10.0, 60.0), between(rng, 30.0, 120.0)
    top, back = float(np.log1p(rng.uniform(0.01, 0.03) * strength)), rng.uniform(0.6, 1.0)

    def path(t: float) -> float:
        if t < up:
            return float(top * (1.0 - np.exp(-3.0 * t / up)) / (1.0 - np.exp(-3.0)))
        return float(top * (1.0 - back * min(1.0, (t - up) / down)))

    rate = market.trades_per_second * rng.uniform(2.0, 6.0)
    flows = [(0.0, up, rate, 0.9, 1), (up, up + down, 0.5 * rate, 0.75, -1)]
    return _driven("pump_and_dump", market, rng, begin, up + down, strength, path, flows)


def _driven(
    name: str,
    market: RecordedMarket,
    rng: Rng,
    begin: int,
    lasts: float,
    strength: float,
    path: Path,
    flows: list[tuple[float, float, float, float, int]],
) -> Script:
    """A price path with its trades. flows : from s, to s, trades/s, share of the side, side."""
    prints = []
    sizes = market.trades["qty"]
    for start, stop, rate, share, lean in flows:
        low = begin + ns(start)
        high = max(low + 1, min(begin + ns(stop), market.end))
        for when in np.sort(rng.integers(low, high, int(rate * (high - low) / NANOS))).tolist():
            side = lean if rng.random() < share else -lean
            touch = market.touch_at(when)
            prints.append(Print(when, touch[1 if side > 0 else 0], float(sizes[int(rng.integers(len(sizes)))]), side))
    end = min(market.end, begin + ns(lasts))
    label = Label(name, begin, end, strength, True)
    return Script(label, [], prints, lambda when: path(max(0, when - begin) / NANOS) if when > begin else 0.0)


Draw = Callable[[RecordedMarket, Rng, int, float], Script]

BOOK_SCENARIOS: dict[str, Draw] = {"spoofing": spoofing, "layering": layering, "quote_stuffing": quote_stuffing}
PRICE_SCENARIOS: dict[str, Draw] = {
    "momentum_ignition": momentum_ignition,
    "ramping": ramping,
    "marking_the_close": marking_the_close,
    "pump_and_dump": pump_and_dump,
}
LOOK_ALIKES: dict[str, Draw] = {
    "large_order": large_order,
    "market_maker": market_maker,
    "quoting_burst": quoting_burst,
    "news_jump": news_jump,
}
LOOK_ALIKE_SHARES = (0.45, 0.3, 0.2, 0.05)
ALL_SCENARIOS = BOOK_SCENARIOS | PRICE_SCENARIOS

APART_S = 8.0
"""Least time between manipulations of one market, so that each can be told from the next."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of what is injected.

    scenarios : names, in turn; each_s : a manipulation every so many seconds; alike_s : a look-alike every so many
    seconds; warm_s : nothing before; strengths : one is drawn for each event
    extra_books : whether injected changes bring book rows of their own; None draws it for each seed
    """

    scenarios: tuple[str, ...] = tuple(BOOK_SCENARIOS)
    strengths: tuple[float, ...] = (3.0,)
    each_s: float = 22.0
    alike_s: float = 18.0
    warm_s: float = 20.0
    extra_books: bool | None = None

    def __post_init__(self) -> None:
        unknown = sorted(set(self.scenarios) - set(ALL_SCENARIOS))
        if unknown:
            raise TapewatchError(f"no scenario {unknown[0]!r}", "One of " + ", ".join(ALL_SCENARIOS) + ".")


@dataclass(frozen=True, slots=True)
class LabelledMarket:
    """A market with manipulation in it. rows : trades, quotes, books; labels : manipulations, then look-alikes."""

    instrument: str
    rows: list[Rows]
    labels: list[Label] = field(default_factory=list)

    @property
    def manipulations(self) -> list[Label]:
        """Labels of what a detector should find."""
        return [label for label in self.labels if label.manipulation]

    @property
    def look_alikes(self) -> list[Label]:
        """What it should not name."""
        return [label for label in self.labels if not label.manipulation]


def inject(market: RecordedMarket, plan: Plan, seed: int) -> LabelledMarket:
    """The market with manipulations and look-alikes drawn from `seed`; the same seed gives the same rows."""
    rng = np.random.default_rng([seed, *market.name.encode()])
    wanted = [name for name in plan.scenarios if market.levels >= 3 or name not in ("layering",)]
    scripts = _manipulations(market, rng, plan, wanted) + _honest(market, rng, plan)
    extra = bool(rng.random() < 0.5) if plan.extra_books is None else plan.extra_books
    rows = overlaid(market, scripts, extra)
    labels = sorted((script.label for script in scripts), key=lambda label: (not label.manipulation, label.begin))
    return LabelledMarket(market.instrument, rows, labels)


def _manipulations(market: RecordedMarket, rng: Rng, plan: Plan, names: list[str]) -> list[Script]:
    """One every `each_s`, scenarios in turn from a random one on, each beginning after the last has ended."""
    scripts: list[Script] = []
    when = market.begin + ns(plan.warm_s)
    turn = int(rng.integers(len(names)))
    while when < market.end - ns(20.0):
        name = names[turn % len(names)]
        start = when + ns(plan.each_s * 0.3 * rng.random())
        script = ALL_SCENARIOS[name](market, rng, start, float(rng.choice(plan.strengths)))
        if _exists(script):
            scripts.append(script)
            turn += 1
            if name == "marking_the_close":
                break
            when = max(when + ns(plan.each_s), script.label.end + ns(APART_S))
        else:
            when += NANOS
    return scripts


def _honest(market: RecordedMarket, rng: Rng, plan: Plan) -> list[Script]:
    """Look-alikes at random times, also over manipulations."""
    count = int((market.end - market.begin) / ns(plan.alike_s)) if plan.alike_s else 0
    begins = rng.integers(market.begin + ns(5.0), market.end - ns(12.0), count)
    kinds = rng.choice(len(LOOK_ALIKES), count, p=LOOK_ALIKE_SHARES)
    draws = list(LOOK_ALIKES.values())
    scripts = [
        draws[kind](market, rng, begin, float(rng.choice(plan.strengths)))
        for begin, kind in zip(begins.tolist(), kinds.tolist(), strict=True)
    ]
    return [script for script in scripts if _exists(script)]


def _exists(script: Script) -> bool:
    return bool(script.resting or script.prints)
