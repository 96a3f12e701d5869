"""Spoofing: a large order that is not meant to trade stands on one side of the book and is withdrawn (EU MAR Annex I
A(f); CEA Section 4c(a)(5)(C)). The trained book model (detectors/book) decides.
"""

from collections.abc import Sequence

from detectors.scenarios import observation as at
from detectors.scenarios.book_model import (
    ORDER_UNITS,
    ORDER_VALUES,
    SPOOFING,
    by_orders,
    reached,
    told_by_orders,
)
from detectors.scenarios.book_model import WithdrawalParameters as Parameters
from detectors.scenarios.measures import F8
from tapewatch.kernels import inlined

__all__ = ["MEASURED", "NAME", "TIERS", "UNITS", "VALUES", "Parameters", "sentence", "strength"]

NAME = "spoofing"
TIERS = ("book",)
MEASURED = True
SILENCES = ("quote_stuffing", "pinging")

VALUES = ("spoofing_probability", "standing_order", "withdrawn_20s", "withdrawn_lean", *ORDER_VALUES)
UNITS = ("probability", "usual growths of a level", "usual growths of a level", "0..1", *ORDER_UNITS)


_ORDERS = len(VALUES) - len(ORDER_VALUES)


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """How sure the book model is, 1 at its alert probability, where order rows do not speak against it; NaN without a
    book.

    x : observation vector; rule : Parameters in order; values : float64[16] out, VALUES and their thresholds
    """
    sureness = reached(x, rule, values, SPOOFING)
    if sureness > 0.0:
        values[1], values[2], values[3] = x[at.STANDING_ORDER], x[at.WITHDRAWN_20S], x[at.WITHDRAWN_LEAN]
        sureness = by_orders(x, rule, values, _ORDERS, sureness)
    return sureness


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    if closing:
        return f"{instrument}: no further large order was placed and withdrawn."
    share = 100 * (1 + values[3]) / 2
    return (
        f"In {instrument} orders of {values[2]:.1f} times what a level usually grows by were placed and withdrawn "
        f"within about 20 s, {share:.0f} % of it on one side; the largest that stands is {values[1]:.1f} times."
    ) + told_by_orders(values, _ORDERS)
