"""The detector configuration of the engine: thresholds of scenarios, hashed, switched by control rows."""

import hashlib
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.scenarios.kmeans_anomaly import AnomalyParameters
from detectors.scenarios.pump_and_dump import PumpParameters


class Rules(NamedTuple):
    """Scenario parameters as kernels take them: one float64 array each."""

    anomaly: npt.NDArray[np.float64]
    pump: npt.NDArray[np.float64]


class DetectorConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds of every scenario; its hash stands in every alert."""

    kmeans_anomaly: AnomalyParameters = AnomalyParameters()
    pump_and_dump: PumpParameters = PumpParameters()

    def rules(self) -> Rules:
        """For the kernels."""
        return Rules(anomaly=self.kmeans_anomaly.array(), pump=self.pump_and_dump.array())

    def encoded(self) -> bytes:
        """Canonical JSON."""
        return msgspec.json.encode(self, order="deterministic")

    @property
    def hash(self) -> str:
        """First 16 hex digits of the sha256 of the canonical JSON."""
        return hashlib.sha256(self.encoded()).hexdigest()[:16]
