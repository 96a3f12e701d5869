"""The score of each instrument-second out of what detectors said, and which detectors speak for a scenario."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.scenarios.library import SCENARIOS
from evaluation.scenario_figures import Seconds
from evaluation.scenario_market import MarketRun
from tapewatch.clock import NANOS
from tapewatch.contract.rows import Column

F8 = npt.NDArray[np.float64]

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
