"""The detector configuration of the engine: thresholds of scenarios, hashed, switched by control rows."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.book import trees as book_trees
from detectors.ensemble_members import Ensemble, no_models
from detectors.kmeans.score import Centres
from detectors.kmeans.score import no_model as no_centres
from detectors.pumps import trees
from detectors.scenarios.accounts import front_running as front_running_
from detectors.scenarios.accounts import matched_orders as matched_orders_
from detectors.scenarios.accounts import painting_the_tape as painting_the_tape_
from detectors.scenarios.accounts import wash_trades as wash_trades_
from detectors.scenarios.accounts.watch import ACCOUNTS
from detectors.scenarios.library import ENGINE, SCENARIOS
from detectors.scenarios.table import Sections
from streams.engine.policy import PolicySettings, no_players

ALL_SCENARIOS = (*SCENARIOS, *(module.NAME for module in ACCOUNTS))
"""Every scenario that has a section: those of the kernels, then those of the accounts stage."""

PARAMETERS = max(len(module.Parameters.__struct_fields__) for module in ENGINE)


class ActiveDetectors(NamedTuple):
    """What is in force in a partition, as kernels take it. rules : see DetectorConfig.rules; watch : whether scenarios
    are run; ask : whether K-means' peers are asked; floors : float64[1 + classes], fused log odds from which they have
    score rows; policies : words of what decides, see streams.engine.policy.PLAYER; decide : whether any does; habits :
    see PolicySettings.habits
    """

    kmeans: Centres
    classic: Centres
    pumps: trees.Trees
    book: book_trees.Trees
    peers: Ensemble
    rules: npt.NDArray[np.float64]
    watch: bool
    ask: bool
    floors: npt.NDArray[np.float64]
    policies: npt.NDArray[np.int64]
    decide: bool
    habits: npt.NDArray[np.float64]


def nobody() -> ActiveDetectors:
    """No models and no rules, nothing is watched."""
    rules = np.zeros((1, len(SCENARIOS), PARAMETERS))
    return ActiveDetectors(
        no_centres(), no_centres(), trees.no_model(), book_trees.no_model(), no_models(), rules,
        watch=False, ask=False, floors=np.zeros(0), policies=no_players(), decide=False,
        habits=PolicySettings().habits(),
    )  # fmt: skip


class DetectorConfig(Sections, frozen=True, forbid_unknown_fields=True):
    """Thresholds of every scenario; its hash stands in every alert.

    classes : what differs for a class of instruments (the `kind` of their reference data): class, scenario, parameter,
    value
    watch : whether scenarios are run; without them the engine writes features and K-means scores, and nobody is alerted
    peers : whether autoencoder, isolation forest and fusion are run beside K-means; they are not without `watch`
    policy : when the policy acts
    """

    classes: dict[str, dict[str, dict[str, float]]] = msgspec.field(default_factory=dict)
    watch: bool = True
    wash_trades: wash_trades_.Parameters = wash_trades_.Parameters()
    matched_orders: matched_orders_.Parameters = matched_orders_.Parameters()
    front_running: front_running_.Parameters = front_running_.Parameters()
    painting_the_tape: painting_the_tape_.Parameters = painting_the_tape_.Parameters()
    peers: bool = True
    policy: PolicySettings = PolicySettings()

    def __post_init__(self) -> None:
        """ValueError where a value is negative or no number, or a class names an unknown scenario or parameter."""
        for name, scenarios in self.classes.items():
            for scenario, values in scenarios.items():
                where = f"classes.{name}.{scenario}"
                if scenario not in ALL_SCENARIOS:
                    raise ValueError(f"{where}: no such scenario")
                known = getattr(self, scenario).__struct_fields__
                unknown = [key for key in values if key not in known]
                if unknown:
                    raise ValueError(f"{where}: no such parameter: {', '.join(unknown)}")

    def problem(self) -> str:
        """Which value is negative or no number; empty where none is."""
        if self.policy.problem():
            return self.policy.problem()
        sections = {name: msgspec.to_builtins(getattr(self, name)) for name in ALL_SCENARIOS}
        for name, overrides in self.classes.items():
            sections |= {f"classes.{name}.{scenario}": values for scenario, values in overrides.items()}
        for section, values in sections.items():
            for key, value in values.items():
                if not (math.isfinite(value) and value >= 0.0):
                    return f"{section}.{key} is {value}"
        return ""

    def parameters(self, scenario: str, kind: str) -> msgspec.Struct:
        """The parameters of a scenario for instruments of a class."""
        rule: msgspec.Struct = msgspec.structs.replace(
            getattr(self, scenario), **self.classes.get(kind, {}).get(scenario, {})
        )
        return rule

    def rules(self) -> npt.NDArray[np.float64]:
        """For the kernels: float64[1 + classes, scenarios, PARAMETERS], first for instruments of no class named here,
        then class by class in order of their names.
        """
        found = np.zeros((1 + len(self.classes), len(SCENARIOS), PARAMETERS))
        for place, name in enumerate(("", *sorted(self.classes))):
            for number, scenario in enumerate(SCENARIOS):
                values = msgspec.structs.astuple(self.parameters(scenario, name))
                found[place, number, : len(values)] = values
        return found

    def class_places(self, kinds: Sequence[str]) -> npt.NDArray[np.int64]:
        """Where in `rules` each instrument stands. kinds : their classes, as reference data says."""
        places: Mapping[str, int] = {name: place for place, name in enumerate(sorted(self.classes), 1)}
        return np.array([places.get(kind, 0) for kind in kinds], dtype=np.int64)

    def encoded(self) -> bytes:
        """Canonical JSON."""
        return msgspec.json.encode(self, order="deterministic")

    @property
    def hash(self) -> str:
        """First 16 hex digits of the sha256 of the canonical JSON."""
        return hashlib.sha256(self.encoded()).hexdigest()[:16]
