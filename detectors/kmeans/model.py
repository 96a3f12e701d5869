"""A K-means model as a file: JSON with its card, named by the hash of its content."""

import hashlib
from typing import Any

import msgspec
import numpy as np

from detectors.kmeans.score import Centres

PAIR = ("price_change_1m_pct", "volume_change_1m_pct")
"""Inputs of the classic model, from one-minute bars."""


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a model comes from and how far it can be trusted."""

    data: str = ""
    data_hash: str = ""
    command: str = ""
    seed: int = 0
    rows: int = 0
    metrics: dict[str, float] = {}
    limits: str = ""


class KMeansModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """K-means centres with scaling and calibration.

    detector : kmeans (many features) or kmeans_classic (the pair of one-minute changes)
    inputs : names of the inputs, d of them; location, scale : robust scaling, scaled = (x - location) x scale, cut at +-clip
    centres : k lists of d, scaled; sizes : training rows of each; normal : which centres are normal trading
    knots : distance and probability pairs, increasing; alert : distance at which the alert budget is spent
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

    def encoded(self) -> bytes:
        """Canonical JSON."""
        return msgspec.json.encode(self, order="deterministic")

    @property
    def hash(self) -> str:
        """First 16 hex digits of the sha256 of the canonical JSON."""
        return content_hash(self.encoded())

    def centres_for(self, names: tuple[str, ...]) -> Centres:
        """As the kernels take it, for inputs that come in the order of `names`; ValueError where one is missing."""
        return Centres(
            index=np.array([names.index(name) for name in self.inputs], dtype=np.int64),
            location=np.array(self.location),
            scale=np.array(self.scale),
            clip=np.full(1, self.clip),
            centres=np.array(self.centres).reshape(len(self.centres), len(self.inputs)),
            normal=np.array(self.normal, dtype=np.uint8),
            knots=np.ascontiguousarray(np.array(self.knots, dtype=np.float64).reshape(-1, 2).T),
            alert=np.full(1, self.alert),
        )


def content_hash(data: bytes) -> str:
    """The name of a model's content: first 16 hex digits of its sha256."""
    return hashlib.sha256(data).hexdigest()[:16]


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
