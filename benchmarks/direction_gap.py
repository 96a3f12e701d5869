"""How next-day forecasts in seven classes come by their figures: the same learners under protocols of all sorts.

`python -m benchmarks.direction_gap --daily DIR... --out docs/results/direction-gap.json`

Inputs and learners are those of `evaluate forecast`; labels and splits differ. The ordinal regression serves where
nothing else is said; where one split decides, boosted trees too, since trees can learn single days by heart. Some
setups are wrong on purpose: they show what a single random split, targets that reach over each other, or a class of the
same day would report. The first is the product's own.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.document import give
from detectors.forecast.boosted import model as boosted
from detectors.forecast.classes import classes, cuts
from detectors.forecast.direction.fitting import Learner, Rows
from detectors.forecast.direction.inputs import rows_of
from detectors.forecast.ordinal import model as ordinal
from detectors.forecast.series import hash_of
from detectors.forecast.walk import Fold, folds, years
from evaluation import forecast_direction_figures as figures
from evaluation.forecast import first_year, read_folders
from evaluation.forecast_figures import days_of, interval

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Split = Callable[[Rows, F8], Iterator[Fold]]

COMMAND = "python -m benchmarks.direction_gap --daily DIR... --out docs/results/direction-gap.json"
WEEK = 5
"""Bars of the target that reaches over its neighbours'."""
FIXED = {
    "half a percent": (-0.03, -0.015, -0.005, 0.005, 0.015, 0.03),
    "seven tenths": (-0.04, -0.02, -0.007, 0.007, 0.02, 0.04),
    "one percent": (-0.05, -0.03, -0.01, 0.01, 0.03, 0.05),
}
"""Cuts chosen by hand, log returns, by what is flat."""
_BLOCK_DAYS = 28
LEARN: dict[str, Learner] = {ordinal.NAME: ordinal.learn, boosted.NAME: boosted.learn}
_SHOWN = ("accuracy", "macro_f1", "kappa", "auc", "size_auc", "sign_auc")


@dataclass(frozen=True, slots=True)
class Setup:
    """One way to report. says : in words; sound : whether the figures could come true; target : float64[rows] of the
    classes; split : folds over the rows; parts : cuts by hand, None for quantiles of the fitted rows; learner : name
    """

    says: str
    sound: bool
    target: Callable[[Rows], F8]
    split: Split
    parts: tuple[float, ...] | None = None
    learner: str = ordinal.NAME


def measure(folders: list[Path], from_year: int | None = None) -> dict[str, Any]:
    """Every setup's figures. from_year : first year that is judged"""
    panel, _ = read_folders(folders)
    rows, first = rows_of(panel), from_year or first_year(panel)
    found = {}
    for name, setup in setups(first).items():
        found[name] = {"says": setup.says, "sound": setup.sound, "learner": setup.learner, **judged(rows, setup)}
        print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
    return {
        "benchmark": "direction-gap",
        "command": COMMAND,
        "data": [folder.name for folder in folders],
        "data_hash": hash_of(panel),
        "first_year": first,
        "seed": 0,
        "setups": found,
    }


def setups(first: int) -> dict[str, Setup]:
    """By name, ours first."""
    ahead, walk = next_day, walked(first)
    return {
        "walk_forward": Setup("quantile classes, each year by the years before it", True, ahead, walk),
        "calm_year": Setup(f"quantile classes, {first} alone by the years before it", True, ahead, walked(first, 1)),
        "volatility_units": Setup("as the first, returns in units of their deviation", True, scaled, walk),
        "flat_half_percent": Setup("classes cut by hand, flat within .5 %", True, ahead, walk, FIXED["half a percent"]),
        "flat_seven_tenths": Setup("classes cut by hand, flat within .7 %", True, ahead, walk, FIXED["seven tenths"]),
        "flat_one_percent": Setup("classes cut by hand, flat within 1 %", True, ahead, walk, FIXED["one percent"]),
        "single_split": Setup("oldest 80 % fitted, newest 20 % judged, once", True, ahead, chronological),
        "random_split": Setup("rows of all days shuffled, 20 % judged", False, ahead, shuffled),
        "random_split_week": Setup("return of five days, rows shuffled: targets overlap", False, week, shuffled),
        "single_split_week": Setup("return of five days, newest 20 % judged", True, week, chronological),
        "random_split_trees": Setup(
            "rows of all days shuffled, 20 % judged", False, ahead, shuffled, learner=boosted.NAME
        ),
        "random_split_week_trees": Setup(
            "return of five days, rows shuffled: targets overlap", False, week, shuffled, learner=boosted.NAME
        ),
        "single_split_week_trees": Setup(
            "return of five days, newest 20 % judged", True, week, chronological, learner=boosted.NAME
        ),
        "same_day": Setup("class of the day whose close the inputs know, each year", False, same_day, walk),
        "shuffled_labels": Setup(
            f"as the first, returns shuffled within {_BLOCK_DAYS} days of an instrument: only the spells stay",
            False,
            shuffled_labels,
            walk,
        ),
        "shuffled_all_labels": Setup(
            "as the first, returns in deviations, shuffled over all days", False, shuffled_scaled, walk
        ),
        "noise": Setup("as the first, returns drawn from a normal distribution", False, noise, walk),
    }


