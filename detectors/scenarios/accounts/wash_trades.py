"""Wash trades: an account trades with itself, or two accounts trade to and fro, and nobody's position changes (CEA
Section 4c(a); EU MAR Article 12(1)(a); Taiwan Securities and Exchange Act Article 155; Korea FSCMA Article 176).
"""

from collections.abc import Sequence

from detectors.scenarios.accounts.ring import UNKNOWN, Ring, row_of, within
from detectors.scenarios.episode import Rule
from detectors.scenarios.measures import F8, blank, either, held
from tapewatch.kernels import inlined

NAME = "wash_trades"
TIERS = ("accounts",)
MEASURED = True
SILENCES = ("wash_like_prints", "painting_the_tape")
SENSITIVE = ("min_trades",)


class Parameters(Rule, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `wash_trades`.

    window_s : trades within this time are looked at, as far as the ring holds them (s)
    min_trades : least trades that cancel one another: with itself, or to and fro between the two (count)
    balance : least share of their volume that cancels; trades with itself cancel wholly (share)
    concentration : least multiple of the trades that chance would bring the two together in (ratio)
    mutual : or least share of the more active one's trades that is with the other (share)
    """

    hold_s: float = 1.0
    quiet_s: float = 300.0
    cooldown_s: float = 900.0
    update_ratio: float = 2.0
    window_s: float = 300.0
    min_trades: float = 8.0
    balance: float = 0.8
    concentration: float = 6.0
    mutual: float = 0.5


WINDOW_S, MIN_TRADES, BALANCE, CONCENTRATION, MUTUAL = range(4, 9)

VALUES = ("cancelling_trades", "balance", "concentration", "mutual", "volume", "volume_share", "accounts")
UNITS = ("count", "share of the volume", "ratio", "share of the trades", "units", "share of the instrument", "count")


@inlined
def strength(ring: Ring, rule: F8, values: F8) -> float:
    """The least of how many times trades, balance and concentration of the newest trade's accounts reach their
    thresholds; NaN where an account is not known.

    ring : with the newest trade in it; rule : Parameters in order; values : float64[16] out, VALUES and thresholds
    """
    newest = row_of(ring, 0)
    one, other = ring.buyer[newest], ring.seller[newest]
    if one == UNKNOWN or other == UNKNOWN:
        return float("nan")
    count = within(ring, rule[WINDOW_S])
    forth, back, ones, others = 0, 0, 0, 0
    forth_qty, back_qty, total = 0.0, 0.0, 0.0
    for each in range(count):
        row = row_of(ring, each)
        buyer, seller, qty = ring.buyer[row], ring.seller[row], ring.qty[row]
        total += qty
        ones += (buyer == one) + (seller == one)
        others += (buyer == other) + (seller == other)
        if buyer == one and seller == other:
            forth += 1
            forth_qty += qty
        elif buyer == other and seller == one:
            back += 1
            back_qty += qty
    same = one == other
    cancelling = float(forth) if same else 2.0 * min(forth, back)
    if cancelling < rule[MIN_TRADES]:
        return 0.0
    # Of `count` trades, two accounts with these many sides meet by chance in ones * others / (2 count), one account
    # meets itself in ones^2 / (4 count).
    chance = ones * others / ((4.0 if same else 2.0) * count)
    volume = forth_qty + back_qty
    blank(values)
    hits = held(values, 0, cancelling, rule[MIN_TRADES])
    hits = min(hits, held(values, 1, 1.0 if same else 2.0 * min(forth_qty, back_qty) / volume, rule[BALANCE]))
    mutual = (2.0 if same else 1.0) * (forth + back) / max(ones, others)
    hits = min(hits, either(values, 2, (forth + back) / chance, rule[CONCENTRATION], mutual, rule[MUTUAL]))
    values[4], values[5], values[6] = volume, volume / total, (1.0 if same else 2.0)
    return float(hits)


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    if closing:
        return f"{instrument}: the accounts no longer trade with themselves."
    who = "One account traded with itself" if values[6] == 1.0 else "Two accounts traded to and fro"
    return (
        f"{who} in {instrument}: {values[0]:.0f} trades over {values[4]:g} units cancelled one another within minutes, "
        f"{100 * values[5]:.0f} % of all volume and {values[2]:.0f} times what chance would bring: this looks like "
        "wash trading."
    )
