"""Figures of scenario detectors over labelled seconds.

A second is positive for an event when the two overlap. Seconds within `MARGIN_S` of an event of any kind, other than
the event's own, belong to neither side; all others are negative. An event is found by what is said between its start
and `MARGIN_S` after its end.

The score of each instrument-second out of what detectors said, and which detectors speak for a scenario.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from detectors.scenarios.library import SCENARIOS
from evaluation.scenario_labels import Event
from evaluation.scenario_market import MarketRun
from tapewatch.clock import NANOS
from tapewatch.contract.rows import Column

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


STAND_IN = "kmeans"
"""Scores a scenario that has no detector of its own."""
STAND_IN_SCENARIO = "kmeans_anomaly"
"""Whose alerts count for a scenario that the engine does not know."""
TIE = 1e-7
"""How much of a probability a raw score may move: it only orders seconds of one step of a calibration."""


def detector_of(result: MarketRun, scenario: str) -> tuple[str, ...]:
    """The detector of the scenario's name, else the stand-in."""
    return (scenario,) if scenario in result.scores else (STAND_IN,)


def calibrated(result: MarketRun) -> tuple[str, ...]:
    """Every detector of a scenario that gave a probability; where none did, every detector that did; else the stand-in.

    A probability of what is unlike ordinary trading is no probability of manipulation, and would drown it.
    """
    found = [name for name, own in sorted(result.scores.items()) if np.isfinite(own["probability"]).any()]
    return tuple(name for name in found if name in SCENARIOS) or tuple(found) or (STAND_IN,)


def scored_seconds(result: MarketRun, detectors: Sequence[str]) -> Seconds:
    """Every instrument-second with a feature row from the instrument's first row to its last, and the highest score
    that these detectors gave it.

    A detector's score is its probability, or its raw value where it has none; NaN where it said nothing.
    """
    return _seconds(result, detectors, _score)


def probabilities(result: MarketRun, detectors: Sequence[str]) -> Seconds:
    """The same with the highest probability as it was given; NaN for detectors without one."""
    return _seconds(result, detectors, lambda own: own["probability"])


def _score(own: dict[str, Column]) -> F8:
    probability, raw = own["probability"], own["raw"]
    if not np.isfinite(probability).any():
        return np.asarray(raw)
    return np.asarray(probability + TIE * np.nan_to_num(raw / (1.0 + np.abs(raw))))


def _seconds(result: MarketRun, detectors: Sequence[str], score_of: Any) -> Seconds:
    columns = result.features
    names = result.instruments
    codes = {name: code for code, name in enumerate(names)}
    if not columns:
        return Seconds(names, np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    instrument = _codes(columns["instrument"], codes)
    second = columns["ts"] // NANOS - 1
    bounds = np.array([result.spans[name] for name in names], dtype=np.int64)
    watched = (second >= bounds[instrument, 0]) & (second <= bounds[instrument, 1])
    instrument, second = instrument[watched], second[watched]
    place = {key: row for row, key in enumerate(zip(instrument.tolist(), second.tolist(), strict=True))}
    score = np.full(len(second), np.nan)
    for own in (result.scores[name] for name in detectors if name in result.scores):
        keys = zip(_codes(own["instrument"], codes).tolist(), own["second"].tolist(), strict=True)
        rows = np.array([place.get(key, -1) for key in keys], dtype=np.int64)
        known = rows >= 0
        score[rows[known]] = np.fmax(score[rows[known]], score_of(own)[known])
    return Seconds(names, instrument, second, score)


def _codes(texts: Any, codes: dict[str, int]) -> npt.NDArray[np.int64]:
    return np.fromiter((codes[text] for text in texts), dtype=np.int64, count=len(texts))
