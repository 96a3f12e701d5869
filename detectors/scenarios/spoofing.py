"""Spoofing: a large order that is not meant to trade stands on one side of the book and is withdrawn (EU MAR Annex I
A(f); CEA Section 4c(a)(5)(C)). The trained book model (detectors/book) decides.
"""

from collections.abc import Sequence

import msgspec

from detectors.scenarios import observation as at
from detectors.scenarios.measures import F8, blank, held, sure, watched
from tapewatch.kernels import inlined

NAME = "spoofing"
TIERS = ("book",)
MEASURED = True


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `spoofing`; the alert probability itself stands in the book model.

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
VALUES = ("spoofing_probability", "standing_order", "withdrawn_20s", "withdrawn_lean")
UNITS = ("probability", "usual growths of a level", "usual growths of a level", "0..1")


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """How sure the book model is, 1 at its alert probability; NaN without a book.

    x : observation vector; rule : Parameters in order; values : float64[16] out, VALUES and their thresholds
    """
    chance = x[at.SPOOFING_CHANCE]
    if not watched(x, rule[WARM_S]) or chance != chance:
        return float("nan")
    if chance < 0.5 * x[at.SPOOFING_ALERT]:
        return 0.0
    blank(values)
    held(values, 0, chance, x[at.SPOOFING_ALERT])
    values[1], values[2], values[3] = x[at.STANDING_ORDER], x[at.WITHDRAWN_20S], x[at.WITHDRAWN_LEAN]
    return sure(chance, x[at.SPOOFING_ALERT])


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    if closing:
        return f"{instrument}: no further large order was placed and withdrawn."
    share = 100 * (1 + values[3]) / 2
    return (
        f"In {instrument} orders of {values[2]:.1f} times what a level usually grows by were placed and withdrawn "
        f"within about 20 s, {share:.0f} % of it on one side; the largest that stands is {values[1]:.1f} times."
    )
