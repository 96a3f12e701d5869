"""Every kind of model that ships with the product: its files, how they are read, and how a model is told of.

A detector joins by a line in KINDS; listing, card, size limit and reproduction follow from it. A kind's code is
imported when one of its models is first asked about: who asks about K-means needs no network.

Figures with intervals that were measured of shipped models: data beside the models, each named by its model's hash.

A model's file holds its card and gives the hash; what is measured of it later, or with counts that the card does not
hold, cannot stand there. `python -m benchmarks.card_figures` writes the data.
"""

import importlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from detectors.model_file import content_hash, detector_of


class Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One figure. low, high : its 95 % interval; interval : how that was found; source : where the figure comes from"""

    name: str
    value: float
    low: float
    high: float
    interval: str
    source: str


class ModelFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was measured of one model. model : content hash"""

    model: str
    figures: tuple[Figure, ...]


@cache
def recorded() -> dict[str, ModelFigures]:
    """By detector, as shipped."""
    data = (resources.files("detectors") / "figures.json").read_bytes()
    return msgspec.json.decode(data, type=dict[str, ModelFigures])


def section(detector: str, model: str) -> str:
    """The part of a card with the figures of a model; empty where none are recorded of that hash."""
    found = recorded().get(detector)
    if found is None or found.model != model or not found.figures:
        return ""
    lines = ["", "## Measured, with 95 % intervals", ""]
    lines += ["| figure | value | interval | by | from |", "|---|--:|---|---|---|"]
    lines += [
        f"| {each.name} | {each.value:.4g} | {each.low:.3g} to {each.high:.3g} | {each.interval} | {each.source} |"
        for each in found.figures
    ]
    return "\n".join(lines) + "\n"


MAX_SHIPPED_BYTES = 2_000_000
"""All shipped model files together stay below this."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One detector's models.

    module : has `decode` (a file's bytes as a model, ValueError where it is none; msgspec.ValidationError is one) and
    `summary` (what a listing shows); card : module that has `markdown` (its card as a page, by the file alone)
    file : the shipped model's, in the folder shipped/ beside the module; empty for a detector that ships none
    """

    module: str
    card: str
    file: str = ""

    @property
    def package(self) -> str:
        """Where the shipped files lie."""
        return self.module.rpartition(".")[0]

    def decode(self, data: bytes) -> Any:
        """A file's bytes as a model."""
        return importlib.import_module(self.module).decode(data)

    def summary(self, model: Any) -> dict[str, Any]:
        """What a listing shows."""
        found: dict[str, Any] = importlib.import_module(self.module).summary(model)
        return found

    def markdown(self, model: Any) -> str:
        """The model's card as a page."""
        page: str = importlib.import_module(self.card).markdown(model)
        return page


def _alone(module: str) -> Kind:
    """Of a detector that ships no file, whose module tells its card too."""
    return Kind(module, module)


_NETWORK = _alone("detectors.forecast.networks.model")
KINDS: dict[str, Kind] = {
    "kmeans": Kind("detectors.kmeans.model", "detectors.kmeans.model", "kmeans.json"),
    "kmeans_classic": Kind("detectors.kmeans.model", "detectors.kmeans.model", "kmeans_classic.json"),
    "pumps": Kind("detectors.pumps.model", "detectors.pumps.model", "pumps.json"),
    "book": Kind("detectors.book.model", "detectors.book.model", "book.json"),
    "autoencoder": Kind("detectors.autoencoder.model", "detectors.ensemble_card", "stock.safetensors"),
    "autoencoder_crypto": Kind("detectors.autoencoder.model", "detectors.ensemble_card", "crypto.safetensors"),
    "autoencoder_daily": Kind("detectors.autoencoder.model", "detectors.ensemble_card", "daily.safetensors"),
    "isolation": Kind("detectors.isolation.model", "detectors.ensemble_card", "isolation.json"),
    "ddqn": Kind("detectors.ddqn.model", "detectors.ddqn.model", "ddqn.safetensors"),
    "ranking": Kind("detectors.ranking.model", "detectors.ranking.model", "ranking.json"),
    "regime": Kind("detectors.regime.model", "detectors.regime.model", "regime.json"),
    "lstm": _alone("detectors.forecast.lstm.model"),
    "ordinal": _alone("detectors.forecast.ordinal"),
    "boosted": _alone("detectors.forecast.boosted"),
    "inception": _alone("detectors.forecast.inception"),
    "attention": _NETWORK,
    "dense_attention": _NETWORK,
    "resnet": _NETWORK,
    "fusion": Kind("detectors.fusion", "detectors.ensemble_card", "fusion.json"),
    # Written by hand, not trained: it lies beside its rules, not among the shipped models.
    "sentiment_lexicon": _alone("detectors.sentiment.lexicon.model"),
    "sentiment_linear": _alone("detectors.sentiment.linear.model"),
    "sentiment_encoder": _alone("detectors.sentiment.encoder.model"),
}
"""By detector."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model file that was read. hash : of its content; model : as its kind's decode gives it"""

    detector: str
    hash: str
    model: Any

    def summary(self) -> dict[str, Any]:
        """What a listing shows: detector, hash, inputs, rows and data at least."""
        return KINDS[self.detector].summary(self.model)

    def markdown(self) -> str:
        """Its card: data, hash, command, figures and limits; then what is recorded of it with intervals."""
        return KINDS[self.detector].markdown(self.model) + section(self.detector, self.hash)

    @property
    def command(self) -> str:
        """What makes it again, by its card."""
        return str(self.model.card.command)


def read(data: bytes) -> LoadedModel:
    """A model file of any kind; ValueError says what is wrong with it."""
    detector = detector_of(data)
    if detector not in KINDS:
        raise ValueError(f"there is no detector {detector!r}")
    return LoadedModel(detector, content_hash(data), KINDS[detector].decode(data))


@cache
def shipped() -> dict[str, bytes]:
    """The shipped model file of every detector that has one, as it was when first asked for."""
    paths = {name: resources.files(kind.package) / "shipped" / kind.file for name, kind in KINDS.items() if kind.file}
    return {name: path.read_bytes() for name, path in paths.items() if path.is_file()}


def shipped_bytes() -> int:
    """Size of all shipped files, weights beside the model files included."""
    packages = sorted({kind.package for kind in KINDS.values() if kind.file})
    folders = [resources.files(package) / "shipped" for package in packages]
    paths = (path for folder in folders if folder.is_dir() for path in folder.iterdir())
    return sum(len(path.read_bytes()) for path in paths if path.is_file())
