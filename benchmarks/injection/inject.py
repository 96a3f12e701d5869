"""Draws what is injected into a recorded market, and when: a function of market, plan and seed."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from benchmarks.injection.book_scenarios import layering, quote_stuffing, spoofing
from benchmarks.injection.look_alikes import large_order, market_maker, news_jump, quoting_burst
from benchmarks.injection.market import RecordedMarket
from benchmarks.injection.overlay import overlaid
from benchmarks.injection.placing import Rng, ns
from benchmarks.injection.price_scenarios import marking_the_close, momentum_ignition, pump_and_dump, ramping
from benchmarks.injection.script import Label, Script
from tapewatch.clock import NANOS
from tapewatch.errors import TapewatchError
from tapewatch.rows import Rows

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
