"""A true case and a look-alike for every scenario of the library, as small markets: its positive and negative control.

Tests hold that the one alerts and the other does not; `python -m benchmarks.scenario_pages` draws the true cases.

Small pictures of one case as SVG text: panels over one time axis, the span of the case and the alert's decision.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.control_market import FIXING_AT, Market, Print

_WIDTH, _PANEL, _LEFT, _GAP = 640.0, 110.0, 8.0, 26.0
_LINE, _CASE, _ALERT = "#1f5a99", "#f6d9a8", "#b3261e"


@dataclass(frozen=True, slots=True)
class Series:
    """One panel. times : s; values : as many numbers; drawn as a line, else as bars or dots."""

    title: str
    times: npt.NDArray[Any]
    values: npt.NDArray[Any]
    bars: bool = False
    dots: bool = False


def picture(panels: Sequence[Series], case: tuple[float, float], title: str) -> str:
    """The panels one below another; case : onset and decision, s."""
    first = float(min(panel.times.min() for panel in panels))
    last = float(max(panel.times.max() for panel in panels))

    def x(when: float) -> float:
        return _LEFT + (when - first) / max(last - first, 1e-9) * (_WIDTH - 2 * _LEFT)

    height = _GAP + len(panels) * (_PANEL + _GAP)
    begin, end = x(max(case[0], first)), x(case[1])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:.0f} {height:.0f}" '
        f'font-family="sans-serif" font-size="12" role="img"><title>{escape(title)}</title>',
        f'<rect width="{_WIDTH:.0f}" height="{height:.0f}" fill="white"/>',
        f'<rect x="{begin:.1f}" y="{_GAP:.0f}" width="{max(end - begin, 1.0):.1f}" height="{height - 2 * _GAP:.0f}" '
        f'fill="{_CASE}"/>',
    ]
    for place, panel in enumerate(panels):
        top = _GAP + place * (_PANEL + _GAP)
        parts.append(_panel(panel, top, x))
    parts.append(
        f'<path d="M{end:.1f} {_GAP:.0f}V{height - _GAP:.0f}" stroke="{_ALERT}" stroke-width="1.5"/>'
        f'<text x="{min(end + 4, _WIDTH - 40):.1f}" y="{height - _GAP + 14:.0f}" fill="{_ALERT}">alert</text>'
        f'<text x="{_LEFT:.0f}" y="{height - 8:.0f}" fill="#555">{last - first:.0f} s; shaded: onset to alert</text>'
        "</svg>\n"
    )
    return "\n".join(parts)


def _panel(panel: Series, top: float, x: Callable[[float], float]) -> str:
    low, high = float(panel.values.min()), float(panel.values.max())
    if panel.bars:
        low = 0.0
    scale = _PANEL / max(high - low, 1e-12)
    points = [
        (x(float(when)), top + _PANEL - (float(value) - low) * scale)
        for when, value in zip(panel.times, panel.values, strict=True)
    ]
    if panel.bars:
        path = "".join(f"M{a:.1f} {top + _PANEL:.1f}V{b:.1f}" for a, b in points)
        drawn = f'<path d="{path}" stroke="{_LINE}" stroke-width="1.2"/>'
    elif panel.dots:
        path = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in points)
        drawn = f'<path d="{path}" stroke="{_LINE}" stroke-width="3.5" stroke-linecap="round"/>'
    else:
        path = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in points)
        drawn = f'<path d="{path}" fill="none" stroke="{_LINE}" stroke-width="1.4"/>'
    label = f"{escape(panel.title)}, {low:.4g} to {high:.4g}"
    return f'<text x="{_LEFT:.0f}" y="{top - 6:.0f}" fill="#222">{label}</text>{drawn}'


AT = 1300
"""When something happens in most of them, s since the start."""

Control = Callable[[Market], None]


def _push(market: Market, first: int, last: int, by: float, buys: float, rate: float = 6.0, size: float = 2.0) -> None:
    """Carry the price by a log return, evenly, on trading of the given kind."""
    when = slice(first, last)
    market.move[when] += by / (last - first)
    market.buys[when], market.rate[when], market.size[when] = buys, rate, size


def _news(market: Market, at: int, by: float) -> None:
    """The price is another within a second; wide spreads and heavy two-sided trading fade over two minutes."""
    market.move[at] += by
    left = np.exp(-np.arange(180) / 40.0)
    market.rate[at : at + 180] *= 1.0 + 9.0 * left
    market.spread[at : at + 180] *= 1.0 + 3.0 * left


def ignited(market: Market) -> None:
    """A burst of buys up by .8 % in 10 s, sold back to two thirds in the next 20 s."""
    _push(market, AT, AT + 10, 0.008, 0.95, rate=30.0)
    _push(market, AT + 10, AT + 30, -0.0055, 0.15, rate=15.0)


def ramped(market: Market) -> None:
    """Small steady buys up by 1.5 % in four minutes."""
    _push(market, AT, AT + 240, 0.015, 0.9, rate=3.0, size=1.0)


def trashed(market: Market) -> None:
    """A rush of sellers down by 5 % in 20 s."""
    _push(market, AT, AT + 20, -0.05, 0.1, rate=40.0, size=3.0)


def pumped(market: Market) -> None:
    """A rush of buyers up by 5 % in 20 s."""
    _push(market, AT, AT + 20, 0.05, 0.9, rate=40.0, size=3.0)


def opened(market: Market) -> None:
    """Buyers push the first minutes up by 3 %."""
    market.opens = True
    _push(market, 90, 150, 0.03, 0.92)


def busy_open(market: Market) -> None:
    """Heavy two-sided trading from the open on, while the price finds its way by 3 %."""
    market.opens = True
    _push(market, 10, 150, 0.03, 0.55, rate=12.0)


def closed(market: Market) -> None:
    """Buyers push the last minute up by .6 %."""
    market.opens, market.closes_at = True, AT + 65
    _push(market, AT, AT + 60, 0.006, 0.92)


def busy_close(market: Market) -> None:
    """The last five minutes trade five times as much as usual, on both sides."""
    market.opens, market.closes_at = True, AT + 65
    _push(market, AT - 240, AT + 60, 0.002, 0.55, rate=10.0)


def fixed(market: Market) -> None:
    """Sellers push the minute before the fixing down by .6 %."""
    _push(market, FIXING_AT - 60, FIXING_AT, -0.006, 0.08)


def busy_fixing(market: Market) -> None:
    """News at the hour of the fixing."""
    _news(market, FIXING_AT - 30, -0.006)


def advanced(market: Market) -> None:
    """The bid is raised tick by tick by 1 % in two minutes, with a trade every ten seconds."""
    _push(market, AT, AT + 120, 0.01, 0.5, rate=0.1)


def rallied(market: Market) -> None:
    """The same rise, traded."""
    _push(market, AT, AT + 120, 0.01, 0.75, rate=6.0)


def floored(market: Market) -> None:
    """Two minutes of heavy selling into a bid that does not give way, in an instrument of narrow spreads."""
    market.move *= 4.0
    market.spread[:] = 0.5
    _push(market, AT, AT + 120, 0.0, 0.05, rate=15.0, size=3.0)
    market.move[AT : AT + 120] = 0.0


def sold_off(market: Market) -> None:
    """The same selling, and the price goes with it."""
    market.move *= 4.0
    market.spread[:] = 0.5
    _push(market, AT, AT + 120, -0.004, 0.05, rate=15.0, size=3.0)


def widened(market: Market) -> None:
    """Spreads of 80 basis points for half a minute, out of nothing."""
    market.spread[AT : AT + 30] = 80.0


def swept(market: Market) -> None:
    """One buy order through twelve prices, .6 % up, within a millisecond; the market follows by a part."""
    market.prints = [Print(AT + 0.5, 0.0005 * level, 20.0, 1) for level in range(1, 13)]
    market.move[AT] += 0.003


def two_levels(market: Market) -> None:
    """A large order filled at two prices."""
    market.prints = [Print(AT + 0.5, 0.0001 * level, 60.0, 1) for level in range(1, 3)]


def pinged(market: Market) -> None:
    """Eight seconds of twenty tiny trades each."""
    market.prints = [Print(AT + number / 20, 0.0001, 0.05, 1) for number in range(160)]


def sliced(market: Market) -> None:
    """A large order in slices of a third of the usual size, ten a second."""
    market.prints = [Print(AT + number / 10, 0.0001, 0.6, 1) for number in range(80)]


def misprinted(market: Market) -> None:
    """One trade 4 % above the market."""
    market.prints = [Print(AT + 0.5, 0.04, 2.0, 1)]


def jumped(market: Market) -> None:
    """News: quotes and trades 4 % higher from one second to the next."""
    _news(market, AT, 0.04)


def rushed(market: Market) -> None:
    """Eighty times the usual trading for a minute and a half."""
    market.rate[AT : AT + 90] *= 80.0


def busy(market: Market) -> None:
    """Eight times the usual trading for a minute and a half."""
    market.rate[AT : AT + 90] *= 8.0


def blocked(market: Market) -> None:
    """One trade of a thousand times the usual size."""
    market.prints = [Print(AT + 0.5, 0.0001, 2000.0, 1)]


def sizeable(market: Market) -> None:
    """One trade of thirty times the usual size."""
    market.prints = [Print(AT + 0.5, 0.0001, 60.0, 1)]


def walled(market: Market) -> None:
    """An order of ten times the rest of its side for half a minute."""
    market.wall[AT : AT + 30] = 2000.0


def large_order(market: Market) -> None:
    """A genuine large order: twice the rest of its side."""
    market.wall[AT : AT + 30] = 400.0


def mirrored(market: Market) -> None:
    """A minute and a half of buys, each followed by a sell of its size at its price."""
    rng = np.random.default_rng(5)
    for number in range(360):
        at, qty = AT + number / 4, float(rng.uniform(1.0, 4.0))
        market.prints += [Print(at, 0.0, qty, 1), Print(at + 0.1, 0.0, qty, -1)]


def squeezed(market: Market) -> None:
    """Buyers chase offers that are not there: 9 % up in fifteen minutes."""
    _push(market, 800, 1700, 0.09, 0.85, rate=5.0)
    market.asks[800:1700] *= 0.2


def bull_market(market: Market) -> None:
    """The same rise with a balanced book, on two-sided trading."""
    _push(market, 800, 1700, 0.09, 0.6, rate=5.0)


TRUE: dict[str, Control] = {
    "momentum_ignition": ignited,
    "ramping": ramped,
    "trash_and_cash": trashed,
    "marking_the_open": opened,
    "marking_the_close": closed,
    "reference_price": fixed,
    "advancing_the_bid": advanced,
    "price_floor_ceiling": floored,
    "excessive_spread": widened,
    "sweeping": swept,
    "pinging": pinged,
    "unusual_price": misprinted,
    "unusual_volume": rushed,
    "unusual_trade_size": blocked,
    "unusual_order_size": walled,
    "wash_like_prints": mirrored,
    "squeeze": squeezed,
    "pump_and_dump": pumped,
}
"""Scenario -> what makes a quiet market its true case."""

LOOK_ALIKE: dict[str, Control] = {
    "momentum_ignition": jumped,
    "ramping": jumped,
    "trash_and_cash": lambda market: _news(market, AT, -0.05),
    "marking_the_open": busy_open,
    "marking_the_close": busy_close,
    "reference_price": busy_fixing,
    "advancing_the_bid": rallied,
    "price_floor_ceiling": sold_off,
    "excessive_spread": jumped,
    "sweeping": two_levels,
    "pinging": sliced,
    "unusual_price": jumped,
    "unusual_volume": busy,
    "unusual_trade_size": sizeable,
    "unusual_order_size": large_order,
    "wash_like_prints": busy,
    "squeeze": bull_market,
    "pump_and_dump": lambda market: _news(market, AT, 0.05),
}
"""Scenario -> what looks like it and is not."""


def instrument(scenario: str, true: bool) -> str:
    """The instrument that a control runs on."""
    return f"{scenario.upper().replace('_', '')}{'1' if true else '0'}.SIMX"


def market(scenario: str, true: bool) -> Market:
    """A control's market, made anew."""
    made = Market(seed=2 * list(TRUE).index(scenario) + true)
    (TRUE if true else LOOK_ALIKE)[scenario](made)
    return made


def markets() -> dict[str, Market]:
    """Every control's market, and a quiet one (`QUIET.SIMX`), by instrument."""
    found = {instrument(scenario, true): market(scenario, true) for scenario in TRUE for true in (True, False)}
    return {"QUIET.SIMX": Market(seed=99), **found}
