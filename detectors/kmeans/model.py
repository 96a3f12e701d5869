"""A K-means model as a file: JSON with its card, named by the hash of its content.

A model's card as a page: what it is, what it was trained on, how well it does, and what it cannot do.
"""

import math
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np

from detectors import feeds
from detectors.card_page import by_kind, limits, measured, origin, page
from detectors.kmeans.score import Centres
from detectors.model_file import ModelFile, Origin, first_problem

PAIR = ("price_change_1m_pct", "volume_change_1m_pct")
"""Inputs of the classic model, from one-minute bars."""

DETECTORS = ("kmeans", "kmeans_classic")
"""What a K-means model can be of: many features a second, or the classic pair a minute."""


class Card(Origin, frozen=True, forbid_unknown_fields=True):
    """Where a model comes from and how far it can be trusted.

    rows : training rows; scaling : raw, standard or robust
    calibration : how a distance became a probability; budget : how the alert distance was found
    metrics : figures on rows that training never saw; limits : what it cannot do
    """

    rows: int = 0
    scaling: str = ""
    calibration: str = ""
    budget: str = ""
    metrics: dict[str, float] = msgspec.field(default_factory=dict)
    limits: str = ""


class KMeansModel(ModelFile, frozen=True, forbid_unknown_fields=True):
    """K-means centres with scaling and calibration.

    detector : kmeans (many features) or kmeans_classic (the pair of one-minute changes)
    inputs : names of the inputs, d of them; location, scale : scaled = (x - location) x scale, cut at +-clip
    centres : k lists of d, scaled; sizes : training rows of each; normal : which centres are normal trading
    knots : distance and probability pairs, increasing; alert : distance at which the alert budget is spent, whatever
    the feed; alerts : for each kind of feed, in the order of detectors.feeds
    """

    detector: str
    inputs: tuple[str, ...]
    location: tuple[float, ...]
    scale: tuple[float, ...]
    clip: float
    centres: tuple[tuple[float, ...], ...]
    sizes: tuple[int, ...]
    normal: tuple[bool, ...]
    knots: tuple[tuple[float, float], ...]
    alert: float
    card: Card = Card()
    version: str = "1.0"
    alerts: tuple[float, ...] | msgspec.UnsetType = msgspec.UNSET

    def centres_for(self, names: tuple[str, ...]) -> Centres:
        """As the kernels take it, for inputs that come in the order of `names`; ValueError where one is missing."""
        centres = np.array(self.centres).reshape(len(self.centres), len(self.inputs))[list(self.normal)]
        return Centres(
            index=np.array([names.index(name) for name in self.inputs], dtype=np.int64),
            scaling=np.array([self.location, self.scale], dtype=np.float64).reshape(2, -1),
            centres=np.ascontiguousarray(centres.T),
            knots=np.ascontiguousarray(np.array(self.knots, dtype=np.float64).reshape(-1, 2).T),
            limits=np.array([self.clip], dtype=np.float64),
            alerts=np.array(feeds.by_feed(self.alerts, self.alert), dtype=np.float64),
        )

    def raw_centres(self) -> list[list[float]]:
        """The centres in the inputs' own units, k lists of d; an input that is not scaled (scale 0) stands at its
        location.
        """
        return [
            [at + value / by if by else at for value, at, by in zip(centre, self.location, self.scale, strict=True)]
            for centre in self.centres
        ]

    def problem(self) -> str:
        """What is wrong with the model as a whole; empty where nothing is."""
        d, k = len(self.inputs), len(self.centres)
        numbers = [
            *self.location,
            *self.scale,
            self.clip,
            *(x for c in self.centres for x in c),
            *(x for knot in self.knots for x in knot),
        ]
        distances = [knot[0] for knot in self.knots]
        found = {
            f"detector {self.detector!r} is none of {', '.join(DETECTORS)}": self.detector not in DETECTORS,
            f"contract version {self.version!r} is not 1.x": self.version.partition(".")[0] != "1",
            "no inputs or no centres": d == 0 or k == 0,
            "an input stands twice": len(set(self.inputs)) != d,
            "location and scale do not match the inputs": len(self.location) != d or len(self.scale) != d,
            "a centre does not match the inputs": any(len(centre) != d for centre in self.centres),
            "sizes and normal do not match the centres": len(self.sizes) != k or len(self.normal) != k,
            "no centre is normal": not any(self.normal),
            "a number is not finite": not all(map(math.isfinite, numbers)) or math.isnan(self.alert),
            "clip must be positive": not self.clip > 0.0,
            "no knots": not self.knots,
            "knots must increase in distance": any(b <= a for a, b in pairwise(distances)),
            "a probability is not within 0 and 1": any(not 0.0 <= knot[1] <= 1.0 for knot in self.knots),
        }
        return first_problem(found) or feeds.problem(self.alerts, self.alert)


def decode(data: bytes) -> KMeansModel:
    """Read a model file; msgspec.ValidationError names what is wrong in it."""
    return msgspec.json.decode(data, type=KMeansModel)


def summary(model: KMeansModel) -> dict[str, Any]:
    """What a listing shows."""
    return {
        "detector": model.detector,
        "hash": model.hash,
        "clusters": len(model.centres),
        "inputs": len(model.inputs),
        "rows": model.card.rows,
        "data": model.card.data,
    }


_TITLES = {
    "kmeans": "K-means manipulation score, many features",
    "kmeans_classic": "K-means manipulation score, the classic pair",
}


def markdown(model: KMeansModel) -> str:
    """The card of a model, generated from its file alone."""
    card = model.card
    facts = {
        "Detector": f"`{model.detector}`",
        "Content hash": f"`{model.hash}`",
        **origin(card, f"{card.rows:,}"),
        "Scaling": f"{card.scaling}, cut at {model.clip:g}",
        "Probability": card.calibration,
        "Alert distance": f"{model.alert:g}: {card.budget}",
        **by_kind(model.alerts),
    }
    clusters = (
        "## Clusters\n\nCentres in the inputs' own units; `normal` clusters are what a row's distance is taken to.\n\n"
    )
    sections = [clusters + centres_table(model), measured(card.metrics), limits(card.limits)]
    return page(_TITLES.get(model.detector, model.detector), facts, sections)


def centres_table(model: KMeansModel) -> str:
    """A Markdown table: one row an input, one column a cluster."""
    total = max(1, sum(model.sizes))
    head = [
        f"{number} ({'normal' if normal else 'abnormal'}, {size / total:.2%})"
        for number, (normal, size) in enumerate(zip(model.normal, model.sizes, strict=True))
    ]
    lines = ["| input | " + " | ".join(head) + " |", "|---|" + "---|" * len(head)]
    for name, values in zip(model.inputs, zip(*model.raw_centres(), strict=True), strict=True):
        lines.append(f"| {name} | " + " | ".join(f"{value:.4g}" for value in values) + " |")
    return "\n".join(lines)
