"""A book model as a file: boosted trees for each scenario with their card, JSON named by its content's hash.

The book model's card as a page: what it was trained on, how well it does, and what it cannot do.
"""

import math
from functools import cache
from importlib import resources
from typing import Any

import msgspec
import numpy as np

from detectors.book.features import COUNT, NAMES
from detectors.book.trees import SCENARIOS, Trees
from detectors.boosted.model import Card, Nodes, forest, summary
from detectors.card_page import counted, limits, measured, named, origin, page
from detectors.model_file import ModelFile, first_problem, foreign, sound

__all__ = ["DETECTOR", "SCENARIOS", "BookModel", "Booster", "Card", "Trees", "decode", "shipped", "summary"]

DETECTOR = "book"


class Booster(Nodes, frozen=True, forbid_unknown_fields=True):
    """Boosted trees of one scenario.

    scenario : its name; base : log odds before any tree; slope, shift : calibrated log odds are slope x log odds +
    shift; alert : probability from which the scenario is reported
    """

    scenario: str
    base: float
    slope: float
    shift: float
    alert: float

    def problem(self) -> str:
        """What is wrong with the trees; empty where nothing is."""
        if not all(map(math.isfinite, (self.base, self.slope, self.shift))):
            return "a number is not finite"
        if not 0.0 < self.alert <= 1.0:
            return "the alert probability is not within 0 and 1"
        if self.slope < 0.0:
            return "the calibration turns the order round"
        return self.node_problem(COUNT)


class BookModel(ModelFile, frozen=True, forbid_unknown_fields=True):
    """Boosted trees over the features of a second of book flow.

    inputs : names of the features; boosters : one a scenario, in the order of SCENARIOS
    """

    inputs: tuple[str, ...]
    boosters: tuple[Booster, ...]
    card: Card = Card()
    detector: str = DETECTOR
    version: str = "1.0"

    def trees(self) -> Trees:
        """As the kernels take it."""

        def each(name: str) -> Any:
            return np.array([getattr(booster, name) for booster in self.boosters], dtype=np.float64)

        return Trees(forest(self.boosters, each("base")), each("slope"), each("shift"), each("alert"))

    def problem(self) -> str:
        """What is wrong with the model as a whole; empty where nothing is."""
        found = foreign(self.detector, self.version, DETECTOR) | {
            "inputs are not the book features": self.inputs != NAMES,
            f"scenarios are not {', '.join(SCENARIOS)}": tuple(each.scenario for each in self.boosters) != SCENARIOS,
        }
        return first_problem(found) or next(filter(None, (booster.problem() for booster in self.boosters)), "")


def decode(data: bytes) -> BookModel:
    """Read a model file; msgspec.ValidationError names what is wrong in it, ValueError what does not fit together."""
    return sound(msgspec.json.decode(data, type=BookModel))


@cache
def shipped() -> BookModel:
    """The model that comes with the product."""
    return decode(resources.files("detectors.book").joinpath("shipped", "book.json").read_bytes())


def markdown(model: BookModel) -> str:
    """The card of a model, generated from its file alone."""
    card = model.card
    trees = ", ".join(f"{len(booster.roots)} trees for {booster.scenario}" for booster in model.boosters)
    alerts = ", ".join(f"{booster.scenario} {booster.alert:g}" for booster in model.boosters)
    facts = {
        "Detector": f"`{model.detector}`",
        "Content hash": f"`{model.hash}`",
        "Inputs": named(model.inputs),
        "Trees": f"gradient boosting, {trees}; log odds calibrated by a logistic line",
        **origin(card, counted(card.rows), "seconds"),
        "Alert probabilities": f"{alerts}: {card.threshold}",
    }
    return page("Book detector", facts, [measured(card.metrics), limits(card.limits)])
