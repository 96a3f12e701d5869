"""What the scenarios of the trained book model (detectors/book) share: parameters, and how sure the model is."""

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


WARM_S = 4


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
