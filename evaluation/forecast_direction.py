"""Seven-class forecasts of the next day, judged year by year by what was fitted to the years before."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from detectors.forecast.boosted import model as boosted
from detectors.forecast.classes import CLASSES, classes
from detectors.forecast.direction import naive
from detectors.forecast.direction.fitting import Learner, Rows, fit, labelled, within
from detectors.forecast.direction.inputs import rows_of
from detectors.forecast.networks.fitting import LEARNERS
from detectors.forecast.ordinal import model as ordinal
from detectors.forecast.series import Panel
from detectors.forecast.walk import folds, years
from evaluation import forecast_direction_figures as figures
from evaluation import forecast_direction_report
from evaluation.forecast_direction_figures import DirectionForecasts
from tapewatch.errors import TapewatchError

UNDRAWN = frozenset({"ordinal"})
"""Models that draw nothing: one fit says what any number of seeds would."""
_HINT = "Name a later --first-year, or give longer files."


def judge(panel: Panel, name: str, args: argparse.Namespace) -> dict[str, Any]:
    """The document's figures of one model. args : seeds, first_year"""
    seeds = 1 if name in UNDRAWN else int(args.seeds)
    found = walked(rows_of(panel), learner(name), args.first_year, seeds)
    return {"seeds": seeds, "classes": CLASSES, "judged_rows": len(found.at), **figures.document(name, found)}


def page(folder: Path, document: dict[str, Any]) -> Path:
    """Write the report's page."""
    return forecast_direction_report.write_report(folder, document)


def learner(name: str) -> Learner:
    """The learner of a model."""
    own: dict[str, Learner] = {"ordinal": ordinal.learn, "boosted": boosted.learn}
    return (LEARNERS | own)[name]


def walked(
    rows: Rows, learn: Learner, first_year: int, seeds: int, report: Callable[[str], None] | None = None
) -> DirectionForecasts:
    """Every year from `first_year` judged by what was fitted to the years before it. report : told of each year"""
    at, returns, actual, chances, known, told = [], [], [], [], [], []
    say = report or _to_stderr
    for fold in folds(rows.at, rows.known, years(rows.at, first_year)):
        fold = within(fold, rows)
        if not (fold.fit.any() and fold.calibrate.any() and fold.test.any()):
            continue
        try:
            fits = [fit(learn, rows, fold, seed) for seed in range(seeds)]
        except ValueError as error:
            raise TapewatchError(f"a year cannot be fitted: {error}", _HINT) from error
        cuts = fits[0].cuts
        at.append(rows.at[fold.test])
        returns.append(rows.returns[fold.test])
        actual.append(classes(rows.returns[fold.test], cuts))
        chances.append(np.array([each.probabilities(rows, fold.test) for each in fits]))
        known.append(naive.chances(rows, labelled(rows, fold)[0], fold, cuts))
        told.append(
            {
                "year": int(np.datetime64(int(at[-1][0]), "ns").astype("datetime64[Y]").astype(int)) + 1970,
                "rows": int(fold.test.sum()),
                "fitted": int(fold.fit.sum()),
                "calibrated": int(fold.calibrate.sum()),
                "cuts": [float(f"{cut:.5g}") for cut in cuts],
                "temperatures": [each.temperature for each in fits],
            }
        )
        say(f"{told[-1]['year']}: {told[-1]['fitted']:,} rows fitted, {told[-1]['rows']:,} judged")
    if not told:
        raise TapewatchError("no year has enough bars before it", _HINT)
    return DirectionForecasts(
        np.concatenate(at),
        np.concatenate(returns),
        np.concatenate(actual),
        np.concatenate(chances, axis=1),
        {name: np.concatenate([each[name] for each in known]) for name in naive.NAMES},
        told,
    )


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
