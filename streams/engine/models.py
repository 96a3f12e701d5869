"""The models and thresholds that are in force in one partition, and where an engine finds a model by its hash."""

from collections.abc import Mapping
from copy import copy
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from detectors import ensemble_members, registry
from detectors.autoencoder.model import DAILY, AutoencoderModel
from detectors.book import model as book
from detectors.book.model import BookModel
from detectors.ddqn.model import Policy
from detectors.fusion import FusionModel
from detectors.isolation.model import IsolationModel
from detectors.kmeans.model import PAIR, KMeansModel
from detectors.model_file import content_hash
from detectors.pumps import model as pumps
from detectors.pumps.model import PumpModel
from detectors.scenarios.fused_anomaly import ODDS_RATIO
from detectors.scenarios.library import ENGINE, FUSED_ANOMALY
from streams.engine import policy
from streams.engine.detector_config import DetectorConfig, nobody
from streams.engine.features import NAMES
from streams.engine.policy import DDQN, SHADOW
from streams.engine.scenario_evaluation import REPORTED
from tapewatch.bundles import Bundle
from tapewatch.errors import ContractError

KMEANS, KMEANS_CLASSIC, PUMPS, BOOK = "kmeans", "kmeans_classic", pumps.DETECTOR, book.DETECTOR
DETECTORS = (
    KMEANS, KMEANS_CLASSIC, PUMPS, BOOK, ensemble_members.AUTOENCODER, ensemble_members.AUTOENCODER_CRYPTO,
    ensemble_members.ISOLATION, ensemble_members.FUSION, DDQN, SHADOW,
)  # fmt: skip
"""Detectors that a model can be promoted for."""
EVER = 2**62
"""Later than every record, UTC ns."""


def shipped() -> dict[str, bytes]:
    """Files of the shipped models that the engine asks, by detector; others are of stages beside it."""
    return {name: data for name, data in registry.shipped().items() if name in DETECTORS}


_INPUTS = {KMEANS: NAMES, KMEANS_CLASSIC: PAIR}
_Peer = AutoencoderModel | IsolationModel | FusionModel
Model = KMeansModel | PumpModel | BookModel | _Peer | Policy


