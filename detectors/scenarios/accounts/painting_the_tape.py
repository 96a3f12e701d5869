"""Painting the tape: a few accounts trade among themselves, print after print, to show a rising or falling price
(Delegated Regulation 2016/522, Annex II; SEC Section 9(a)(2); Taiwan Securities and Exchange Act Article 155).
"""

import math
from collections.abc import Sequence

from detectors.scenarios.accounts.ring import UNKNOWN, Ring, row_of, within
from detectors.scenarios.episode import Rule
from detectors.scenarios.measures import F8, blank, held
from tapewatch.kernels import inlined

NAME = "painting_the_tape"
TIERS = ("accounts",)
MEASURED = False
SENSITIVE = ("min_trades", "min_move")


class Parameters(Rule, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `painting_the_tape`.

    window_s : the run of trades lies within this time (s)
    min_trades : least trades in a row among the same three accounts, none against the direction (count)
    min_move : least move over the run (log return)
    """

    hold_s: float = 1.0
    quiet_s: float = 300.0
    cooldown_s: float = 900.0
    update_ratio: float = 2.0
    window_s: float = 180.0
    min_trades: float = 8.0
    min_move: float = 0.002


WINDOW_S, MIN_TRADES, MIN_MOVE = range(4, 7)

VALUES = ("trades_in_a_row", "move", "volume", "direction")
UNITS = ("count", "log return", "units", "1 up, -1 down")


@inlined
def _joins(ring: Ring, row: int, one: int, other: int, third: int) -> int:
    """Whether a trade stays among the three accounts: 0 no, 1 yes, 2 yes if the place of the third, still free, is
    taken by its buyer, 3 by its seller.
    """
    buyer, seller = ring.buyer[row], ring.seller[row]
    buys, sells = buyer in (one, other, third), seller in (one, other, third)
    if buyer == UNKNOWN or seller == UNKNOWN or not (buys or sells):
        return 0
    if buys and sells:
        return 1
    if third != UNKNOWN:
        return 0
    return 3 if buys else 2


@inlined
def strength(ring: Ring, rule: F8, values: F8) -> float:
    """The lesser of how many times the run that ends with the newest trade reaches length and move; NaN where an
    account is not known.

    ring : with the newest trade in it; rule : Parameters in order; values : float64[16] out, VALUES and thresholds
    """
    newest = row_of(ring, 0)
    one, other, third = ring.buyer[newest], ring.seller[newest], UNKNOWN
    if one == UNKNOWN or other == UNKNOWN:
        return float("nan")
    count = within(ring, rule[WINDOW_S])
    last, price, side, length, volume = ring.price[newest], ring.price[newest], 0.0, 1, ring.qty[newest]
    for each in range(1, count):
        row = row_of(ring, each)
        step = price - ring.price[row]
        joins = _joins(ring, row, one, other, third)
        if joins == 0 or step * side < 0.0:
            break
        if joins > 1:
            third = ring.buyer[row] if joins == 2 else ring.seller[row]
        if step != 0.0:
            side = 1.0 if step > 0.0 else -1.0
        price = ring.price[row]
        length += 1
        volume += ring.qty[row]
    if length < rule[MIN_TRADES] or side == 0.0:
        return 0.0
    blank(values)
    hits = held(values, 0, length, rule[MIN_TRADES])
    hits = min(hits, held(values, 1, side * math.log(last / price), rule[MIN_MOVE]))
    values[2], values[3] = volume, side
    return float(hits)


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    if closing:
        return f"{instrument}: other accounts print again."
    way = "up" if values[3] > 0.0 else "down"
    return (
        f"{values[0]:.0f} trades in a row of {instrument} were made among the same three accounts or fewer, over "
        f"{values[2]:g} units, and carried the price {way} by {100 * math.expm1(values[1]):.2f} %: this looks like "
        "painting the tape."
    )
