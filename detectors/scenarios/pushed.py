"""What the scenarios of a price that is pushed at a chosen time share: the one-sided minute, and its words."""

import math

from detectors.scenarios import observation as at
from detectors.scenarios.measures import F8, blank, held, usual_move
from tapewatch.kernels import inlined


@inlined
def direction(move: float) -> float:
    """1 for a move up, -1 for one down."""
    return 1.0 if move > 0.0 else -1.0


@inlined
def push(x: F8, values: F8, min_move: float, move_deviations: float, imbalance: float) -> float:
    """The lesser of how many times move and imbalance of 60 s reach their thresholds, noted in the first two places.

    x : observation vector; values : float64[16] out, the rest NaN, where the result is above 0
    min_move : log return, below which the result is 0; move_deviations : of the usual 60 s return, standard deviations;
    imbalance : share of the volume. NaN without trades.
    """
    if x[at.TRADES_60S] != x[at.TRADES_60S] or x[at.RET_60S] != x[at.RET_60S]:
        return float("nan")
    move = abs(x[at.RET_60S])
    if move < min_move:
        return 0.0
    blank(values)
    hits = held(values, 0, move, max(min_move, move_deviations * usual_move(x, 60.0)))
    return float(min(hits, held(values, 1, direction(x[at.RET_60S]) * x[at.IMBALANCE_60S], imbalance)))


def pushed(instrument: str, move: float, way: float) -> str:
    """The beginning of a sentence. move : log return, without its sign; way : as `direction` says"""
    return f"{instrument} was pushed {'up' if way > 0.0 else 'down'} by {100 * math.expm1(move):.2f} % in a minute"


def ahead(imbalance: float, way: float) -> str:
    """Who presses, and how much. imbalance : share of the volume, in the direction of the way"""
    return f"with {'buyers' if way > 0.0 else 'sellers'} ahead by {100 * imbalance:.0f} %"
