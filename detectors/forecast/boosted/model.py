"""Boosted trees of the seven classes as a file: JSON named by its content's hash; XGBoost is needed to train alone."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from detectors.boosted.model import Nodes, forest
from detectors.forecast.boosted.learner import NAME, BoostedClassifier, learn
from detectors.forecast.classes import CLASSES
from detectors.forecast.direction import card as cards
from detectors.forecast.direction.card import Card
from detectors.forecast.direction.forecasting import forecasts, trained
from detectors.forecast.series import Forecast, Panel
from detectors.model_file import ModelFile, first_problem, foreign, sound


class BoostedModel(ModelFile, frozen=True, forbid_unknown_fields=True):
    """Trees of log odds, a group for each class.

    inputs : names, in order; cuts : log returns between the classes; temperature : of the calibration
    middle : what stands for an input that is not known; groups : trees of each class
    """

    inputs: tuple[str, ...]
    cuts: tuple[float, ...]
    temperature: float
    middle: tuple[float, ...]
    groups: tuple[Nodes, ...]
    card: Card = Card()
    detector: str = NAME
    version: str = "1.0"

    def fitted(self) -> BoostedClassifier:
        """What tells probabilities."""
        return BoostedClassifier(np.array(self.middle), self.groups, forest(self.groups, [0.0] * len(self.groups)))

    def problem(self) -> str:
        """What is wrong with the model as a whole; empty where nothing is."""
        found = foreign(self.detector, self.version, NAME) | cards.unfit(self.inputs, self.cuts, self.temperature)
        found |= {
            "inputs and fillings differ in length": len(self.middle) != len(self.inputs),
            "a number is not finite": not np.isfinite(self.middle).all(),
            "not a group of trees for each class": len(self.groups) != len(CLASSES),
        }
        trees = (group.node_problem(len(self.inputs)) for group in self.groups)
        return first_problem(found) or next(filter(None, trees), "")


def train(panel: Panel, seed: int, report: Callable[[str], None] | None = None) -> BoostedModel:
    """A model fitted to all whose next move is known. ValueError where there is too little."""
    judge, rows, figures = trained(NAME, learn, panel, seed, report)
    fitted = judge.fitted
    if not isinstance(fitted, BoostedClassifier):
        raise TypeError("not boosted trees")
    cuts, middle = (tuple(map(float, each)) for each in (judge.cuts, fitted.middle))
    card = cards.trained_card(NAME, panel, seed, figures)
    return BoostedModel(rows.names, cuts, judge.temperature, middle, fitted.groups, card)


def predict(model: BoostedModel, panel: Panel) -> list[Forecast]:
    """The classes of the bar after the newest one of each instrument that is warm."""
    return forecasts(model, model.fitted(), panel)


def decode(data: bytes) -> BoostedModel:
    """Read a file; ValueError names what is wrong in it (msgspec.ValidationError is one)."""
    return sound(msgspec.json.decode(data, type=BoostedModel))


def summary(model: BoostedModel) -> dict[str, Any]:
    """What a listing shows."""
    return cards.summary(model) | {"trees": sum(len(group.roots) for group in model.groups)}


def markdown(model: BoostedModel) -> str:
    """The card as a page, from the file alone."""
    trees = sum(len(group.roots) for group in model.groups)
    return cards.markdown("Boosted trees of the next day's class", model, f"{trees:,} trees in seven groups")
