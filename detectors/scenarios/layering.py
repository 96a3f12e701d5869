"""Layering: several orders that are not meant to trade stand at several levels of one side and are withdrawn together
(EU MAR Annex I A(f); FINRA Rule 5210). The trained book model (detectors/book) decides.
"""

from collections.abc import Sequence

import msgspec

from detectors.scenarios import observation as at
from detectors.scenarios.measures import F8, blank, held, sure, watched
from tapewatch.kernels import inlined

NAME = "layering"
TIERS = ("book",)
MEASURED = True


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `layering`; the alert probability itself stands in the book model.

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
VALUES = ("layering_probability", "orders_together", "withdrawn_20s", "withdrawn_lean")
UNITS = ("probability", "count", "usual growths of a level", "0..1")


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """How sure the book model is, 1 at its alert probability; NaN without a book.

    x : observation vector; rule : Parameters in order; values : float64[16] out, VALUES and their thresholds
    """
    chance = x[at.LAYERING_CHANCE]
    if not watched(x, rule[WARM_S]) or chance != chance:
        return float("nan")
    if chance < 0.5 * x[at.LAYERING_ALERT]:
        return 0.0
    blank(values)
    held(values, 0, chance, x[at.LAYERING_ALERT])
    values[1], values[2], values[3] = x[at.WITHDRAWN_TOGETHER], x[at.WITHDRAWN_20S], x[at.WITHDRAWN_LEAN]
    return sure(chance, x[at.LAYERING_ALERT])


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    if closing:
        return f"{instrument}: no further orders were placed and withdrawn together."
    share = 100 * (1 + values[3]) / 2
    return (
        f"In {instrument} {values[1]:.0f} further orders came and went with one on the same side; within about 20 s "
        f"{values[2]:.1f} times what a level usually grows by was placed and withdrawn, {share:.0f} % "
        "of it on one side."
    )
