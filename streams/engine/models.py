"""The models and thresholds that are in force in one partition, and where an engine finds a model by its hash."""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Protocol

import msgspec

from detectors.book import model as book
from detectors.book.model import BookModel
from detectors.kmeans import model as kmeans
from detectors.kmeans.model import PAIR, KMeansModel, content_hash
from detectors.pumps import model as pumps
from detectors.pumps.model import PumpModel
from detectors.scenarios.library import ENGINE
from streams.engine.features import NAMES
from streams.engine.rules import DetectorConfig, nobody
from tapewatch.errors import TapewatchError

KMEANS, KMEANS_CLASSIC, PUMPS, BOOK = "kmeans", "kmeans_classic", pumps.DETECTOR, book.DETECTOR
DETECTORS = (KMEANS, KMEANS_CLASSIC, PUMPS, BOOK)
"""Detectors that a model can be promoted for."""

_INPUTS = {KMEANS: NAMES, KMEANS_CLASSIC: PAIR}
_FOLDERS = {
    KMEANS: "detectors.kmeans",
    KMEANS_CLASSIC: "detectors.kmeans",
    PUMPS: "detectors.pumps",
    BOOK: "detectors.book",
}
Model = KMeansModel | PumpModel | BookModel
_TREES: dict[str, Callable[[bytes], Model]] = {PUMPS: pumps.decode, BOOK: book.decode}


class Control(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a control row's detail says: models by detector (content hashes), and the detector configuration."""

    models: dict[str, str] = {}
    config: DetectorConfig | None = None


class FindsModels(Protocol):
    """Where model files are found by content hash."""

    def find(self, wanted: str) -> bytes:
        """The file with that hash; TapewatchError where there is none."""
        ...


class ModelShelf:
    """Models held in memory: the shipped ones, and those that are put here."""

    def __init__(self, files: Mapping[str, bytes] | None = None) -> None:
        self.files: dict[str, bytes] = {content_hash(data): data for data in shipped().values()}
        self.files.update(files or {})

    def put(self, data: bytes) -> str:
        """Keep a model file; returns its hash."""
        self.files[content_hash(data)] = data
        return content_hash(data)

    def find(self, wanted: str) -> bytes:
        """The file with that hash."""
        try:
            return self.files[wanted]
        except KeyError:
            raise TapewatchError(
                f"there is no model {wanted}", "See `tapewatch models list`; promote it first."
            ) from None


@cache
def shipped() -> dict[str, bytes]:
    """The shipped model files by detector, as they were when first asked for."""
    paths = {name: resources.files(package) / "shipped" / f"{name}.json" for name, package in _FOLDERS.items()}
    return {name: path.read_bytes() for name, path in paths.items() if path.is_file()}


class _Kind(msgspec.Struct):
    """What of a model file says which model it is."""

    detector: str


def decode(data: bytes) -> Model:
    """The model in a file; msgspec.MsgspecError where it is none, or not sound."""
    reader = _TREES.get(msgspec.json.decode(data, type=_Kind).detector)
    if reader is None:
        return kmeans.decode(data)
    try:
        return reader(data)
    except ValueError as error:
        raise msgspec.ValidationError(str(error)) from error


def problem(model: Model) -> str:
    """Why the engine cannot take a model; empty where it can."""
    if isinstance(model, PumpModel | BookModel):
        return model.problem()
    if model.detector not in _INPUTS:
        return f"there is no detector {model.detector!r}"
    missing = [name for name in model.inputs if name not in _INPUTS[model.detector]]
    return model.problem() or (f"no such input: {', '.join(missing)}" if missing else "")


class InForce:
    """Models and thresholds of one partition, as kernels take them; replaced as a whole by a control row."""

    def __init__(self, shelf: FindsModels, models: Mapping[str, str], config: DetectorConfig) -> None:
        self._shelf = shelf
        self.models: dict[str, str] = {}
        self.config = config
        self.config_hash = config.hash
        self.judges = nobody()._replace(rules=config.rules(), watch=config.watch)
        for detector, wanted in sorted(models.items()):
            self._load(detector, wanted)

    @classmethod
    def default(cls, shelf: FindsModels) -> "InForce":
        """The shipped models and thresholds."""
        return cls(shelf, {name: content_hash(data) for name, data in shipped().items()}, DetectorConfig())

    def _load(self, detector: str, wanted: str) -> None:
        model = decode(self._shelf.find(wanted))
        if model.detector != detector or detector not in DETECTORS:
            raise TapewatchError(
                f"model {wanted} is of {model.detector!r}, not {detector!r}", "Promote a model of that detector."
            )
        if isinstance(model, PumpModel):
            self.judges = self.judges._replace(pumps=model.trees())
        elif isinstance(model, BookModel):
            self.judges = self.judges._replace(book=model.trees())
        else:
            centres = model.centres_for(_INPUTS[detector])
            judges = self.judges
            self.judges = judges._replace(kmeans=centres) if detector == KMEANS else judges._replace(classic=centres)
        self.models[detector] = wanted

    def apply(self, control: Control) -> None:
        """Switch to what a control row names; what it does not name stays."""
        for detector, wanted in sorted(control.models.items()):
            self._load(detector, wanted)
        if control.config is not None:
            self.config = control.config
            self.judges = self.judges._replace(rules=control.config.rules(), watch=control.config.watch)
            self.config_hash = control.config.hash

    @property
    def versions(self) -> tuple[str, ...]:
        """`detector=hash` of every model in force, and of the configuration for scenarios, for the scores' metadata."""
        scored = {module.NAME: self.config_hash for module in ENGINE if module.MEASURED}
        scored |= {name: self.models[BOOK] for name in book.SCENARIOS if BOOK in self.models}
        return tuple(f"{detector}={wanted}" for detector, wanted in sorted((scored | self.models).items()))
