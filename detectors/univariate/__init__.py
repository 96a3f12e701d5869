"""A streaming anomaly detector for any one series of numbers: message rates, latencies, volumes."""

from detectors.univariate.novelty import UnivariateParameters, new_states, run, scratch_for, update

__all__ = ["UnivariateParameters", "new_states", "run", "scratch_for", "update"]
