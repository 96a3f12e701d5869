"""Layering: several orders that are not meant to trade stand at several levels of one side and are withdrawn together
(EU MAR Annex I A(f); FINRA Rule 5210). The trained book model (detectors/book) decides.
"""

from collections.abc import Sequence

from detectors.scenarios import observation as at
from detectors.scenarios.book_model import (
    LAYERING,
    ORDER_UNITS,
    ORDER_VALUES,
    by_orders,
    reached,
    told_by_orders,
)
from detectors.scenarios.book_model import WithdrawalParameters as Parameters
from detectors.scenarios.measures import F8
from tapewatch.kernels import inlined

__all__ = ["MEASURED", "NAME", "TIERS", "UNITS", "VALUES", "Parameters", "sentence", "strength"]

NAME = "layering"
TIERS = ("book",)
MEASURED = True
SILENCES = ("spoofing", "quote_stuffing")

VALUES = ("layering_probability", "orders_together", "withdrawn_20s", "withdrawn_lean", *ORDER_VALUES)
UNITS = ("probability", "count", "usual growths of a level", "0..1", *ORDER_UNITS)


_ORDERS = len(VALUES) - len(ORDER_VALUES)


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """How sure the book model is, 1 at its alert probability, where order rows do not speak against it; NaN without a
    book.

    x : observation vector; rule : Parameters in order; values : float64[16] out, VALUES and their thresholds
    """
    sureness = reached(x, rule, values, LAYERING)
    if sureness > 0.0:
        values[1], values[2], values[3] = x[at.WITHDRAWN_TOGETHER], x[at.WITHDRAWN_20S], x[at.WITHDRAWN_LEAN]
        sureness = by_orders(x, rule, values, _ORDERS, sureness)
    return sureness


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    if closing:
        return f"{instrument}: no further orders were placed and withdrawn together."
    share = 100 * (1 + values[3]) / 2
    return (
        f"In {instrument} {values[1]:.0f} further orders came and went with one on the same side; within about 20 s "
        f"{values[2]:.1f} times what a level usually grows by was placed and withdrawn, {share:.0f} % "
        "of it on one side."
    ) + told_by_orders(values, _ORDERS)
