"""An ordinal regression as a file: JSON named by its content's hash; trained on a panel and asked about it.

The ordinal regression as a learner of the seven classes: inputs filled and scaled as the fitted rows tell.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.forecast.classes import CLASSES
from detectors.forecast.direction import card as cards
from detectors.forecast.direction.card import Card
from detectors.forecast.direction.filling import medians, scaled, spreads
from detectors.forecast.direction.fitting import Rows
from detectors.forecast.direction.forecasting import forecasts, trained
from detectors.forecast.ordinal.regression import Coefficients, fit, probabilities
from detectors.forecast.series import Forecast, Panel
from detectors.forecast.walk import Fold
from detectors.model_file import ModelFile, first_problem, foreign, sound

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NAME = "ordinal"
PENALTIES = (0.003, 0.03, 0.3)
"""Tried on the calibrating rows."""


@dataclass(frozen=True, slots=True)
class OrdinalClassifier:
    """As learner.Fitted asks. middle, scale : float64[inputs], of the fitted rows; penalty : the one chosen"""

    middle: F8
    scale: F8
    coefficients: Coefficients
    penalty: float

    def probabilities(self, rows: Rows, wanted: Bools) -> F8:
        """Of each class, float64[wanted rows, 7]."""
        return probabilities(scaled(rows.values[wanted], self.middle, self.scale), self.coefficients)


def learn(rows: Rows, labels: I8, fold: Fold, seed: int) -> OrdinalClassifier:
    """As learner.Learner asks; nothing is drawn, so that the seed changes nothing."""
    raw = rows.values[fold.fit]
    middle = medians(raw)
    scale = spreads(raw, middle)
    x, newer = scaled(raw, middle, scale), scaled(rows.values[fold.calibrate], middle, scale)
    found = [OrdinalClassifier(middle, scale, fit(x, labels[fold.fit], len(CLASSES), each), each) for each in PENALTIES]

    def loss(one: OrdinalClassifier) -> float:
        chances = probabilities(newer, one.coefficients)
        return -float(np.log(np.maximum(chances[np.arange(len(newer)), labels[fold.calibrate]], 1e-12)).mean())

    return min(found, key=loss)


class OrdinalModel(ModelFile, frozen=True, forbid_unknown_fields=True):
    """Cumulative logits.

    inputs : names, in order; cuts : log returns between the classes; temperature : of the calibration
    middle, scale : what each input is filled and centred with, and divided by; location, spread : its coefficients
    logits : between the classes, increasing; penalty : that the coefficients were fitted with
    """

    inputs: tuple[str, ...]
    cuts: tuple[float, ...]
    temperature: float
    middle: tuple[float, ...]
    scale: tuple[float, ...]
    location: tuple[float, ...]
    spread: tuple[float, ...]
    logits: tuple[float, ...]
    penalty: float
    card: Card = Card()
    detector: str = NAME
    version: str = "1.0"

    def fitted(self) -> OrdinalClassifier:
        """What tells probabilities."""
        middle, scale, logits, location, spread = (
            np.array(each) for each in (self.middle, self.scale, self.logits, self.location, self.spread)
        )
        return OrdinalClassifier(middle, scale, Coefficients(logits, location, spread), self.penalty)

    def problem(self) -> str:
        """What is wrong with the model as a whole; empty where nothing is."""
        columns = (self.middle, self.scale, self.location, self.spread)
        found = foreign(self.detector, self.version, NAME) | cards.unfit(self.inputs, self.cuts, self.temperature)
        found |= {
            "inputs and coefficients differ in length": {len(each) for each in columns} != {len(self.inputs)},
            "a number is not finite": not np.isfinite(np.concatenate([*columns, self.logits])).all(),
            "a scale is not positive": any(not each > 0.0 for each in self.scale),
            "logits are not six increasing numbers": len(self.logits) != len(self.cuts)
            or not np.all(np.diff(self.logits) > 0.0),
        }
        return first_problem(found)


def train(panel: Panel, seed: int, report: Callable[[str], None] | None = None) -> OrdinalModel:
    """Fit to all whose next move is known; the seed changes nothing. ValueError where there is too little."""
    judge, rows, figures = trained(NAME, learn, panel, seed, report)
    fitted = judge.fitted
    if not isinstance(fitted, OrdinalClassifier):
        raise TypeError("not an ordinal regression")
    by = fitted.coefficients
    columns = (judge.cuts, fitted.middle, fitted.scale, by.location, by.spread, by.cuts)
    cuts, middle, scale, location, spread, logits = (tuple(map(float, each)) for each in columns)
    return OrdinalModel(
        rows.names, cuts, judge.temperature, middle, scale, location, spread, logits, fitted.penalty,
        cards.trained_card(NAME, panel, seed, figures),
    )  # fmt: skip


def predict(model: OrdinalModel, panel: Panel) -> list[Forecast]:
    """The classes of the bar after the newest one of each instrument that is warm."""
    return forecasts(model, model.fitted(), panel)


def decode(data: bytes) -> OrdinalModel:
    """Read a file; ValueError names what is wrong in it (msgspec.ValidationError is one)."""
    return sound(msgspec.json.decode(data, type=OrdinalModel))


def summary(model: OrdinalModel) -> dict[str, Any]:
    """What a listing shows."""
    return cards.summary(model)


def markdown(model: OrdinalModel) -> str:
    """The card as a page, from the file alone."""
    kind = f"cumulative logits with location and scale, penalty {model.penalty:g}"
    return cards.markdown("Ordinal regression of the next day's class", model, kind)
