"""A forecaster that says the mean of the closes, and peers that are slow, short of data, or fail."""

import time
from collections.abc import Callable

from detectors.forecast.series import Forecast, Panel
from detectors.model_file import ModelFile
from tapewatch.errors import TapewatchError

NAME = "mean"


class Mean(ModelFile, frozen=True):
    """The mean close of each instrument."""

    means: dict[str, float]
    seed: int
    detector: str = NAME


def train(panel: Panel, seed: int, report: Callable[[str], None] | None = None) -> Mean:
    """The means; an instrument's name says what goes wrong."""
    if "SLOW.X" in panel.series:
        time.sleep(60.0)
    if "SHORT.X" in panel.series:
        raise ValueError("too few bars")
    if "FAILS.X" in panel.series:
        raise TapewatchError("it needs what is not here", "Install it.")
    if report is not None:
        report("mean: done")
    return Mean({name: float(series.close.mean()) for name, series in panel.series.items()}, seed)


def predict(model: Mean, panel: Panel) -> list[Forecast]:
    """The mean as the next close."""
    return [
        Forecast(name, int(series.at[-1]), "1d", "close", float(series.close[-1]), model.means[name])
        for name, series in panel.series.items()
    ]


def summary(model: Mean) -> dict[str, object]:
    """What a listing shows."""
    return {"detector": model.detector, "hash": model.hash}
