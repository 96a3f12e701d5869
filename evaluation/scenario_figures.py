"""Figures of scenario detectors over labelled seconds.

A second is positive for an event when the two overlap. Seconds within `MARGIN_S` of an event of any kind, other than
the event's own, belong to neither side; all others are negative. An event is found by what is said between its start
and `MARGIN_S` after its end.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from evaluation.scenario_labels import Event

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

MARGIN_S = 5.0
FALSE_POSITIVE_RATE = 0.01
BLOCK_S = 30
"""Length of the blocks of seconds that are drawn together for the interval of an AUROC."""
RESAMPLES = 400
Z = 1.959963984540054

Interval = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Seconds:
    """Scored seconds. instrument : codes into `names`; second : UTC s; score : NaN counts as the lowest."""

    names: tuple[str, ...]
    instrument: I8
    second: I8
    score: F8

    def __len__(self) -> int:
        return len(self.second)


@dataclass(frozen=True, slots=True)
class ScenarioAlert:
    """An alert: scenario, instrument and when it was decided, UTC s."""

    scenario: str
    instrument: str
    decided: float


def overlapping(seconds: Seconds, events: Sequence[Event], margin: float = 0.0) -> npt.NDArray[np.bool_]:
    """Which seconds overlap an event widened by `margin` s on both sides, bool[seconds]."""
    found = np.zeros(len(seconds), dtype=bool)
    for event in events:
        if event.instrument in seconds.names:
            found |= (
                (seconds.instrument == seconds.names.index(event.instrument))
                & (seconds.second + 1 > event.start - margin)
                & (seconds.second < event.end + margin)
            )
    return found


def separation(seconds: Seconds, own: Sequence[Event], every: Sequence[Event], seed: int) -> dict[str, Interval]:
    """`auroc` and `event_recall_at_1pct` of a score for the events `own`, among all events `every`."""
    score = np.where(np.isnan(seconds.score), -np.inf, seconds.score)
    positive = overlapping(seconds, own)
    negative = ~overlapping(seconds, every, MARGIN_S)
    block = seconds.instrument * (1 << 40) + seconds.second // BLOCK_S
    area = auroc(score, positive, negative, block, seed)
    if not negative.any():
        return {"auroc": area, "event_recall_at_1pct": share(0, 0)}
    threshold = rate_threshold(score[negative])
    hits = 0
    for event in own:
        near = overlapping(seconds, [event]) | overlapping(seconds, [_after(event)])
        hits += bool((score[near] > threshold).any())
    return {"auroc": area, "event_recall_at_1pct": share(hits, len(own))}


def rate_threshold(negatives: F8) -> float:
    """The lowest score that at most 1 % of the negative seconds exceed."""
    ordered = np.sort(negatives)
    return float(ordered[len(ordered) - 1 - int(FALSE_POSITIVE_RATE * len(ordered))])


def _after(event: Event) -> Event:
    return Event(event.scenario, event.instrument, event.end, event.end + MARGIN_S)


def auroc(
    score: F8, positive: npt.NDArray[np.bool_], negative: npt.NDArray[np.bool_], block: I8, seed: int
) -> Interval:
    """Area under the ROC curve with a 95 % interval from drawing blocks of seconds with replacement."""
    used = positive | negative
    ranks = np.unique(score[used], return_inverse=True)[1]
    _, blocks = np.unique(block[used], return_inverse=True)
    is_positive = positive[used]
    mean = _area(ranks, is_positive, np.ones(len(ranks)))
    rng = np.random.default_rng(seed)
    count = int(blocks.max()) + 1 if len(blocks) else 0
    drawn = [
        _area(ranks, is_positive, np.bincount(rng.integers(0, count, count), minlength=count)[blocks].astype(float))
        for _ in range(RESAMPLES if count > 1 else 0)
    ]
    kept = [value for value in drawn if value is not None]
    if mean is None or not kept:
        return {"mean": mean, "low": None, "high": None}
    low, high = np.percentile(kept, [2.5, 97.5])
    return {"mean": mean, "low": float(low), "high": float(high)}


def _area(ranks: I8, positive: npt.NDArray[np.bool_], weights: F8) -> float | None:
    count = int(ranks.max()) + 1 if len(ranks) else 0
    above = np.bincount(ranks[positive], weights[positive], count)
    below = np.bincount(ranks[~positive], weights[~positive], count)
    total = above.sum() * below.sum()
    if not total > 0:
        return None
    lower = np.cumsum(below) - below
    return float((above * (lower + 0.5 * below)).sum() / total)


def share(hits: int, of: int) -> Interval:
    """A share with its 95 % Wilson interval."""
    if not of:
        return {"mean": None, "low": None, "high": None, "count": 0, "of": 0}
    mean = hits / of
    centre = (mean + Z * Z / (2 * of)) / (1 + Z * Z / of)
    half = Z * np.sqrt(mean * (1 - mean) / of + Z * Z / (4 * of * of)) / (1 + Z * Z / of)
    low, high = max(0.0, float(centre - half)), min(1.0, float(centre + half))
    return {"mean": mean, "low": low, "high": high, "count": hits, "of": of}


def rate(count: int, hours: float) -> Interval:
    """Events an hour with their exact 95 % Poisson interval."""
    if not hours > 0:
        return {"mean": None, "low": None, "high": None, "count": count, "hours": hours}
    low = float(chi2.ppf(0.025, 2 * count) / 2) if count else 0.0
    high = float(chi2.ppf(0.975, 2 * count + 2) / 2)
    return {"mean": count / hours, "low": low / hours, "high": high / hours, "count": count, "hours": hours}


def alerting(
    said: Sequence[ScenarioAlert], own: Sequence[Event], every: Sequence[Event], hours: float
) -> dict[str, Interval | float | None]:
    """`event_recall`, `false_alerts_per_instrument_hour` and `median_delay_s` of alerts at the shipped thresholds.

    hours : instrument-hours outside the widened events
    """
    delays = []
    for event in own:
        times = [each.decided for each in said if each.instrument == event.instrument and _near(each, event, 0.0)]
        if times:
            delays.append(min(times) - event.start)
    false = sum(
        not any(each.instrument == event.instrument and _near(each, event, MARGIN_S) for event in every)
        for each in said
    )
    return {
        "event_recall": share(len(delays), len(own)),
        "false_alerts_per_instrument_hour": rate(false, hours),
        "median_delay_s": float(np.median(delays)) if delays else None,
    }


def _near(said: ScenarioAlert, event: Event, before: float) -> bool:
    return event.start - before <= said.decided <= event.end + MARGIN_S
