"""A case's risk, 0 to 100, and its priority, 1 to 4.

Each alert that raises somebody weighs w = S * (0.6 + 0.4 * score/100) * (0.75 + 0.25 * probability), where S is 0.2,
0.45, 0.7 or 0.9 by severity and an unknown probability counts as 1. Of each scenario and instrument the heaviest alert
counts. What several say together is combined as independent evidence (noisy-or): r = 1 - product of (1 - w).
The neighbourhood's closed cases then move it: each confirmed one takes a tenth off what is missing to 1 (five at most),
each false positive a twentieth off r (ten at most). Risk is 100 r. Priority 1 from 75, 2 from 50, 3 from 25, else 4.
"""

from collections.abc import Iterable
from typing import NamedTuple

from tapewatch.contract.messages import CaseAlert

RANK = {"low": 0, "medium": 1, "high": 2, "critical": 3}
WEIGHTS = {"low": 0.2, "medium": 0.45, "high": 0.7, "critical": 0.9}
BOUNDS = (75.0, 50.0, 25.0)
CONFIRMED = ("true_positive", "reported")
DISMISSED = ("false_positive",)


class Record(NamedTuple):
    """What the neighbourhood's other cases came to. confirmed, dismissed : closed cases"""

    confirmed: int = 0
    dismissed: int = 0


def weight(alert: CaseAlert) -> float:
    """How much an alert weighs, 0 to 1."""
    probability = 1.0 if alert.probability is None else alert.probability
    return WEIGHTS[alert.severity] * (0.6 + 0.004 * alert.score) * (0.75 + 0.25 * probability)


def risk(alerts: Iterable[CaseAlert], record: Record) -> float:
    """Risk of a case with these alerts, rounded to a hundredth; 0 where none raises anybody."""
    heaviest: dict[tuple[str, str], float] = {}
    for alert in alerts:
        if not alert.inhibited:
            key = (alert.scenario, alert.instrument)
            heaviest[key] = max(heaviest.get(key, 0.0), weight(alert))
    missing = 1.0
    for each in sorted(heaviest.values()):
        missing *= 1.0 - each
    if not heaviest:
        return 0.0
    together = 1.0 - missing * 0.9 ** min(record.confirmed, 5)
    return round(100.0 * together * 0.95 ** min(record.dismissed, 10), 2)


def priority(value: float) -> int:
    """1 first to 4 last."""
    return next((place for place, bound in enumerate(BOUNDS, 1) if value >= bound), len(BOUNDS) + 1)


def highest(alerts: Iterable[CaseAlert]) -> int:
    """Rank of the highest severity among the alerts that raise somebody; -1 where none does."""
    return max((RANK[alert.severity] for alert in alerts if not alert.inhibited), default=-1)
