"""One model over a panel, for the daily pipeline: fitted to all that is known, and asked about the bar after it."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from detectors.forecast.classes import CLASSES
from detectors.forecast.direction.fitting import (
    CalibratedClassifier,
    Classifier,
    Learner,
    Rows,
    calibrated,
    fit,
    newest,
)
from detectors.forecast.direction.inputs import REACH, rows_of
from detectors.forecast.series import Forecast, Panel

F8 = npt.NDArray[np.float64]

HORIZON = "1d"


class DirectionModel(Protocol):
    """What a model file of seven classes tells beside its learner's own numbers."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs, in order."""
        ...

    @property
    def temperature(self) -> float:
        """Of the calibration."""
        ...


def trained(
    name: str, learner: Learner, panel: Panel, seed: int, report: Callable[[str], None] | None = None
) -> tuple[CalibratedClassifier, Rows, dict[str, float]]:
    """A learner fitted to all whose target is known, the rows, and figures for its card: rows, and the log loss of the
    calibrating rows beside that of the classes' shares. ValueError where there is too little

    report : told how it went, under the model's name
    """
    rows = rows_of(panel)
    fold = newest(rows)
    judge = fit(learner, rows, fold, seed)
    labels = np.searchsorted(judge.cuts, rows.returns[fold.calibrate], side="right")
    shares = np.bincount(np.searchsorted(judge.cuts, rows.returns[fold.fit], side="right"), minlength=len(CLASSES))
    chances = judge.probabilities(rows, fold.calibrate)[np.arange(len(labels)), labels]
    told = {
        "fitted rows": float(fold.fit.sum()),
        "calibrating rows": float(fold.calibrate.sum()),
        "log loss": float(-np.log(np.maximum(chances, 1e-12)).mean()),
        "log loss of shares": float(-np.log(shares[labels] / shares.sum()).mean()),
    }
    if report is not None:
        report(f"{name}: {told['fitted rows']:,.0f} rows fitted, log loss {told['log loss']:.4f}")
    return judge, rows, {figure: float(f"{value:.6g}") for figure, value in told.items()}


def forecasts(model: DirectionModel, fitted: Classifier, panel: Panel) -> list[Forecast]:
    """For the newest bar of each instrument that is warm.

    Inputs are a function of the last REACH bars, so that older ones change no bit. ValueError where the panel has other
    columns than the model was trained on.
    """
    rows = rows_of(Panel({name: series[-REACH:] for name, series in panel.series.items()}, panel.readings))
    if rows.names != model.inputs:
        raise ValueError("the panel's factors are not those that the model was trained on")
    wanted = np.zeros(len(rows), dtype=bool)
    wanted[rows.starts[1:] - 1] = True
    wanted &= rows.usable()
    chances = calibrated(fitted.probabilities(rows, wanted), model.temperature)
    places = rows.instrument()[wanted]
    return [
        Forecast(
            instrument=rows.instruments[place],
            as_of=int(at),
            horizon=HORIZON,
            target="direction",
            reference=float(panel.series[rows.instruments[place]].close[-1]),
            classes={name: float(chance) for name, chance in zip(CLASSES, row, strict=True)},
        )
        for place, at, row in zip(places, rows.at[wanted], chances, strict=True)
    ]
