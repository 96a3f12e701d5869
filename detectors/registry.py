"""Every kind of model that ships with the product: its files, how they are read, and how a model is told of.

A detector joins by a line in KINDS; listing, card, size limit and reproduction follow from it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from detectors import ensemble_card, figures, fusion
from detectors.autoencoder import model as autoencoder
from detectors.book import card as book_card
from detectors.book import model as book
from detectors.ddqn import card as policy_card
from detectors.ddqn import model as ddqn
from detectors.forecast import boosted, inception, ordinal
from detectors.forecast.lstm import model as lstm
from detectors.forecast.networks import architectures as network_architectures
from detectors.forecast.networks import model as network
from detectors.isolation import model as isolation
from detectors.kmeans import card as kmeans_card
from detectors.kmeans import model as kmeans
from detectors.model_file import content_hash, detector_of
from detectors.pumps import card as pumps_card
from detectors.pumps import model as pumps
from detectors.ranking import card as ranking_card
from detectors.ranking import model as ranking
from detectors.regime import card as regime_card
from detectors.regime import model as regime
from detectors.sentiment.encoder import model as sentiment_encoder
from detectors.sentiment.lexicon import model as lexicon
from detectors.sentiment.linear import model as sentiment_linear

MAX_SHIPPED_BYTES = 2_000_000
"""All shipped model files together stay below this."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One detector's models.

    package, files : where the shipped ones lie, the model's own file first; empty for a detector that ships none
    decode : a file's bytes as a model, ValueError (msgspec.ValidationError is one) where it is none
    summary : what a listing shows; markdown : its card as a page, a function of the file alone
    """

    package: str
    files: tuple[str, ...]
    decode: Callable[[bytes], Any]
    summary: Callable[[Any], dict[str, Any]]
    markdown: Callable[[Any], str]


def _boosted(model: book.BookModel | pumps.PumpModel) -> dict[str, Any]:
    """What a listing shows of boosted trees."""
    return {
        "detector": model.detector,
        "hash": model.hash,
        "trees": sum(len(booster.roots) for booster in model.boosters),
        "inputs": len(model.inputs),
        "rows": sum(model.card.rows.values()),
        "data": model.card.data,
    }


KINDS: dict[str, Kind] = {
    name: Kind("detectors.kmeans", (f"{name}.json",), kmeans.decode, kmeans.summary, kmeans_card.markdown)
    for name in kmeans.DETECTORS
} | {
    pumps.DETECTOR: Kind("detectors.pumps", ("pumps.json",), pumps.decode, _boosted, pumps_card.markdown),
    book.DETECTOR: Kind("detectors.book", ("book.json",), book.decode, _boosted, book_card.markdown),
    **{
        name: Kind(
            "detectors.autoencoder",
            (f"{instrument_class}.safetensors",),
            autoencoder.decode,
            autoencoder.summary,
            ensemble_card.markdown,
        )
        for instrument_class, name in autoencoder.DETECTORS.items()
    },
    "isolation": Kind(
        "detectors.isolation", ("isolation.json",), isolation.decode, isolation.summary, ensemble_card.markdown
    ),
    ddqn.DETECTOR: Kind("detectors.ddqn", ("ddqn.safetensors",), ddqn.decode, ddqn.summary, policy_card.markdown),
    ranking.DETECTOR: Kind(
        "detectors.ranking", ("ranking.json",), ranking.decode, ranking.summary, ranking_card.markdown
    ),
    regime.DETECTOR: Kind("detectors.regime", ("regime.json",), regime.decode, regime.summary, regime_card.markdown),
    lstm.NAME: Kind("", (), lstm.decode, lstm.summary, lstm.markdown),
    **{each.NAME: Kind("", (), each.decode, each.summary, each.markdown) for each in (ordinal, boosted, inception)},
    **{name: Kind("", (), network.decode, network.summary, network.markdown) for name in network_architectures.NAMES},
    fusion.DETECTOR: Kind("detectors", ("fusion.json",), fusion.decode, fusion.summary, ensemble_card.markdown),
    # Written by hand, not trained: it lies beside its rules, not among the shipped models.
    lexicon.DETECTOR: Kind("", (), lexicon.decode, lexicon.summary, lexicon.markdown),
    **{
        each.DETECTOR: Kind("", (), each.decode, each.summary, each.markdown)
        for each in (sentiment_linear, sentiment_encoder)
    },
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
        return KINDS[self.detector].markdown(self.model) + figures.section(self.detector, self.hash)

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
    paths = {
        name: resources.files(kind.package) / "shipped" / kind.files[0] for name, kind in KINDS.items() if kind.files
    }
    return {name: path.read_bytes() for name, path in paths.items() if path.is_file()}


def shipped_bytes() -> int:
    """Size of all shipped files, weights beside the model files included."""
    folders = [
        resources.files(package) / "shipped"
        for package in sorted({kind.package for kind in KINDS.values() if kind.files})
    ]
    paths = (path for folder in folders if folder.is_dir() for path in folder.iterdir())
    return sum(len(path.read_bytes()) for path in paths if path.is_file())