class Control(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a control row's detail says: models by detector (content hashes, empty for a shadow that is taken away), and
    the detector configuration.
    """

    models: dict[str, str] = {}
    config: DetectorConfig | None = None


class ModelSource(Protocol):
    """Where model files are found by content hash."""

    def find(self, wanted: str, for_ns: int = EVER) -> bytes:
        """The file with that hash; ContractError where there is none, UnansweredError where nobody could be asked.

        for_ns : when the broker appended the record that names it, UTC ns; the answer is the same whenever it is asked
        """
        ...


class ModelStore:
    """Models held in memory: the shipped ones, and those that are put here."""

    def __init__(self, files: Mapping[str, bytes] | None = None) -> None:
        self.files: dict[str, bytes] = {content_hash(data): data for data in shipped().values()}
        self.files.update(files or {})
        self._appended: dict[str, int] = {}

    def put(self, data: bytes) -> str:
        """Keep a model file; returns its hash."""
        self.files[content_hash(data)] = data
        return content_hash(data)

    def find(self, wanted: str, for_ns: int = EVER) -> bytes:
        """The file with that hash."""
        if wanted not in self.files or self._appended.get(wanted, -1) >= for_ns:
            raise bad_control(f"there is no model {wanted}", "See `tapewatch models list`; promote it first.")
        return self.files[wanted]


def bad_control(message: str, hint: str = "") -> ContractError:
    """What a control row is refused with."""
    return ContractError("bad_control", message, hint)


def decode(data: bytes) -> Model:
    """The model in a file; msgspec.MsgspecError where it is none, or not sound."""
    try:
        model: Model = registry.read(data).model
        return model
    except ValueError as error:
        if isinstance(error, msgspec.MsgspecError):
            raise
        raise msgspec.ValidationError(str(error)) from error


def problem(model: Model) -> str:
    """Why the engine cannot take a model; empty where it can."""
    if isinstance(model, PumpModel | BookModel):
        return model.problem()
    if isinstance(model, Policy):
        return policy.problem(model)
    if isinstance(model, _Peer):
        if isinstance(model, AutoencoderModel) and model.described.instrument_class == DAILY:
            return "it judges daily bars, which the engine does not"
        return ensemble_members.problem(model, NAMES)
    if model.detector not in _INPUTS:
        return f"there is no detector {model.detector!r}"
    missing = [name for name in model.inputs if name not in _INPUTS[model.detector]]
    return model.problem() or (f"no such input: {', '.join(missing)}" if missing else "")


class ActiveModels:
    """Models and thresholds of one partition, as kernels take them; replaced as a whole by a control row."""

    def __init__(self, shelf: ModelSource, models: Mapping[str, str], config: DetectorConfig) -> None:
        self._shelf = shelf
        self.models: dict[str, str] = {}
        self.config = config
        self.config_hash = config.hash
        self.detectors = nobody()
        self._players: dict[str, Bundle[policy.Player]] = {}
        for detector, wanted in sorted(models.items()):
            self._load(detector, wanted, EVER)
        self._switch()

    def _switch(self) -> None:
        """Take over what the configuration says; without a fusion nothing would come of its inputs."""
        config = self.config
        ask = config.watch and config.peers and ensemble_members.FUSION in self.models
        rules = config.rules()
        with np.errstate(divide="ignore"):
            floors = self.detectors.peers.limits[ensemble_members.ALERT] + np.log(
                REPORTED * rules[:, FUSED_ANOMALY, ODDS_RATIO]
            )
        decide = config.policy.on and (DDQN in self.models or SHADOW in self.models)
        self.detectors = self.detectors._replace(
            rules=rules, watch=config.watch, ask=ask, floors=floors, decide=decide, habits=config.policy.habits()
        )
        self.config_hash = config.hash

    @classmethod
    def default(cls, shelf: ModelSource) -> "ActiveModels":
        """The shipped models that the engine asks, and the shipped thresholds."""
        asked = {name: content_hash(data) for name, data in shipped().items()}
        return cls(shelf, asked, DetectorConfig())

    def _load(self, detector: str, wanted: str, for_ns: int) -> None:
        data = self._shelf.find(wanted, for_ns)
        try:
            known = registry.read(data)
            if known.detector != detector.removesuffix(".shadow") or detector not in DETECTORS:
                raise bad_control(
                    f"model {wanted} is of {known.detector!r}, not {detector!r}", "Promote a model of that detector."
                )
            self._take(detector, known.model)
        except ValueError as error:
            raise bad_control(f"model {wanted} is not sound: {error}", "Train it again.") from error
        self.models[detector] = wanted

    def _take(self, detector: str, model: Model) -> None:
        """Judge by a model."""
        if isinstance(model, PumpModel):
            self.detectors = self.detectors._replace(pumps=model.trees())
        elif isinstance(model, BookModel):
            self.detectors = self.detectors._replace(book=model.trees())
        elif isinstance(model, _Peer):
            self.detectors = self.detectors._replace(
                peers=ensemble_members.with_model(self.detectors.peers, model, NAMES)
            )
        elif isinstance(model, Policy):
            self._take_policy(detector, model)
        else:
            centres = model.centres_for(_INPUTS[detector])
            detectors = self.detectors
            self.detectors = (
                detectors._replace(kmeans=centres) if detector == KMEANS else detectors._replace(classic=centres)
            )

    def _take_policy(self, detector: str, model: Policy) -> None:
        if policy.problem(model):
            raise bad_control(f"{detector}: {policy.problem(model)}", "Promote a policy that the engine can run.")
        self._players[detector] = policy.PLAYER.bundle(policy.player(model))
        self._place(detector, self._players[detector].words)

    def _withdraw(self, detector: str) -> None:
        if detector != SHADOW:
            raise bad_control(f"{detector} cannot do without a model", "Promote another one.")
        self.models.pop(detector, None)
        self._place(detector, 0)

    def _place(self, detector: str, words: npt.NDArray[np.int64] | int) -> None:
        """Hand kernels a policy, or none."""
        policies = self.detectors.policies.copy()
        policies[policy.PLACES.index(detector)] = words
        self.detectors = self.detectors._replace(policies=policies)

    def after(self, control: Control, for_ns: int) -> "ActiveModels":
        """What is in force behind a control row; what the row does not name stays.

        for_ns : when the broker appended the row, UTC ns. ContractError where the row cannot be followed,
        UnansweredError where nobody could be asked: nothing of it is in force then.
        """
        changed = copy(self)
        changed.models, changed._players = dict(self.models), dict(self._players)
        for detector, wanted in sorted(control.models.items()):
            if wanted:
                changed._load(detector, wanted, for_ns)
            else:
                changed._withdraw(detector)
        changed.config = control.config or self.config
        changed._switch()
        return changed

    @property
    def versions(self) -> tuple[str, ...]:
        """`detector=hash` of every model in force, and of the configuration for scenarios, for the scores' metadata."""
        scored = {module.NAME: self.config_hash for module in ENGINE if module.MEASURED}
        scored |= {name: self.models[BOOK] for name in book.SCENARIOS if BOOK in self.models}
        scored |= {name: wanted for name, wanted in self.models.items() if name not in policy.PLACES}
        return tuple(f"{detector}={wanted}" for detector, wanted in sorted(scored.items()))
