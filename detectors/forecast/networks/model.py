"""A network as a file: safetensors whose metadata hold what weights do not say, named by its content's hash.

Training and asking the networks by panel, as the daily pipeline does.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from detectors.forecast.direction import card as direction_card
from detectors.forecast.direction.card import Card, trained_card, unfit
from detectors.forecast.direction.forecasting import forecasts, trained
from detectors.forecast.networks import architectures
from detectors.forecast.networks.fitting import RECIPE, SCALING, Network, Recipe, fit
from detectors.forecast.series import Forecast, Panel
from detectors.model_file import TensorFile, decode_model, first_problem, foreign


class NetworkMetadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of a network but its weights.

    detector : the architecture's name; inputs : of a day, in order; cuts : log returns between the classes
    temperature : what log probabilities are divided by; loss : that it was trained with
    """

    detector: str
    inputs: tuple[str, ...]
    cuts: tuple[float, ...]
    temperature: float
    loss: str
    card: Card = Card()
    version: str = "1.0"

    def problem(self) -> str:
        """What is wrong; empty where nothing is."""
        wanted = self.detector if self.detector in architectures.NAMES else architectures.NAMES[0]
        found = unfit(self.inputs, self.cuts, self.temperature)
        return first_problem(foreign(self.detector, self.version, wanted) | found)


class NetworkModel(TensorFile[NetworkMetadata], frozen=True):
    """A network: its description, its weights by name, and the inputs' scaling."""

    @property
    def cuts(self) -> tuple[float, ...]:
        """Log returns between the classes."""
        return self.described.cuts

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs, in order."""
        return self.described.inputs

    @property
    def temperature(self) -> float:
        """Of the calibration."""
        return self.described.temperature

    @property
    def card(self) -> Card:
        """Where it comes from."""
        return self.described.card

    def network(self) -> Network:
        """What tells probabilities."""
        return Network(self.detector, self.arrays)

    def problem(self) -> str:
        """What is wrong with the model as a whole; empty where nothing is."""
        if problem := self.described.problem():
            return problem
        count = len(self.inputs)
        wanted = architectures.shapes(self.described.detector, count) | dict.fromkeys(SCALING, (count,))
        if {name: array.shape for name, array in self.arrays.items()} != wanted:
            return f"arrays are not those of {self.described.detector} for {count} inputs"
        if not self.finite:
            return "arrays are not of finite float32"
        return "" if (self.arrays["scale"] > 0.0).all() else "a scale is not above 0"


def decode(data: bytes) -> NetworkModel:
    """Read a file; ValueError names what is wrong in it (msgspec.ValidationError is one)."""
    return decode_model(data, NetworkModel, NetworkMetadata)


def summary(model: NetworkModel) -> dict[str, Any]:
    """What a listing shows."""
    return direction_card.summary(model) | {"weights": model.weights}


def markdown(model: NetworkModel) -> str:
    """The card as a page, from the file alone."""
    weights = model.weights
    made_of = f"network over {architectures.STEPS} days, {weights:,} weights, trained with {model.described.loss} loss"
    return direction_card.markdown("Network of the next day's class", model, made_of)


def train(
    name: str, panel: Panel, seed: int, report: Callable[[str], None] | None = None, recipe: Recipe = RECIPE
) -> NetworkModel:
    """A network fitted to all whose next move is known; ValueError where there is too little. name : architecture"""
    judge, rows, figures = trained(name, partial(fit, name, recipe=recipe), panel, seed, report)
    if not isinstance(judge.fitted, Network):
        raise TypeError(f"{name} is no network")
    card = trained_card(name, panel, seed, figures)
    described = NetworkMetadata(
        name, rows.names, tuple(float(cut) for cut in judge.cuts), judge.temperature, recipe.loss, card
    )
    return NetworkModel(described, judge.fitted.arrays)


def predict(model: NetworkModel, panel: Panel) -> list[Forecast]:
    """The classes of the bar after the newest one of each instrument that is warm; numpy alone."""
    return forecasts(model, model.network(), panel)
