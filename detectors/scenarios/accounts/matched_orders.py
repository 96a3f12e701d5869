"""Matched orders: two accounts meet again and again in equal sizes, as arranged before (Delegated Regulation 2016/522,
Annex II: improper matched orders; SEC Section 9(a)(1); Korea FSCMA Article 176).
"""

from collections.abc import Sequence

from detectors.scenarios.accounts.ring import UNKNOWN, Ring, row_of, within
from detectors.scenarios.episode import Rule
from detectors.scenarios.measures import F8, blank, either, held
from tapewatch.kernels import inlined

NAME = "matched_orders"
TIERS = ("accounts",)
MEASURED = False
SILENCES = ("wash_like_prints", "painting_the_tape")
SENSITIVE = ("min_trades",)


class Parameters(Rule, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `matched_orders`.

    window_s : trades within this time are looked at, as far as the ring holds them (s)
    min_trades : least trades of the two accounts with each other (count)
    exclusive : least share of the less active one's trades that is with the other (share)
    equal_share : least share of their trades of the newest one's size (share)
    size_tolerance : sizes that differ by less than this share of the newest one count as equal (share)
    concentration : least multiple of the trades that chance would bring the two together in (ratio)
    mutual : or least share of the more active one's trades that is with the other (share)
    """

    hold_s: float = 1.0
    quiet_s: float = 300.0
    cooldown_s: float = 900.0
    update_ratio: float = 2.0
    window_s: float = 300.0
    min_trades: float = 5.0
    exclusive: float = 0.5
    equal_share: float = 0.6
    size_tolerance: float = 0.02
    concentration: float = 4.0
    mutual: float = 0.5


WINDOW_S, MIN_TRADES, EXCLUSIVE, EQUAL_SHARE, SIZE_TOLERANCE, CONCENTRATION, MUTUAL = range(4, 11)

VALUES = ("trades", "exclusive", "equal_share", "concentration", "mutual", "volume", "volume_share")
UNITS = (
    "count",
    "share of the trades",
    "share of the trades",
    "ratio",
    "share of the trades",
    "units",
    "share of the instrument",
)


@inlined
def strength(ring: Ring, rule: F8, values: F8) -> float:
    """The least of how many times the newest trade's two accounts reach their thresholds; NaN where one is not known.

    ring : with the newest trade in it; rule : Parameters in order; values : float64[16] out, VALUES and thresholds
    """
    newest = row_of(ring, 0)
    one, other, size = ring.buyer[newest], ring.seller[newest], ring.qty[newest]
    if one == UNKNOWN or other == UNKNOWN:
        return float("nan")
    if one == other:
        return 0.0
    count = within(ring, rule[WINDOW_S])
    met, equal, ones, others = 0, 0, 0, 0
    volume, total = 0.0, 0.0
    for each in range(count):
        row = row_of(ring, each)
        buyer, seller, qty = ring.buyer[row], ring.seller[row], ring.qty[row]
        total += qty
        first, second = buyer == one or seller == one, buyer == other or seller == other
        ones += first
        others += second
        if first and second:
            met += 1
            volume += qty
            equal += abs(qty - size) <= rule[SIZE_TOLERANCE] * size
    if met < rule[MIN_TRADES]:
        return 0.0
    blank(values)
    hits = held(values, 0, met, rule[MIN_TRADES])
    hits = min(hits, held(values, 1, met / min(ones, others), rule[EXCLUSIVE]))
    hits = min(hits, held(values, 2, equal / met, rule[EQUAL_SHARE]))
    concentration, mutual = 2.0 * count * met / (ones * others), met / max(ones, others)
    hits = min(hits, either(values, 3, concentration, rule[CONCENTRATION], mutual, rule[MUTUAL]))
    values[5], values[6] = volume, volume / total
    return float(hits)


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    if closing:
        return f"{instrument}: the two accounts no longer meet."
    return (
        f"Two accounts met {values[0]:.0f} times in {instrument} within minutes, {100 * values[2]:.0f} % of it in one "
        f"size and {values[3]:.0f} times as often as chance would have it: their orders may be matched beforehand."
    )
