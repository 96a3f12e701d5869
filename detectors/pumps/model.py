"""A pump model as a file: boosted trees for each chunk length with their card, JSON named by its content's hash.

The pump model's card as a page: what it was trained on, how well it does, and what it cannot do.
"""

import math
from functools import cache
from importlib import resources

import msgspec
import numpy as np

from detectors.boosted.model import Card, Nodes, forest, summary
from detectors.card_page import counted, limits, measured, named, origin, page
from detectors.model_file import ModelFile, first_problem, foreign, sound
from detectors.pumps import features
from detectors.pumps.trees import Trees

__all__ = ["DETECTOR", "Booster", "Card", "PumpModel", "Trees", "decode", "shipped", "summary"]

DETECTOR = "pumps"


class Booster(Nodes, frozen=True, forbid_unknown_fields=True):
    """Boosted trees of one chunk length. window_s : chunk length; base : log odds before any tree"""

    window_s: int
    base: float

    def problem(self) -> str:
        """What is wrong with the trees; empty where nothing is."""
        return self.node_problem(features.COUNT) if math.isfinite(self.base) else "a number is not finite"


class PumpModel(ModelFile, frozen=True, forbid_unknown_fields=True):
    """Boosted trees over the eight features of each chunk length.

    inputs : names of the features; boosters : one a chunk length, in the order of features.WINDOWS
    least_volume, least_rise : the gate: volume of a running chunk over the mean chunk's, and its high over the price
    ten chunks before, below which the probability is 0
    alert : probability from which a pump is reported
    """

    inputs: tuple[str, ...]
    boosters: tuple[Booster, ...]
    least_volume: float
    least_rise: float
    alert: float
    card: Card = Card()
    detector: str = DETECTOR
    version: str = "1.0"

    def trees(self) -> Trees:
        """As the kernels take it."""
        limits = np.array([self.least_volume, self.least_rise, self.alert])
        return Trees(
            forest(self.boosters, [booster.base for booster in self.boosters]), limits, np.zeros(features.COUNT)
        )

    def problem(self) -> str:
        """What is wrong with the model as a whole; empty where nothing is."""
        found = foreign(self.detector, self.version, DETECTOR) | {
            f"inputs are not {', '.join(features.NAMES)}": self.inputs != features.NAMES,
            f"chunk lengths are not {features.WINDOWS}": tuple(each.window_s for each in self.boosters)
            != features.WINDOWS,
            "the alert probability is not within 0 and 1": not 0.0 < self.alert <= 1.0,
            "the gate must not be negative": not (self.least_volume >= 0.0 and self.least_rise >= 0.0),
        }
        return first_problem(found) or next(filter(None, (booster.problem() for booster in self.boosters)), "")


def decode(data: bytes) -> PumpModel:
    """Read a model file; msgspec.ValidationError names what is wrong in it, ValueError what does not fit together."""
    return sound(msgspec.json.decode(data, type=PumpModel))


@cache
def shipped() -> PumpModel:
    """The model that comes with the product."""
    return decode(resources.files("detectors.pumps").joinpath("shipped", "pumps.json").read_bytes())


def markdown(model: PumpModel) -> str:
    """The card of a model, generated from its file alone."""
    card = model.card
    windows = ", ".join(f"{len(booster.roots)} trees at {booster.window_s} s" for booster in model.boosters)
    facts = {
        "Detector": f"`{model.detector}`",
        "Content hash": f"`{model.hash}`",
        "Inputs": named(model.inputs),
        "Trees": f"gradient boosting, {windows}; log odds averaged",
        "Gate": f"volume {model.least_volume:g} times the mean chunk's and a rise of {model.least_rise:.1%}",
        **origin(card, counted(card.rows)),
        "Alert probability": f"{model.alert:g}: {card.threshold}",
    }
    return page("Pump detector", facts, [measured(card.metrics), limits(card.limits)])
