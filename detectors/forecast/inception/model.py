"""An Inception model as a file: safetensors whose metadata say which indices and factors its images are made of.

Training needs torch; predicting needs NumPy alone.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from detectors.forecast.factors.table import LOOKBACK, relative, table
from detectors.forecast.inception import images as i
from detectors.forecast.inception.fitting import STEPS, Calibration, fit, predicted
from detectors.forecast.inception.network import shapes
from detectors.forecast.series import Forecast, Panel, Series, hash_of
from detectors.forecast.walk import Fold
from detectors.model_file import Origin, TensorFile, decode_model, first_problem, foreign, sound

NAME = "inception"
HORIZON = f"{i.AHEAD}d"
CLASSES = ("down", "up")
INDICES = ("sh000300", "sh000905", "sh000001", "sz399006", "sz399006_gbk", "SPY", "QQQ")
"""Names under which files hold indices or funds on them, the usual target first; a venue may follow."""
MOST = 4
"""Channels at most where none are named."""
_CALIBRATED = 0.15


class Card(Origin, frozen=True, forbid_unknown_fields=True):
    """Where a model comes from.

    images : learnt from, and calibrated on; lost : share of windows dropped by reason; metrics : figures; limits : what
    it cannot do
    """

    images: dict[str, int] = msgspec.field(default_factory=dict)
    lost: dict[str, float] = msgspec.field(default_factory=dict)
    metrics: dict[str, float] = msgspec.field(default_factory=dict)
    limits: str = "Judged by walk-forward, no skill beyond chance was shown: see docs/inception.md."


class InceptionMetadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of a model but its weights.

    channels : instruments, the target first; factors : columns of an image
    base, slope : how log odds become probabilities, see fitting.Calibration
    """

    channels: tuple[str, ...]
    factors: tuple[str, ...]
    base: float
    slope: float
    card: Card = Card()
    detector: str = NAME
    version: str = "1.0"

    def problem(self) -> str:
        """What is wrong; empty where nothing is."""
        found = foreign(self.detector, self.version, NAME) | {
            "there are no channels or no factors": not (self.channels and self.factors),
            "a channel stands twice": len(set(self.channels)) < len(self.channels),
            "the slope is not within 0 and 1": not 0.0 <= self.slope <= 1.0,
            "the base is not finite": not np.isfinite(self.base),
        }
        return first_problem(found)


class InceptionModel(TensorFile[InceptionMetadata], frozen=True):
    """A model: its description, and its arrays by name, float32, those of network.shapes."""

    @property
    def card(self) -> Card:
        """Where it comes from."""
        return self.described.card

    def problem(self) -> str:
        """What is wrong with the model as a whole; empty where nothing is."""
        known = self.described.problem()
        if known:
            return known
        wanted = shapes("inception", len(self.described.channels), i.DAYS, len(self.described.factors))
        if {name: array.shape for name, array in self.arrays.items()} != wanted:
            return "arrays are not those of this build's network"
        if not self.finite:
            return "an array is not of finite float32"
        return ""


def decode(data: bytes) -> InceptionModel:
    """Read a model file; ValueError names what is wrong in it (msgspec.ValidationError is one)."""
    return decode_model(data, InceptionModel, InceptionMetadata)


def summary(model: InceptionModel) -> dict[str, Any]:
    """What a listing shows."""
    return {
        "detector": model.detector,
        "hash": model.hash,
        "inputs": len(model.described.factors),
        "channels": list(model.described.channels),
        "target": model.described.channels[0],
        "weights": model.weights,
        "rows": sum(model.card.images.values()),
        "data": model.card.data,
    }


def factors(series: Series) -> tuple[tuple[str, ...], i.F8]:
    """The columns of an image: all of the factor table in pure numbers."""
    found = relative(table(series), series.close)
    return found.names, found.values


