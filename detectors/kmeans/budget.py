"""The alert distance: where the rule `kmeans_anomaly` opens as many false episodes a day and instrument as it may."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import genpareto

from detectors.kmeans.batch import episodes, held
from detectors.kmeans.sample import Sample
from detectors.scenarios.kmeans_anomaly import Parameters as AnomalyParameters

F8 = npt.NDArray[np.float64]

DAY_S = 86_400
ENOUGH = 10
"""Episodes that the sample must hold at the budget for its own count to decide; below, the tail is extrapolated."""

FEWEST = 4
"""Blocks of one cooldown below which nothing is said about a tail."""

_TAIL_SHARE = 0.1
_PARETO = 30


@dataclass(frozen=True, slots=True)
class Budget:
    """An alert distance and where it comes from.

    days : instrument-days watched; episodes : false ones counted in them at `distance`; method : counted or
    extrapolated, in words
    """

    distance: float
    days: float
    episodes: int
    method: str


def rule_for(step_s: int) -> AnomalyParameters:
    """The shipped rule, in steps: for minutes one far bar is enough and ten end an episode."""
    rule = AnomalyParameters()
    if step_s == 1:
        return rule
    return AnomalyParameters(1.0, max(1.0, rule.quiet_s / step_s), rule.cooldown_s / step_s, rule.update_ratio)


def alert_distance(sample: Sample, found: F8, per_day: float) -> Budget:
    """The distance at which normal rows open `per_day` episodes an instrument and day of watched time.

    found : float64[rows], distances of the sample's rows; rows not known to be normal are left out.
    Where the sample holds fewer than 10 such episodes, a generalised Pareto tail (peaks over threshold, Pickands 1975)
    is fitted to the largest tenth of the 10-minute maxima of the held distance; an exponential tail where these are
    fewer than 30. ValueError where there is nothing to count, or less than four such maxima.
    """
    rule = rule_for(sample.step_s)
    normal = np.where(sample.normal, found, np.nan)
    watched = int(np.count_nonzero(~np.isnan(normal)))
    if not watched:
        raise ValueError("no row has a distance")
    days = watched * sample.step_s / DAY_S
    if per_day * days >= ENOUGH:
        distance = _counted(sample, normal, per_day * days, rule)
        method = "counted on held-out rows"
    else:
        distance, method = _extrapolated(sample, normal, per_day * days, rule)
    return Budget(distance, days, false_episodes(sample, found, distance), method)


def budgets_by_feed(
    score: Callable[[Sample], F8], held_out: Sample, per_day: float, lacking: Mapping[str, Sequence[str]]
) -> dict[str, Budget]:
    """`alert_distance` for every kind of feed that has a score.

    score : float64[rows] of a sample; lacking : by kind of feed, the inputs that it lacks
    One limit for all would have to be the largest, and would leave most of the budget of the others unspent. ValueError
    where no feed has a score.
    """
    found = {}
    for name, missing in lacking.items():
        rows = held_out.masked(missing) if missing else held_out
        scores = score(rows)
        if not np.isnan(scores).all():
            found[name] = alert_distance(rows, scores, per_day)
    if not found:
        raise ValueError("no row has a score")
    return found


def said(budgets: Mapping[str, Budget]) -> str:
    """How limits were found, in words."""
    days = max(budget.days for budget in budgets.values())
    if len(budgets) == 1:
        name, budget = next(iter(budgets.items()))
        return f"{budget.method} ({days:.1f} instrument-days; {name} decide)"
    methods = sorted({budget.method for budget in budgets.values()})
    return f"each kind of feed, {' or '.join(methods)} ({days:.1f} instrument-days)"


def false_episodes(sample: Sample, found: F8, distance: float) -> int:
    """Episodes that rows not known to be manipulated open at an alert distance."""
    normal = np.where(sample.normal, found, np.nan)
    return int(episodes(normal, sample.steps, sample.starts, distance, rule_for(sample.step_s).array()))


def _counted(sample: Sample, normal: F8, wanted: float, rule: AnomalyParameters) -> float:
    """The smallest held distance at which no more than `wanted` episodes open."""
    held_levels = held(normal, sample.steps, sample.starts, int(rule.hold_s))
    top = np.sort(held_levels[~np.isnan(held_levels)])[::-1]
    # From the top down: a limit so low that episodes never close counts few of them too.
    low, high = 0, 1
    while high < len(top) and episodes(normal, sample.steps, sample.starts, float(top[high]), rule.array()) <= wanted:
        low, high = high, 2 * high
    high = min(high, len(top)) - 1
    while low < high:
        middle = (low + high + 1) // 2
        count = episodes(normal, sample.steps, sample.starts, float(top[middle]), rule.array())
        low, high = (middle, high) if count <= wanted else (low, middle - 1)
    return float(top[low])


def _extrapolated(sample: Sample, normal: F8, wanted: float, rule: AnomalyParameters) -> tuple[float, str]:
    """The distance that `wanted` blocks of one cooldown exceed, by the fitted tail of block maxima, and the tail's
    name.
    """
    peaks = np.sort(
        _block_maxima(sample, held(normal, sample.steps, sample.starts, int(rule.hold_s)), int(rule.cooldown_s))
    )
    if len(peaks) < FEWEST:
        raise ValueError(
            f"{len(peaks)} blocks of {rule.cooldown_s * sample.step_s:.0f} s held out are too few for a tail"
        )
    count = max(int(_TAIL_SHARE * len(peaks)), min(ENOUGH, len(peaks) // 2))
    threshold = float(peaks[-count - 1])
    if wanted >= count:
        return threshold, "extrapolated from few rows"
    beyond = peaks[-count:] - threshold
    if count < _PARETO:
        return threshold + float(beyond.mean()) * float(np.log(count / wanted)), "extrapolated with an exponential tail"
    shape, _, spread = genpareto.fit(beyond, floc=0.0)
    return threshold + float(
        genpareto.isf(wanted / count, shape, 0.0, spread)
    ), "extrapolated with a generalised Pareto tail"


def _block_maxima(sample: Sample, levels: F8, length: int) -> F8:
    """The largest held distance of every block of `length` steps of every instrument."""
    owner = np.repeat(np.arange(len(sample.starts) - 1), np.diff(sample.starts))
    there = ~np.isnan(levels)
    block = owner[there] * (int(sample.steps.max()) // length + 1) + sample.steps[there] // length
    blocks, inverse = np.unique(block, return_inverse=True)
    peaks = np.full(len(blocks), -np.inf)
    np.maximum.at(peaks, inverse, levels[there])
    return peaks
