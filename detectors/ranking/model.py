"""A ranking model as a file: a logistic regression with isotonic calibration and its card, JSON named by its content's
hash.

The ranking model's card as a page: what it was trained on, how well it does, and what it cannot do.
"""

from functools import cache
from importlib import resources
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.boosted.model import Card
from detectors.calibration import probabilities
from detectors.card_page import counted, limits, measured, named, origin, page
from detectors.coin_features.state import Barriers
from detectors.model_file import ModelFile, first_problem, foreign, sound, unfit_knots
from detectors.ranking import features

F8 = npt.NDArray[np.float64]

__all__ = ["DETECTOR", "Card", "RankingModel", "decode", "shipped", "summary"]

DETECTOR = "ranking"


class RankingModel(ModelFile, frozen=True, forbid_unknown_fields=True):
    """Log odds, linear in scaled inputs, and the probability that they mean.

    inputs : names out of features.NAMES; location, scale, weights : one an input; intercept : log odds
    knots : log odds and probability, increasing: linear between them, flat beyond
    horizon, target, stop : what is asked unless something else is: minutes, and returns, the latter negative
    """

    inputs: tuple[str, ...]
    location: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    knots: tuple[tuple[float, float], ...]
    horizon: int
    target: float
    stop: float
    card: Card = Card()
    detector: str = DETECTOR
    version: str = "1.0"

    @property
    def asked(self) -> Barriers:
        """What is asked of a coin by default."""
        return Barriers(self.horizon, self.target, self.stop)

    def log_odds(self, inputs: F8) -> F8:
        """Before calibration, float64[rows]. inputs : float64[rows, features.COUNT], NaN rows give NaN"""
        used = inputs[:, [features.NAMES.index(name) for name in self.inputs]]
        # Added up input by input: a product of matrices may round otherwise on another machine, or for other rows.
        total = np.full(len(used), self.intercept)
        for place, weight in enumerate(self.weights):
            total += (used[:, place] - self.location[place]) / self.scale[place] * weight
        return total

    def probability(self, inputs: F8) -> F8:
        """Calibrated probability to reach the target before the stop within the horizon, float64[rows]."""
        return probabilities(self.log_odds(inputs), self.knots)

    def problem(self) -> str:
        """What is wrong with the model as a whole; empty where nothing is."""
        lengths = {len(each) for each in (self.inputs, self.location, self.scale, self.weights)}
        numbers = (*self.location, *self.scale, *self.weights, self.intercept, self.target, self.stop)
        found = foreign(self.detector, self.version, DETECTOR) | {
            "an input is unknown": any(name not in features.NAMES for name in self.inputs),
            "inputs and weights differ in length": len(lengths) != 1,
            "a scale is not positive": any(not each > 0.0 for each in self.scale),
            "the horizon is not within 1 and 1440 minutes": not 1 <= self.horizon <= 1440,
            "the target must be positive and the stop within -1 and 0": not (
                self.target > 0.0 and -1.0 < self.stop < 0.0
            ),
            "a probability is not within 0 and 1": any(not 0.0 <= chance <= 1.0 for _, chance in self.knots),
        }
        return first_problem(found | unfit_knots(self.knots, numbers, "log odds"))


def decode(data: bytes) -> RankingModel:
    """Read a model file; msgspec.ValidationError names what is wrong in it, ValueError what does not fit together."""
    return sound(msgspec.json.decode(data, type=RankingModel))


@cache
def shipped() -> RankingModel:
    """The model that comes with the product."""
    return decode((resources.files("detectors.ranking") / "shipped" / "ranking.json").read_bytes())


def summary(model: RankingModel) -> dict[str, Any]:
    """What a listing shows."""
    return {
        "detector": model.detector,
        "hash": model.hash,
        "inputs": len(model.inputs),
        "rows": sum(model.card.rows.values()),
        "data": model.card.data,
        "horizon_s": model.horizon * 60,
        "target_return": model.target,
        "stop_return": model.stop,
    }


def markdown(model: RankingModel) -> str:
    """The card of a model, generated from its file alone."""
    card = model.card
    facts = {
        "Detector": f"`{model.detector}`",
        "Content hash": f"`{model.hash}`",
        "Inputs": named(model.inputs),
        "Kind": f"logistic regression, isotonic calibration with {len(model.knots)} knots",
        "Asked by default": f"{model.target:+.2%} before {model.stop:+.2%} within {model.horizon} minutes",
        **origin(card, counted(card.rows)),
        "Calibrated": card.threshold,
    }
    return page("Ranking model", facts, [measured(card.metrics), limits(card.limits)])
