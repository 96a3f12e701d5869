"""The Inception network and its rivals over the years: each year judged by what was fitted to the years before it."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.forecast.inception.fitting import STEPS, fit
from detectors.forecast.inception.images import AHEAD, DAYS, Images
from detectors.forecast.inception.network import Kind
from detectors.forecast.inception.rivals import logistic, majority
from detectors.forecast.walk import Fold, folds, years

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

LEAST = 250
"""Images to fit to, about a year of them, without which a year is not judged."""
NETWORKS: tuple[Kind, ...] = ("inception", "cnn")
RIVALS = ("logistic", "logistic_image", "momentum", "momentum_56", "majority")
"""Logistic regression on the last day's factors and on the whole image; the sign of the last 14 and 56 bars' return."""


@dataclass(frozen=True, slots=True)
class ImageForecasts:
    """What every model said of the judged images, in time order.

    rows : int64[judged], images; year : int64[judged]
    chances : by model, float64[seeds, judged], 1 seed where nothing is drawn: probability of a rise, of momentum the
    past log return plus a half, so that a rise is what lies above a half in every one
    years : what each year was fitted to and judged on, and how far each network learnt
    """

    rows: I8
    year: I8
    chances: dict[str, F8]
    years: list[dict[str, Any]]


def walk(found: Images, first_year: int, seeds: int, steps: int = STEPS) -> ImageForecasts:
    """Fit and judge year by year. ValueError where no year has LEAST images before it."""
    parts: list[tuple[I8, I8, dict[str, F8]]] = []
    lines: list[dict[str, Any]] = []
    for year, fold in _folds(found, first_year):
        chances, learnt = _year(found, fold, seeds, steps)
        rows = np.flatnonzero(fold.test)
        parts.append((rows, np.full(len(rows), year), chances))
        sizes = {name: int(getattr(fold, name).sum()) for name in ("fit", "calibrate", "test")}
        lines.append({"year": year, **sizes, "up": float(found.up[rows].mean()), **learnt})
        print(f"{year}: {sizes['fit']} images fitted to, {len(rows)} judged", file=sys.stderr)
    if not parts:
        raise ValueError(f"no year from {first_year} on has {LEAST} labelled images before it")
    return ImageForecasts(
        np.concatenate([rows for rows, _, _ in parts]),
        np.concatenate([year for _, year, _ in parts]),
        {name: np.concatenate([each[name] for _, _, each in parts], axis=1) for name in parts[0][2]},
        lines,
    )


def _folds(found: Images, first_year: int) -> Iterator[tuple[int, Fold]]:
    """The years with enough before them, over images whose label is known."""
    labelled = found.labelled
    if not labelled.any():
        raise ValueError("no window has all its factors in every channel and a known label")
    at, known = found.at, np.where(labelled, found.known, np.iinfo(np.int64).max)
    for fold in folds(at, known, years(at, first_year)):
        # Test rows without a label cannot be judged.
        judged = Fold(fold.fit, fold.calibrate, fold.test & labelled)
        if fold.fit.sum() >= LEAST and judged.test.any():
            yield int(at[judged.test][0].astype("datetime64[ns]").astype("datetime64[Y]").astype(int)) + 1970, judged


def _year(found: Images, fold: Fold, seeds: int, steps: int) -> tuple[dict[str, F8], dict[str, Any]]:
    """Every model's word on the fold's test rows, and how far the networks learnt."""
    chances: dict[str, F8] = {}
    learnt: dict[str, Any] = {}
    for kind in NETWORKS:
        fitted = [fit(found.pixels, found.up, fold, seed, kind, steps) for seed in range(seeds)]
        chances[kind] = np.array([each.probabilities(found.pixels[fold.test]) for each in fitted])
        learnt[kind] = {
            "steps": [each.steps for each in fitted],
            "slopes": [round(each.calibration.slope, 4) for each in fitted],
        }
    made: dict[str, Callable[[], F8]] = {
        "logistic": lambda: logistic(_last_day(found), found.up, fold),
        "logistic_image": lambda: logistic(_flat(found), found.up, fold),
        "momentum": lambda: found.past[fold.test, AHEAD - 1] + 0.5,
        "momentum_56": lambda: found.past[fold.test, DAYS - 1] + 0.5,
        "majority": lambda: majority(found.up, fold),
    }
    return chances | {name: made[name]()[None] for name in RIVALS}, learnt


def _last_day(found: Images) -> F8:
    return found.pixels[:, :, -1].reshape(len(found.pixels), -1).astype(np.float64)


def _flat(found: Images) -> F8:
    return found.pixels.reshape(len(found.pixels), -1).astype(np.float64)