def next_day(rows: Rows) -> F8:
    """The product's target."""
    return rows.returns


def scaled(rows: Rows) -> F8:
    """The next return in deviations of the instrument, so that how much it moves tells nothing."""
    return rows.returns / rows.scale


def week(rows: Rows) -> F8:
    """The return of the next five bars, NaN for the newest five."""
    found = np.full(len(rows), np.nan)
    for begin, end in zip(rows.starts[:-1], rows.starts[1:], strict=True):
        for row in range(begin, end - WEEK):
            found[row] = rows.returns[row : row + WEEK].sum()
    return found


def same_day(rows: Rows) -> F8:
    """The return that ended at the row's own bar: known, and so no forecast."""
    found = np.append(np.nan, rows.returns[:-1])
    found[rows.starts[:-1]] = np.nan
    return found


def shuffled_labels(rows: Rows) -> F8:
    """The next returns, changed about within blocks of days of an instrument: the spells stay, the day is lost."""
    block = rows.at // (_BLOCK_DAYS * 86_400 * 10**9)
    rng = np.random.default_rng(0)
    order = np.lexsort([rng.random(len(rows)), block, rows.instrument()])
    found: F8 = rows.returns[order]
    return found


def shuffled_scaled(rows: Rows) -> F8:
    """The next returns in deviations, of days and instruments drawn at random: no input can know of them."""
    found, known = scaled(rows), np.flatnonzero(rows.usable() & np.isfinite(rows.returns))
    found[known] = found[np.random.default_rng(0).permutation(known)]
    return found


def noise(rows: Rows) -> F8:
    """Nothing of the market."""
    return np.random.default_rng(0).normal(0.0, 0.01, len(rows))


def walked(first: int, stretches: int | None = None) -> Split:
    """Each year by the years before it; only the first so many years where told."""

    def split(rows: Rows, target: F8) -> Iterator[Fold]:
        boundaries = years(rows.at, first)
        yield from folds(rows.at, rows.known, boundaries[: stretches + 1] if stretches else boundaries)

    return split


def chronological(rows: Rows, target: F8) -> Iterator[Fold]:
    """One split by time at four fifths of the rows."""
    begin = int(np.quantile(rows.at, 0.8))
    yield from folds(rows.at, rows.known, np.array([begin, int(rows.at.max()) + 1]))


def shuffled(rows: Rows, target: F8) -> Iterator[Fold]:
    """One split without regard to time: 68 % fitted, 12 % to stop on, 20 % judged."""
    drawn = np.random.default_rng(0).random(len(rows))
    yield Fold(drawn < 0.68, (drawn >= 0.68) & (drawn < 0.8), drawn >= 0.8)


def judged(rows: Rows, setup: Setup) -> dict[str, Any]:
    """Figures of one setup over all its folds, with intervals over days, and the share of the commonest class."""
    target = setup.target(rows)
    known = rows.usable() & np.isfinite(target)
    at, returns, actual, chances = [], [], [], []
    for raw in setup.split(rows, target):
        fold = Fold(raw.fit & known, raw.calibrate & known, raw.test & known)
        if not fold.test.any():
            continue
        parts = np.array(setup.parts) if setup.parts else cuts(target[fold.fit])
        seen = fold.fit | fold.calibrate
        labels = np.where(seen, classes(np.where(known, target, 0.0), parts), -1)
        fitted = LEARN[setup.learner](replace(rows, returns=np.where(seen, target, np.nan)), labels, fold, 0)
        at.append(rows.at[fold.test])
        returns.append(target[fold.test])
        actual.append(classes(target[fold.test], parts))
        chances.append(fitted.probabilities(rows, fold.test))
    truth = np.concatenate(actual)
    days = days_of(np.concatenate(at))
    found = figures.measured(days, truth, np.concatenate(returns), np.concatenate(chances))
    told = {name: interval(found[name]) for name in _SHOWN}
    return {"rows": len(truth), "commonest": round(float(np.bincount(truth).max() / len(truth)), 4), **told}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.direction_gap",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--daily", nargs="+", type=Path, required=True, metavar="DIR", help="folders of daily bars")
    parser.add_argument("--first-year", type=int, help="first year judged (default: as `evaluate forecast`)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the JSON document to a file too")
    parser.epilog = f"example: {COMMAND}"
    args = parser.parse_args()
    give(measure(args.daily, args.first_year), args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
