"""Cross-product and cross-venue manipulation: one market is pushed to move another that follows it, the profit is taken
there, and the push is let go (Delegated Regulation 2016/522, Annex II: cross-product and inter-trading venues
manipulation; EU MAR Article 12(2)(c)).

A second stage's scenario: it looks at sealed seconds of two instruments, which need not lie in one partition.
"""

import math
from collections.abc import Sequence

from detectors.scenarios import observation as at
from detectors.scenarios.episode import Rule
from detectors.scenarios.measures import F8, blank, held, usual_move
from tapewatch.kernels import inlined, kernel

NAME = "cross_market"
TIERS = ("trades",)
MEASURED = False
SILENCES = ("ramping", "reference_price")


class Parameters(Rule, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `cross_market`.

    warm_s : least time watched without a hole, both instruments (s)
    min_push : least move of the pushed market (log return)
    push_deviations : and at least this many deviations of a return as long, by own volatility (standard deviations)
    push_imbalance : least net aggressor volume in the direction until its extreme, of the volume traded (share)
    push_volume : least volume until its extreme over its own usual volume (ratio)
    follow_share : least move of the other market, of the push (share)
    min_lag : least time that the other market reaches half of its move later (s)
    taken_share : least net aggressor volume against the move in the other market after its extreme (share)
    given_back : least share of the push that is given back by now (share)
    """

    hold_s: float = 1.0
    quiet_s: float = 60.0
    cooldown_s: float = 900.0
    update_ratio: float = 1.5
    warm_s: float = 600.0
    min_push: float = 0.003
    push_deviations: float = 5.0
    push_imbalance: float = 0.5
    push_volume: float = 3.0
    follow_share: float = 0.3
    min_lag: float = 1.0
    taken_share: float = 0.3
    given_back: float = 0.4


(
    WARM_S, MIN_PUSH, PUSH_DEVIATIONS, PUSH_IMBALANCE, PUSH_VOLUME, FOLLOW_SHARE, MIN_LAG, TAKEN_SHARE, GIVEN_BACK,
) = range(4, 13)  # fmt: skip

VALUES = ("push", "push_imbalance", "push_volume_ratio", "followed", "lag", "taken", "given_back", "direction")
UNITS = (
    "log return", "share of the volume", "ratio", "share of the push", "s", "share of the volume", "share of the push",
    "1 up, -1 down",
)  # fmt: skip


@inlined
def _extreme(history: F8, side: float) -> int:
    """The second at which the summed 1 s returns lie farthest in the direction; 0: both directions."""
    path, best, where = 0.0, -1.0, 0
    for t in range(history.shape[0]):
        path += history[t, at.RET_1S]
        distance = abs(path) if side == 0.0 else side * path
        if distance > best:
            best, where = distance, t
    return where


@inlined
def _path(history: F8, until: int) -> float:
    """Sum of the 1 s returns up to and with a second."""
    path = 0.0
    for t in range(until + 1):
        path += history[t, at.RET_1S]
    return path


@inlined
def _half_way(history: F8, half: float, side: float) -> int:
    """The first second at which the path has gone `half` in the direction."""
    path = 0.0
    for t in range(history.shape[0]):
        path += history[t, at.RET_1S]
        if side * path >= half:
            return t
    return int(history.shape[0])


@inlined
def _net_share(history: F8, first: int, last: int) -> float:
    """(bought - sold) / traded of the seconds from `first` until before `last`; 0 without trades."""
    signed, volume = 0.0, 0.0
    for t in range(first, last):
        signed += history[t, at.SIGNED_VOLUME_1S]
        volume += history[t, at.VOLUME_1S]
    return signed / volume if volume > 0.0 else 0.0


@inlined
def _volume_ratio(history: F8, last: int) -> float:
    """Volume of the seconds until before `last` over the usual one before them; 0 where that is unknown."""
    volume = 0.0
    for t in range(last):
        volume += history[t, at.VOLUME_1S]
    usual = history[0, at.USUAL_VOLUME] * last
    return float(volume / usual) if usual > 0.0 else 0.0


@inlined
def _known(history: F8, warm_s: float) -> bool:
    """Whether every second has a return and a volume, and the first was warm."""
    for t in range(history.shape[0]):
        if not (history[t, at.RET_1S] == history[t, at.RET_1S] and history[t, at.VOLUME_1S] >= 0.0):
            return False
    return bool(history[0, at.AGE] >= warm_s)


@kernel
def strength(pushed: F8, other: F8, rule: F8, values: F8) -> float:
    """How strongly the first market's seconds look like a push for the sake of the second's.

    pushed, other : float64[seconds, COUNT], observation vectors of the same sealed seconds of two instruments, oldest
    first (60 to 120 of them); rule : Parameters in order; values : float64[16] out, VALUES and their thresholds
    Returns the least of how many times each threshold is reached; NaN where a second of either is missing, has no
    trades' tier or was not warm.
    """
    seconds = pushed.shape[0]
    if not (_known(pushed, rule[WARM_S]) and _known(other, rule[WARM_S])):
        return float("nan")
    top = _extreme(pushed, 0.0)
    way = _path(pushed, top)
    push, side = abs(way), 1.0 if way > 0.0 else -1.0
    if push < rule[MIN_PUSH] or push <= 0.0:
        return 0.0
    peak = _extreme(other, side)
    follow = side * _path(other, peak)
    lag = _half_way(other, 0.5 * follow, side) - _half_way(pushed, 0.5 * push, side)
    blank(values)
    usual = usual_move(pushed[0], top + 1.0)
    hits = held(values, 0, push, max(rule[MIN_PUSH], rule[PUSH_DEVIATIONS] * usual))
    hits = min(hits, held(values, 1, side * _net_share(pushed, 0, top + 1), rule[PUSH_IMBALANCE]))
    hits = min(hits, held(values, 2, _volume_ratio(pushed, top + 1), rule[PUSH_VOLUME]))
    hits = min(hits, held(values, 3, follow / push, rule[FOLLOW_SHARE]))
    hits = min(hits, held(values, 4, float(lag), rule[MIN_LAG]))
    hits = min(hits, held(values, 5, -side * _net_share(other, peak + 1, seconds), rule[TAKEN_SHARE]))
    hits = min(hits, held(values, 6, 1.0 - side * _path(pushed, seconds - 1) / push, rule[GIVEN_BACK]))
    values[7] = side
    return float(hits)


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers; `instrument` names both, the pushed one first."""
    if closing:
        return f"{instrument}: the push and what followed it are over."
    way, side = ("up", "sellers") if values[7] > 0.0 else ("down", "buyers")
    return (
        f"{instrument}: the first was pushed {way} by {100 * math.expm1(values[0]):.2f} % by one-sided orders, the "
        f"second followed {values[4]:.0f} s later by {100 * values[3]:.0f} % of it, {side} then led there by "
        f"{100 * values[5]:.0f} % of the volume while the first gave {100 * values[6]:.0f} % back: one market may have "
        "been moved for the sake of the other."
    )
