"""An LSTM as a file: safetensors whose metadata hold what weights do not say, named by its content's hash."""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.card_page import limits, measured, named, origin, page
from detectors.forecast.lstm.inputs import FEATURES, INPUTS, WINDOW
from detectors.forecast.lstm.score import Network
from detectors.model_file import Origin, TensorFile, decode_model, first_problem, foreign

F4 = npt.NDArray[np.float32]

NAME = "lstm"
DAY, MINUTE = "1d", "60s"
HORIZONS = (DAY, MINUTE)
ARRAYS = ("bias", "head", "wide")
QUAD = 4
"""The hidden state is a multiple of it, as the kernel reads it."""


class Card(Origin, frozen=True, forbid_unknown_fields=True):
    """Where a model comes from and how far it can be trusted.

    rows : windows it has learnt from; recipe : how; metrics : figures on rows that training never saw
    limits : what it cannot do
    """

    rows: int = 0
    recipe: dict[str, Any] = msgspec.field(default_factory=dict)
    metrics: dict[str, float] = msgspec.field(default_factory=dict)
    limits: str = ""


class LstmMetadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of a model but its weights. horizon : 1d or 60s, of its bars and of what it forecasts"""

    horizon: str
    inputs: tuple[str, ...] = INPUTS
    window: int = WINDOW
    card: Card = Card()
    detector: str = NAME
    version: str = "1.0"

    def problem(self) -> str:
        """What is wrong; empty where nothing is."""
        found = {
            "inputs are not those of this build": (self.inputs, self.window) != (INPUTS, WINDOW),
            f"horizon {self.horizon!r} is none of {', '.join(HORIZONS)}": self.horizon not in HORIZONS,
        }
        return first_problem(foreign(self.detector, self.version, NAME) | found)


class Model(TensorFile[LstmMetadata], frozen=True):
    """A model: its description, and its arrays by name (ARRAYS), float32, laid out as the kernel takes them."""

    @property
    def card(self) -> Card:
        """Where it comes from."""
        return self.described.card

    @property
    def units(self) -> int:
        """Size of the hidden state."""
        return self.arrays["head"].size - 1

    def network(self) -> Network:
        """As the kernels take it."""
        return Network(**{name: np.ascontiguousarray(self.arrays[name]) for name in ARRAYS})

    def problem(self) -> str:
        """What is wrong with the model as a whole; empty where nothing is."""
        if tuple(sorted(self.arrays)) != ARRAYS or not self.finite:
            return f"arrays are not {', '.join(ARRAYS)} of finite float32"
        units = self.units
        wanted = {"bias": (4 * units,), "head": (units + 1,), "wide": (FEATURES + units, 4 * units)}
        if {name: array.shape for name, array in self.arrays.items()} != wanted or units % QUAD or not units:
            return "arrays do not fit together, or the hidden state is no multiple of four"
        return self.described.problem()


def arranged(state: Mapping[str, F4]) -> dict[str, F4]:
    """A model's arrays from weights as torch names them (`training.state_of`)."""
    wide = np.concatenate([state["lstm.weight_ih_l0"], state["lstm.weight_hh_l0"]], axis=1).T
    head = np.concatenate([state["head.weight"][0], state["head.bias"]])
    return {
        "wide": np.ascontiguousarray(wide),
        "bias": state["lstm.bias_ih_l0"] + state["lstm.bias_hh_l0"],
        "head": head,
    }


def decode(data: bytes) -> Model:
    """Read a model file; ValueError names what is wrong in it (msgspec.ValidationError is one)."""
    return decode_model(data, Model, LstmMetadata)


def summary(model: Model) -> dict[str, Any]:
    """What a listing shows."""
    return {
        "detector": model.detector,
        "hash": model.hash,
        "horizon": model.described.horizon,
        "inputs": FEATURES,
        "weights": model.weights,
        "rows": model.card.rows,
        "data": model.card.data,
    }


def markdown(model: Model) -> str:
    """The card as a page, from the file alone."""
    described, card = model.described, model.card
    facts = {
        "Detector": f"`{described.detector}`",
        "Content hash": f"`{model.hash}`",
        "File": f"{len(model.encoded()):,} bytes",
        "Forecasts": f"the close {described.horizon} ahead",
        "Network": f"LSTM, {described.window} bars of {FEATURES} inputs, {model.units} units",
        "Inputs": named(described.inputs),
        **origin(card, f"{card.rows:,}", "windows"),
        "Recipe": ", ".join(f"{name} {value}" for name, value in card.recipe.items()),
    }
    return page("LSTM forecast", facts, [measured(card.metrics), limits(card.limits)])
