"""Front-running: an account that hardly trades takes a position just before a large order and gives it back right after
(FINRA Rule 5270; EU MAR Article 7(1)(d) and 8; CFTC Rule 180.1).
"""

import math
from collections.abc import Sequence

from detectors.scenarios.accounts.ring import NANOS, UNKNOWN, Ring, row_of, within
from detectors.scenarios.episode import Rule
from detectors.scenarios.measures import F8, blank, held
from tapewatch.kernels import inlined

NAME = "front_running"
TIERS = ("accounts",)
MEASURED = False
SILENCES = ("sweeping",)
SENSITIVE = ("min_gain", "large_ratio")


class Parameters(Rule, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `front_running`.

    window_s : the whole of it, from taking the position to giving it back, lies within this time (s)
    min_gain : least gain of the account, last price over first in its favour (log return)
    large_ratio : least quantity of the large order, over the mean trade of the ring (ratio)
    lead_s : the large order begins at most this long after the position was taken (s)
    most_trades : an account with more trades in the window is a dealer, not assessed (count)
    """

    hold_s: float = 1.0
    quiet_s: float = 300.0
    cooldown_s: float = 900.0
    update_ratio: float = 2.0
    window_s: float = 60.0
    min_gain: float = 0.0015
    large_ratio: float = 20.0
    lead_s: float = 10.0
    most_trades: float = 4.0


WINDOW_S, MIN_GAIN, LARGE_RATIO, LEAD_S, MOST_TRADES = range(4, 9)

VALUES = ("gain", "large_ratio", "large_quantity", "own_quantity", "held_s", "direction")
UNITS = ("log return", "ratio", "units", "units", "s", "1 bought first, -1 sold first")


@inlined
def _first(ring: Ring, count: int, account: int, side: int, most: float) -> int:
    """How far back the account's oldest trade on `side` lies among the newest `count`; -1 without one, or where the
    account made more than `most` trades.
    """
    found, trades = -1, 0
    for each in range(count):
        row = row_of(ring, each)
        bought, sold = ring.buyer[row] == account, ring.seller[row] == account
        trades += bought or sold
        if (bought if side > 0 else sold) and each > 0:
            found = each
    return found if trades <= most else -1


@inlined
def _large(ring: Ring, first: int, account: int, side: int, lead_s: float) -> float:
    """Quantity that the largest trade's account took on `side` between the trade `first` back and the newest; 0 where
    it did not begin within `lead_s` of the former.
    """
    whom, size, total, began = UNKNOWN, 0.0, 0.0, 0
    for each in range(1, first):
        row = row_of(ring, each)
        taker = ring.buyer[row] if side > 0 else ring.seller[row]
        if taker != account and ring.qty[row] > size:
            whom, size = taker, ring.qty[row]
    for each in range(1, first):
        row = row_of(ring, each)
        if whom != UNKNOWN and (ring.buyer[row] if side > 0 else ring.seller[row]) == whom:
            total += ring.qty[row]
            began = ring.ts[row]
    return total if began - ring.ts[row_of(ring, first)] <= lead_s * NANOS else 0.0


@inlined
def _round(ring: Ring, count: int, account: int, side: int, usual: float, rule: F8, values: F8) -> float:
    """Strength of one account's round trip that the newest trade ends; `side` is how it began."""
    first = _first(ring, count, account, side, rule[MOST_TRADES])
    if first < 2:
        return 0.0
    begun, newest = row_of(ring, first), row_of(ring, 0)
    gain = side * math.log(ring.price[newest] / ring.price[begun])
    if gain < rule[MIN_GAIN]:
        return 0.0
    large = _large(ring, first, account, side, rule[LEAD_S])
    blank(values)
    hits = min(held(values, 0, gain, rule[MIN_GAIN]), held(values, 1, large / usual, rule[LARGE_RATIO]))
    values[2], values[3], values[5] = large, ring.qty[begun], side
    values[4] = (ring.ts[newest] - ring.ts[begun]) / NANOS
    return float(hits)


@inlined
def strength(ring: Ring, rule: F8, values: F8) -> float:
    """How many times the round trip that the newest trade ends reaches gain and size; NaN where an account is not
    known.

    ring : with the newest trade in it; rule : Parameters in order; values : float64[16] out, VALUES and thresholds
    """
    newest = row_of(ring, 0)
    buyer, seller = ring.buyer[newest], ring.seller[newest]
    if buyer == UNKNOWN or seller == UNKNOWN:
        return float("nan")
    count = within(ring, rule[WINDOW_S])
    usual = 0.0
    for each in range(count):
        usual += ring.qty[row_of(ring, each)] / count
    hits = _round(ring, count, seller, 1, usual, rule, values)
    return hits if hits >= 1.0 else _round(ring, count, buyer, -1, usual, rule, values)


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    if closing:
        return f"{instrument}: no further trading ahead of a large order."
    first, then = ("bought", "sold") if values[5] > 0.0 else ("sold", "bought")
    return (
        f"An account that hardly trades {first} {values[3]:g} units of {instrument}, another followed with "
        f"{values[2]:g} units, {values[1]:.0f} times the mean trade, and the first {then} {values[4]:.0f} s after it "
        f"began with a gain of {100 * math.expm1(values[0]):.2f} %: this may be front-running."
    )
