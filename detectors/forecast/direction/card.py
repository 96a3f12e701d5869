"""What the files of all seven-class models tell alike: the card, what makes them unfit, and the facts of their page."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol

import msgspec

from detectors.card_page import limits, measured, named, origin, page
from detectors.forecast.classes import SHARES
from detectors.forecast.direction.forecasting import DirectionModel
from detectors.forecast.series import Panel, hash_of
from detectors.model_file import Origin

LIMITS = (
    "Fitted to daily bars and factors alone. How likely large moves are it tells from how much an instrument moved "
    "lately; which way they go it hardly tells: see `tapewatch evaluate forecast`."
)


class Card(Origin, frozen=True, forbid_unknown_fields=True):
    """Where a model comes from and how far it can be trusted. rows : fitted to; metrics : of the calibrating rows"""

    rows: int = 0
    metrics: dict[str, float] = msgspec.field(default_factory=dict)
    limits: str = ""


class DirectionModelFile(DirectionModel, Protocol):
    """What a page is made from."""

    @property
    def detector(self) -> str:
        """Its name."""
        ...

    @property
    def hash(self) -> str:
        """Of the file's content."""
        ...

    @property
    def cuts(self) -> tuple[float, ...]:
        """Log returns between the classes."""
        ...

    @property
    def card(self) -> Card:
        """Where it comes from."""
        ...


def trained_card(name: str, panel: Panel, seed: int, figures: dict[str, float]) -> Card:
    """The card of a model fitted by `forecasting.trained`."""
    return Card(
        data=f"daily bars of {len(panel.series)} instruments",
        data_hash=hash_of(panel),
        command=f"tapewatch train all --models {name} --seed {seed}",
        seed=seed,
        rows=int(figures["fitted rows"]),
        metrics=figures,
        limits=LIMITS,
    )


def unfit(inputs: Sequence[str], cuts: Sequence[float], temperature: float) -> dict[str, bool]:
    """Whether a description does not hold together."""
    rising = len(cuts) == len(SHARES) and all(a < b for a, b in pairwise(cuts))
    return {
        "no inputs, or a name stands twice": not inputs or len({*inputs}) < len(inputs),
        "cuts are not six increasing numbers": not rising,
        "the temperature is not above 0": not 0.0 < temperature < math.inf,
    }


def summary(model: DirectionModelFile) -> dict[str, Any]:
    """What a listing shows of any of them."""
    return {
        "detector": model.detector,
        "hash": model.hash,
        "inputs": len(model.inputs),
        "rows": model.card.rows,
        "data": model.card.data,
    }


def markdown(title: str, model: DirectionModelFile, made_of: str) -> str:
    """The card as a page. made_of : what the model consists of"""
    card = model.card
    facts = {
        "Detector": f"`{model.detector}`",
        "Content hash": f"`{model.hash}`",
        "Tells": "the class of the next daily move, of seven",
        "Kind": made_of,
        "Classes part at": ", ".join(f"{cut:+.2%}" for cut in model.cuts),
        "Inputs": named(model.inputs),
        "Temperature": f"{model.temperature:g}",
        **origin(card, f"{card.rows:,}"),
    }
    return page(title, facts, [measured(card.metrics), limits(card.limits)])
