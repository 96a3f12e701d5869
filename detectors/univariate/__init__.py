"""A streaming anomaly detector for any one series of numbers: message rates, latencies, volumes."""

from detectors.univariate.novelty import run, update
from detectors.univariate.parameters import UnivariateParameters, new_states, scratch_for

__all__ = ["UnivariateParameters", "new_states", "run", "scratch_for", "update"]
