"""Quote stuffing: quotes are placed and taken back at a rate that nobody trades at (EU MAR Annex I A(f), Delegated
Regulation 2016/522; SEC 2010 flash crash report). The trained book model (detectors/book) decides.
"""

from collections.abc import Sequence

import msgspec

from detectors.scenarios import observation as at
from detectors.scenarios.measures import F8, blank, held, sure, watched
from tapewatch.kernels import inlined

NAME = "quote_stuffing"
TIERS = ("book",)
MEASURED = True


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `quote_stuffing`; the alert probability itself stands in the book model.

    hold_s : consecutive seconds that must hit before an alert opens (s)
    quiet_s : seconds without a hit after which an episode may close (s)
    cooldown_s : an episode closes no earlier than this after its alert (s)
    update_ratio : a strength this many times the last reported one is a revision (ratio)
    warm_s : least time watched without a hole (s)
    """

    hold_s: float = 1.0
    quiet_s: float = 30.0
    cooldown_s: float = 120.0
    update_ratio: float = 1.5
    warm_s: float = 60.0


WARM_S = 4
VALUES = ("quote_stuffing_probability", "quote_rate_1s", "usual_quote_rate", "quotes_reverted")
UNITS = ("probability", "1/s", "1/s", "share")


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """How sure the book model is, 1 at its alert probability; NaN without a book.

    x : observation vector; rule : Parameters in order; values : float64[16] out, VALUES and their thresholds
    """
    chance = x[at.STUFFING_CHANCE]
    if not watched(x, rule[WARM_S]) or chance != chance:
        return float("nan")
    if chance < 0.5 * x[at.STUFFING_ALERT]:
        return 0.0
    blank(values)
    held(values, 0, chance, x[at.STUFFING_ALERT])
    values[1], values[2], values[3] = x[at.QUOTE_RATE_1S], x[at.USUAL_QUOTE_RATE], x[at.QUOTES_REVERTED]
    return sure(chance, x[at.STUFFING_ALERT])


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    if closing:
        return f"{instrument}: quotes come at their usual rate again."
    return (
        f"{instrument} was quoted {values[1]:.0f} times within a second, and {100 * values[3]:.0f} % of these quotes "
        "took back the one before."
    )
