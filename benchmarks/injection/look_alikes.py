"""What honest traders do that resembles manipulation: large orders, refreshes of market makers, bursts, news."""

import numpy as np

from benchmarks.injection.book_scenarios import cycles, deceptive_qty
from benchmarks.injection.market import RecordedMarket
from benchmarks.injection.placing import Habit, Rng, between, drawn_side, fills, ns, rest
from benchmarks.injection.script import Label, Print, RestingOrder, Script

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
