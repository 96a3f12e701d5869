"""The models and thresholds that are in force in one partition, and where an engine finds a model by its hash."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Protocol

import msgspec

from detectors.kmeans.model import PAIR, KMeansModel, content_hash, decode
from detectors.kmeans.score import Centres, no_model
from streams.engine.features import NAMES
from streams.engine.rules import DetectorConfig
from tapewatch.errors import TapewatchError

KMEANS, KMEANS_CLASSIC = "kmeans", "kmeans_classic"
_INPUTS = {KMEANS: NAMES, KMEANS_CLASSIC: PAIR}


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
    folder = resources.files("detectors.kmeans") / "shipped"
    return {name: path.read_bytes() for name in _INPUTS if (path := folder / f"{name}.json").is_file()}


class InForce:
    """Models and thresholds of one partition, as kernels take them; replaced as a whole by a control row."""

    def __init__(self, shelf: FindsModels, models: Mapping[str, str], config: DetectorConfig) -> None:
        self._shelf = shelf
        self.models: dict[str, str] = {}
        self._loaded: dict[str, KMeansModel] = {}
        self.kmeans: Centres = no_model()
        self.classic: Centres = no_model()
        self.config = config
        self.rules = config.rules()
        self.config_hash = config.hash
        for detector, wanted in sorted(models.items()):
            self._load(detector, wanted)

    @classmethod
    def default(cls, shelf: FindsModels) -> "InForce":
        """The shipped models and thresholds."""
        return cls(shelf, {name: content_hash(data) for name, data in shipped().items()}, DetectorConfig())

    def _load(self, detector: str, wanted: str) -> None:
        model = decode(self._shelf.find(wanted))
        if detector not in _INPUTS or model.detector != detector:
            raise TapewatchError(
                f"model {wanted} is of {model.detector!r}, not {detector!r}", "Promote a model of that detector."
            )
        centres = model.centres_for(_INPUTS[detector])
        if detector == KMEANS:
            self.kmeans = centres
        else:
            self.classic = centres
        self.models[detector] = wanted
        self._loaded[detector] = model

    def apply(self, control: Control) -> None:
        """Switch to what a control row names; what it does not name stays."""
        for detector, wanted in sorted(control.models.items()):
            self._load(detector, wanted)
        if control.config is not None:
            self.config = control.config
            self.rules = control.config.rules()
            self.config_hash = control.config.hash

    @property
    def versions(self) -> tuple[str, ...]:
        """`detector=hash` of every model in force, for the scores' metadata."""
        return tuple(f"{detector}={wanted}" for detector, wanted in sorted(self.models.items()))
