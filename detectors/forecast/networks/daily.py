"""Training and asking the networks by panel, as the daily pipeline does."""

from collections.abc import Callable
from functools import partial

from detectors.forecast.direction.card import trained_card
from detectors.forecast.direction.forecasting import forecasts, trained
from detectors.forecast.networks.fitting import Recipe, fit
from detectors.forecast.networks.learners import RECIPE
from detectors.forecast.networks.model import NetworkMetadata, NetworkModel
from detectors.forecast.networks.network import Network
from detectors.forecast.series import Forecast, Panel


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
