"""Spending an alert budget: how much of it each scenario may open, and which multiple of its thresholds does that.

What a scenario opens at a multiple is counted by the engine itself over the history, cooldown and revisions included;
scenarios are independent of each other, so one run a multiple counts all of them.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from evaluation.replayed import Episode

STEPS = 9


def ladder(loosest: float) -> tuple[float, ...]:
    """The multiples that are tried, from the loosest up to 16 times that, a root of two apart."""
    return tuple(loosest * 2.0 ** (step / 2.0) for step in range(STEPS))


def counted(episodes: Sequence[Episode], kind_of: Mapping[str, str]) -> Counter[tuple[str, str]]:
    """Alerts by class and scenario. kind_of : class by instrument, empty for all alike"""
    return Counter((kind_of.get(each.first.instrument, ""), each.first.scenario) for each in episodes)


def shares(loosest: Mapping[str, float], budget: float) -> dict[str, float]:
    """How many alerts each scenario may open: equal parts of the budget, and what one does not need goes to the others.

    loosest : alerts that each opens at the loosest multiple, in the budget's unit
    """
    left, waiting = budget, dict(loosest)
    found: dict[str, float] = {}
    while waiting:
        part = left / len(waiting)
        content = {name: wants for name, wants in waiting.items() if wants <= part}
        if not content:
            return found | dict.fromkeys(waiting, part)
        found |= content
        left -= sum(content.values())
        waiting = {name: wants for name, wants in waiting.items() if name not in content}
    return found


def multiple(counts: Sequence[int], steps: Sequence[float], allowed: float) -> float:
    """The least multiple beyond which no more than `allowed` alerts open; between two steps as the logarithm of the
    count goes. The last step where even that opens more.

    counts : at each of `steps`
    """
    beyond = [step for step, count in enumerate(counts) if count > allowed]
    if not beyond:
        return steps[0]
    last = beyond[-1]
    if last + 1 == len(steps):
        return steps[-1]
    high, low, wanted = (math.log(value + 0.5) for value in (counts[last], counts[last + 1], allowed))
    way = (high - wanted) / (high - low)
    return float(steps[last] * (steps[last + 1] / steps[last]) ** min(max(way, 0.0), 1.0))
