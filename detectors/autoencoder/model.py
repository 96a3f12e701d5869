"""An autoencoder as a file: safetensors whose metadata hold what weights do not say, named by its content's hash."""

from functools import cache
from importlib import resources
from typing import Any

import msgspec
import numpy as np

from detectors import feeds
from detectors.autoencoder import inputs as autoencoder_inputs
from detectors.autoencoder.score import SHAPES, Network
from detectors.model_file import (
    Origin,
    TensorFile,
    decode_model,
    first_problem,
    foreign,
    unfit_knots,
)

CLASSES = ("stock", "crypto")
DAILY = "daily"
"""In place of a class: a model over windows of daily bars, of any instruments."""
DETECTORS = {"stock": "autoencoder", "crypto": "autoencoder_crypto", DAILY: "autoencoder_daily"}
"""Name of the detector by instrument class: each class has a model of its own in force; that of days is not the
engine's.
"""
DETECTOR, CRYPTO_DETECTOR = DETECTORS["stock"], DETECTORS["crypto"]

DAILY_INPUTS = (
    "return / deviation 20d before", "open return / deviation 20d before", "mid return / deviation 20d before",
    "return 5d / deviation", "return 20d / deviation", "return 60d / deviation 60d",
    "ln range / mean range 20d", "ln range / mean range 250d", "(open - mid) / range",
    "ln volume / mean volume 20d", "ln volume / mean volume 120d",
    "ln deviation 5d / 20d", "ln deviation 20d / 60d", "ln deviation 60d / 250d",
    "ln close / highest 60d / deviation", "ln close / lowest 60d / deviation",
)  # fmt: skip
"""Of a model over daily bars, see detectors.autoencoder.daily."""


class Card(Origin, frozen=True, forbid_unknown_fields=True):
    """Where a model comes from and how far it can be trusted.

    rows : training rows; calibration : how an error became a probability; budget : how the alert limit was found
    metrics : figures on rows that training never saw; limits : what it cannot do
    """

    rows: int = 0
    calibration: str = ""
    budget: str = ""
    metrics: dict[str, float] = msgspec.field(default_factory=dict)
    limits: str = ""


class AutoencoderMetadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of a model but its weights.

    instrument_class : whose usual trading it has learnt; inputs, sources : as in `inputs`
    knots : error and probability pairs, increasing; alert : error at which the alert budget is spent, whatever the
    feed; alerts : for each kind of feed, in the order of detectors.feeds
    conformal, conformal_rows : errors of usual rows at rarer and rarer levels, from which p-values come; of how many
    drift_edges, drift_shares : reference bins of the error, for the drift monitor
    """

    instrument_class: str
    inputs: tuple[str, ...]
    sources: tuple[str, ...]
    knots: tuple[tuple[float, float], ...]
    alert: float
    conformal: tuple[float, ...] = ()
    conformal_rows: int = 0
    drift_edges: tuple[float, ...] = ()
    drift_shares: tuple[float, ...] = ()
    card: Card = Card()
    detector: str = DETECTOR
    version: str = "1.0"
    alerts: tuple[float, ...] | msgspec.UnsetType = msgspec.UNSET

    def problem(self) -> str:
        """What is wrong; empty where nothing is."""
        found = foreign(self.detector, self.version, DETECTORS.get(self.instrument_class, DETECTOR)) | {
            f"class {self.instrument_class!r} is none of {', '.join(DETECTORS)}": self.instrument_class
            not in DETECTORS,
            "inputs are not those of this build": (self.inputs, self.sources) != _inputs(self.instrument_class),
        }
        improbable = {"a probability is not within 0 and 1": any(not 0.0 <= knot[1] <= 1.0 for knot in self.knots)}
        known = first_problem(found | unfit_knots(self.knots, (self.alert,), "error") | improbable)
        return known or feeds.problem(self.alerts, self.alert)


def _inputs(instrument_class: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Inputs and sources of a model of this build."""
    return (DAILY_INPUTS, ()) if instrument_class == DAILY else (autoencoder_inputs.INPUTS, autoencoder_inputs.SOURCES)


class AutoencoderModel(TensorFile[AutoencoderMetadata], frozen=True):
    """A model: its description, and its arrays by name (`scaling`, `weight`, and SHAPES' ones), float32."""

    @property
    def card(self) -> Card:
        """Where it comes from."""
        return self.described.card

    def network(self, names: tuple[str, ...]) -> Network:
        """As the kernels take it, for features in the order of `names`; ValueError where one is missing."""
        index = np.array([names.index(name) for name in autoencoder_inputs.SOURCES], dtype=np.int64)
        return Network(index=index, **{name: np.ascontiguousarray(array) for name, array in self.arrays.items()})

    def problem(self) -> str:
        """What is wrong with the model as a whole; empty where nothing is."""
        wanted = {**SHAPES, "scaling": (2, autoencoder_inputs.COUNT), "weight": (autoencoder_inputs.COUNT,)}
        if {name: array.shape for name, array in self.arrays.items()} != wanted:
            return "arrays are not those of this build's network"
        if not self.finite:
            return "an array is not of finite float32"
        return self.described.problem()


def decode(data: bytes) -> AutoencoderModel:
    """Read a model file; ValueError names what is wrong in it (msgspec.ValidationError is one)."""
    return decode_model(data, AutoencoderModel, AutoencoderMetadata)


def described(instrument_class: str) -> AutoencoderMetadata:
    """The description of a model of this build that is not calibrated yet."""
    inputs, sources = _inputs(instrument_class)
    return AutoencoderMetadata(
        instrument_class, inputs, sources, ((0.0, 0.0),), 0.0, detector=DETECTORS[instrument_class]
    )


@cache
def shipped(instrument_class: str) -> AutoencoderModel:
    """The model of an instrument class that comes with the product."""
    folder = resources.files("detectors.autoencoder") / "shipped"
    return decode((folder / f"{instrument_class}.safetensors").read_bytes())


def summary(model: AutoencoderModel) -> dict[str, Any]:
    """What a listing shows."""
    card = model.described.card
    return {
        "detector": model.described.detector,
        "class": model.described.instrument_class,
        "hash": model.hash,
        "inputs": len(model.described.inputs),
        "weights": model.weights,
        "rows": card.rows,
        "data": card.data,
    }
