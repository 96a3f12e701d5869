"""Quote stuffing: quotes are placed and taken back at a rate that nobody trades at (EU MAR Annex I A(f), Delegated
Regulation 2016/522; SEC 2010 flash crash report). The trained book model (detectors/book) decides.
"""

from collections.abc import Sequence

from detectors.scenarios import observation as at
from detectors.scenarios.book_model import STUFFING, Parameters, reached
from detectors.scenarios.measures import F8
from tapewatch.kernels import inlined

__all__ = ["MEASURED", "NAME", "TIERS", "UNITS", "VALUES", "Parameters", "sentence", "strength"]

NAME = "quote_stuffing"
TIERS = ("book",)
MEASURED = True

VALUES = ("quote_stuffing_probability", "quote_rate_1s", "usual_quote_rate", "quotes_reverted")
UNITS = ("probability", "1/s", "1/s", "share")


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """How sure the book model is, 1 at its alert probability; NaN without a book.

    x : observation vector; rule : Parameters in order; values : float64[16] out, VALUES and their thresholds
    """
    sureness = reached(x, rule, values, STUFFING)
    if sureness > 0.0:
        values[1], values[2], values[3] = x[at.QUOTE_RATE_1S], x[at.USUAL_QUOTE_RATE], x[at.QUOTES_REVERTED]
    return sureness


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    if closing:
        return f"{instrument}: quotes come at their usual rate again."
    return (
        f"{instrument} was quoted {values[1]:.0f} times within a second, and {100 * values[3]:.0f} % of these quotes "
        "took back the one before."
    )
