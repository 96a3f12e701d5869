"""Which models forecast each day, and what each of them can do."""

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from detectors.forecast.series import Forecast, Panel
from tapewatch.errors import TapewatchError

MODELS: dict[str, str] = {
    "lstm": "detectors.forecast.lstm",
    "attention": "detectors.forecast.networks.attention",
    "resnet": "detectors.forecast.networks.resnet",
    "dense_attention": "detectors.forecast.networks.dense_attention",
    "ordinal": "detectors.forecast.ordinal",
    "boosted": "detectors.forecast.boosted",
    "inception": "detectors.forecast.inception",
}
"""Module by name; a model joins by a line here."""


class Forecaster(Protocol):
    """What a model's module gives."""

    NAME: str

    def train(self, panel: Panel, seed: int, report: Callable[[str], None] | None = None) -> Any:
        """A model file of all that the panel knows; ValueError where that is too little."""
        ...

    def predict(self, model: Any, panel: Panel) -> list[Forecast]:
        """A forecast of each instrument that has bars enough."""
        ...

    def summary(self, model: Any) -> dict[str, Any]:
        """What a listing shows."""
        ...


def chosen(names: Iterable[str] = (), known: Mapping[str, str] = MODELS) -> dict[str, str]:
    """Module by name of the models asked for, of all where none is. TapewatchError for a name that there is not"""
    wanted = list(names) or list(known)
    strange = [name for name in wanted if name not in known]
    if strange:
        raise TapewatchError(f"there is no model {', '.join(strange)}", f"There are: {', '.join(known)}.")
    return {name: known[name] for name in known if name in wanted}


def loaded(module: str) -> Forecaster:
    """A model's module."""
    found: Any = importlib.import_module(module)
    forecaster: Forecaster = found
    return forecaster
