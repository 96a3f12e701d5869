"""Figures of seven-class forecasts: how right, how much of it is direction and how much size, and how sure."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.calibration import reliability
from detectors.forecast import judging
from detectors.forecast.classes import CLASSES
from detectors.forecast.direction import naive
from evaluation import forecast_figures as over
from evaluation.forecast_figures import Days
from tapewatch.desk.day_blocks import DRAWS

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

COUNT = len(CLASSES)
FLAT = CLASSES.index("flat")
SIZES = ("flat", "small", "mid", "big")
_AGAINST = {
    "auc": naive.NAMES,
    "accuracy": naive.NAMES,
    "macro_f1": ("persistence", "momentum", "volatility"),
    "kappa": ("majority", "persistence", "momentum"),
    "size_auc": ("volatility",),
    "sign_auc": ("chance",),
}
"""What is compared with what: paired differences."""


@dataclass(frozen=True, slots=True)
class DirectionForecasts:
    """Rows of all judged years, in the order of their years.

    at : int64[rows]; returns : float64[rows], what came; actual : int64[rows], its class by the cuts of its year's fit
    chances : float64[seeds, rows, 7], the model's; naive : float64[rows, 7] of each naive forecast
    years : of each: year, rows, cuts, temperatures
    """

    at: I8
    returns: F8
    actual: I8
    chances: F8
    naive: dict[str, F8]
    years: list[dict[str, Any]]

    @property
    def year(self) -> I8:
        """Of each row, int64[rows]."""
        return np.repeat([each["year"] for each in self.years], [each["rows"] for each in self.years])


def document(name: str, found: DirectionForecasts, draws: int = DRAWS) -> dict[str, Any]:
    """All figures of a model: means over seeds with intervals over days, beside the naive ones, and what they say."""
    days = over.days_of(found.at, draws=draws)
    mine = _mean([measured(days, found.actual, found.returns, chances) for chances in found.chances])
    others = {each: measured(days, found.actual, found.returns, chances) for each, chances in found.naive.items()}
    chance = {"chance": {"sign_auc": np.full_like(mine["sign_auc"], 0.5)}}
    compared = {
        f"{figure}_less_{other}": over.compared(
            mine[figure], (others | chance)[other][figure], f"{name}: {figure}", other
        )
        for figure, against in _AGAINST.items()
        for other in against
    }
    compared["log_loss_less_volatility"] = over.compared(
        mine["log_loss"], others["volatility"]["log_loss"], f"{name}: log_loss", "volatility", lower_is_better=True
    )
    return {
        **{figure: over.interval(values) for figure, values in mine.items()},
        **{
            each: {figure: over.interval(values) for figure, values in figures.items() if np.isfinite(values[0])}
            for each, figures in others.items()
        },
        "compared": {each: {"difference": one["difference"], "skill": one["skill"]} for each, one in compared.items()},
        "verdicts": [one["sentence"] for one in compared.values()],
        "by_class": _by_class(days, found),
        "by_year": _by_year(found),
        "confusion": confusion(found.actual, found.chances[0].argmax(axis=1)).astype(int).tolist(),
        "reliability": _reliability(found),
    }


def measured(days: Days, actual: I8, returns: F8, chances: F8) -> dict[str, F8]:
    """Every figure of one forecaster of all days and of each draw, float64[1 + draws] each.

    auc : one against the rest, mean over classes; size_auc : the same of the four sizes, falls and rises together;
    sign_auc : of a rise against a fall, by the probability of all rises less that of all falls; sign_auc_big : the
    same of big and mid moves alone; log_loss : NaN for a forecaster that rules classes out
    """
    cells = over.counts(days, actual * COUNT + chances.argmax(axis=1), COUNT * COUNT).reshape(-1, COUNT, COUNT)
    lean = chances[:, FLAT + 1 :].sum(axis=1) - chances[:, :FLAT].sum(axis=1)
    large = np.abs(actual - FLAT) >= SIZES.index("mid")
    right = chances[np.arange(len(actual)), actual]
    loss = np.column_stack([-np.log(np.maximum(right, 1e-12)), np.ones(len(right))])
    never = chances.min() <= 0.0
    return {
        "accuracy": judging.accuracy(cells),
        "macro_f1": judging.macro_f1(cells),
        "kappa": judging.kappa(cells),
        "auc": _mean_area(days, actual, chances),
        "size_auc": _mean_area(days, np.abs(actual - FLAT), folded(chances)),
        "sign_auc": _area(days, returns > 0.0, lean),
        "sign_auc_big": _area(_some(days, large), returns[large] > 0.0, lean[large]),
        "log_loss": np.full(len(cells), np.nan)
        if never
        else over.values(days, loss, lambda total: total[0] / total[1]),
    }


def folded(chances: F8) -> F8:
    """Probability of each size, falls and rises together, float64[rows, 4]."""
    return np.column_stack([chances[:, FLAT], *(chances[:, FLAT - k] + chances[:, FLAT + k] for k in (1, 2, 3))])


def confusion(actual: I8, called: I8) -> F8:
    """float64[7, 7], rows by what happened."""
    return np.bincount(actual * COUNT + called, minlength=COUNT * COUNT).reshape(COUNT, COUNT).astype(np.float64)


def _some(days: Days, used: npt.NDArray[np.bool_]) -> Days:
    return Days(days.place[used], days.weights)


def _area(days: Days, happened: npt.NDArray[np.bool_], score: F8) -> F8:
    cell = judging.ranked(score) * 2 + happened
    return judging.auc(over.counts(days, cell, judging.BINS * 2).reshape(-1, judging.BINS, 2))


def _mean_area(days: Days, actual: I8, chances: F8) -> F8:
    areas = [_area(days, actual == each, column) for each, column in enumerate(chances.T)]
    found: F8 = np.nanmean(areas, axis=0)
    return found


def _mean(seeds: list[dict[str, F8]]) -> dict[str, F8]:
    return {figure: np.mean([one[figure] for one in seeds], axis=0) for figure in seeds[0]}


def _by_class(days: Days, found: DirectionForecasts) -> dict[str, Any]:
    """Of each class its share, and the area under its curve by the model and by volatility alone."""
    told = {}
    for place, name in enumerate(CLASSES):
        happened = found.actual == place
        mine = np.mean([_area(days, happened, chances[:, place]) for chances in found.chances], axis=0)
        told[name] = {
            "share": float(f"{happened.mean():.4g}"),
            "auc": over.interval(mine),
            "auc_volatility": over.interval(_area(days, happened, found.naive["volatility"][:, place])),
        }
    return told


def _by_year(found: DirectionForecasts) -> list[dict[str, Any]]:
    """Accuracy and area of each year, without intervals, beside the share of its commonest class."""
    told = []
    for one in found.years:
        mine = found.year == one["year"]
        days = Days(np.zeros(int(mine.sum()), dtype=np.int64), np.ones((1, 1)))
        figures = _mean([measured(days, found.actual[mine], found.returns[mine], each[mine]) for each in found.chances])
        shares = np.bincount(found.actual[mine], minlength=COUNT) / mine.sum()
        rounded = {name: float(f"{figures[name][0]:.4g}") for name in ("accuracy", "auc", "size_auc", "sign_auc")}
        told.append({**one, **rounded, "commonest": float(f"{shares.max():.4g}")})
    return told


def _reliability(found: DirectionForecasts) -> dict[str, Any]:
    """All classes' probabilities of the first seed against how often each came true."""
    happened = np.eye(COUNT, dtype=bool)[found.actual]
    held = reliability(found.chances[0].ravel(), happened.ravel())
    return {"probability": held.chance, "share": held.share, "weight": held.weight, "ece": held.error}
