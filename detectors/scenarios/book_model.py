"""What the scenarios of the trained book model (detectors/book) share: parameters, how sure the model is, and what
order rows say to it.
"""

from collections.abc import Sequence

from detectors.scenarios import observation as at
from detectors.scenarios.episode import Rule
from detectors.scenarios.measures import F8, blank, held, sure, watched
from tapewatch.kernels import inlined

SPOOFING, LAYERING, STUFFING = range(3)
"""Places of the scenarios among the model's probabilities."""


class Parameters(Rule, frozen=True, forbid_unknown_fields=True):
    """Thresholds of a scenario that the book model names; the alert probability itself stands in the model.

    warm_s : least time watched without a hole (s)
    """

    hold_s: float = 1.0
    quiet_s: float = 30.0
    cooldown_s: float = 120.0
    update_ratio: float = 1.5
    warm_s: float = 60.0


class WithdrawalParameters(Parameters, frozen=True, forbid_unknown_fields=True):
    """As `Parameters`, and what order rows, where the feed has them, must say too; 0 asks nothing.

    min_unfilled : least share of the quantity ended in 60 s that was withdrawn, not executed (share)
    min_short_lived : least share of the orders deleted in 60 s that had lived less than 1 s (share)
    """

    min_unfilled: float = 0.5
    min_short_lived: float = 0.0


WARM_S, MIN_UNFILLED, MIN_SHORT_LIVED = range(4, 7)

ORDER_VALUES = ("unfilled_60s", "short_lived_60s")
ORDER_UNITS = ("share of the quantity", "share of the orders")
"""What `by_orders` shows."""


@inlined
def reached(x: F8, rule: F8, values: F8, scenario: int) -> float:
    """How sure the book model is of a scenario, 1 at its alert probability, 0 below half of it; NaN without a book.

    x : observation vector; rule : Parameters in order; values : float64[16] out, the probability against its threshold
    in the first place, the rest NaN, where the result is above 0
    """
    chance, alert = x[at.SPOOFING_CHANCE + scenario], x[at.SPOOFING_ALERT + scenario]
    if not watched(x, rule[WARM_S]) or chance != chance:
        return float("nan")
    if chance < 0.5 * alert:
        return 0.0
    blank(values)
    held(values, 0, chance, alert)
    return sure(chance, alert)


@inlined
def by_orders(x: F8, rule: F8, values: F8, place: int, sureness: float) -> float:
    """The model's sureness, held below 1 where order rows say that too much of what ended was executed, or that orders
    live too long; the same where there are none.

    x, rule : as above; values : float64[16], ORDER_VALUES from `place` on
    """
    fill, short = x[at.FILL_RATIO_60S], x[at.SHORT_LIVED_60S]
    kept = sureness
    if fill == fill:
        unfilled = held(values, place, 1.0 - fill, rule[MIN_UNFILLED])
        kept = min(kept, unfilled) if unfilled < 1.0 else kept
    if short == short:
        lived = held(values, place + 1, short, rule[MIN_SHORT_LIVED])
        kept = min(kept, lived) if lived < 1.0 else kept
    return float(kept)


def told_by_orders(values: Sequence[float], place: int) -> str:
    """The end of a sentence: what order rows say; empty where there are none."""
    unfilled = values[place]
    if unfilled != unfilled:
        return ""
    return f" By order rows {100 * unfilled:.0f} % of the quantity that ended within a minute was withdrawn unexecuted."