def channels_of(panel: Panel, named: Sequence[str] = (), target: str = "") -> tuple[str, ...]:
    """Which instruments are the channels, the target first.

    named : those wanted; else the INDICES of the panel, else its first instruments, MOST at most
    target : one of them; else the first. ValueError where the panel has not got one
    """
    indices = [
        name for index in INDICES for name in panel.series if name in (index, f"{index}.{name.rpartition('.')[2]}")
    ]
    found = list(named) or (indices or sorted(panel.series))[:MOST]
    if target:
        found = [target, *(name for name in found if name != target)]
    absent = [name for name in found if name not in panel.series]
    if absent or not found:
        raise ValueError(f"no bars of {', '.join(absent) or 'any instrument'}: there are {', '.join(panel.series)}")
    return tuple(dict.fromkeys(found))


def train(
    panel: Panel,
    seed: int,
    report: Callable[[str], None] | None = None,
    channels: Sequence[str] = (),
    steps: int = STEPS,
    command: str = "",
) -> InceptionModel:
    """A model of all the labelled images of a panel, the newest of them for stopping and calibration.

    channels : see channels_of; steps : of 64 images at most; command : that makes it again, for the card, by default
    `train all`'s
    ValueError where there are too few images.
    """
    found = i.images(panel, channels_of(panel, channels), factors)
    fold = newest(found)
    fitted = fit(found.pixels, found.up, fold, seed, steps=steps, report=report)
    days = [str(np.datetime64(int(at), "ns").astype("datetime64[D]")) for at in found.at[fold.fit | fold.calibrate]]
    card = Card(
        data=f"{', '.join(found.channels)}: images of {days[0]} to {days[-1]}",
        data_hash=hash_of(Panel({name: panel.series[name] for name in found.channels})),
        command=command or f"tapewatch train all --models {NAME} --seed {seed}",
        seed=seed,
        images={"fitted": int(fold.fit.sum()), "calibrated": int(fold.calibrate.sum())},
        lost={name: round(ratio, 4) for name, ratio in found.loss.ratios.items()},
        metrics={"calibrate_log_loss": round(fitted.loss, 6), "steps": float(fitted.steps)},
    )
    learnt = fitted.calibration
    described = InceptionMetadata(found.channels, found.factors, learnt.base, learnt.slope, card)
    return sound(InceptionModel(described, fitted.parameters))


def newest(found: i.Images) -> Fold:
    """A fold without test rows: the newest labelled images calibrate, older ones whose labels were known are fitted.

    ValueError where there are none.
    """
    labelled = found.labelled
    if not labelled.any():
        raise ValueError("too few bars: no window has all its factors and a known label")
    times = found.at[labelled]
    middle = times[int(len(times) * (1.0 - _CALIBRATED))]
    return Fold(labelled & (found.known < middle), labelled & (found.at >= middle), np.zeros(len(labelled), np.bool_))


def _reached(series: Series, begin: int) -> Series:
    """The bars of which factors from a time on are a function. begin : UTC nanoseconds"""
    return series[max(0, int(np.searchsorted(series.at, begin)) + 1 - LOOKBACK) :]


def predict(model: InceptionModel, panel: Panel) -> list[Forecast]:
    """Whether the target rises, as of its newest bar; none where a channel lacks a bar that the image reaches back to.

    The newest bars alone are read: a longer history gives the same figures.
    """
    of = model.described
    if any(name not in panel.series for name in of.channels):
        return []
    target = panel.series[of.channels[0]]
    begin = int(target.at[-min(i.REACH, len(target))])
    newest_of = {name: _reached(panel.series[name], begin) for name in of.channels}
    found = i.images(Panel(newest_of), of.channels, factors)
    if not len(found.at) or found.at[-1] != target.at[-1] or found.factors != of.factors:
        return []
    odds = predicted("inception", model.arrays, found.pixels[-1:])
    up = float(Calibration(of.base, of.slope).probabilities(odds)[0])
    chances = dict(zip(CLASSES, (1.0 - up, up), strict=True))
    return [Forecast(of.channels[0], int(target.at[-1]), HORIZON, "direction", float(target.close[-1]), None, chances)]
