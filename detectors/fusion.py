"""One alert score from several detectors: logistic stacking of their calibrated probabilities (Wolpert 1992)."""

from functools import cache
from importlib import resources
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.autoencoder.model import Card
from detectors.model_file import ModelFile, first_problem, foreign, sound, unfit_knots
from tapewatch.kernels import inlined

F8 = npt.NDArray[np.float64]
B1 = npt.NDArray[np.bool_]

DETECTOR = "fusion"
LEAST = 1e-5
"""Probabilities are held within this of 0 and 1: a logarithm of nothing decides nothing."""


class FusionModel(ModelFile, frozen=True, forbid_unknown_fields=True):
    """Weights of the detectors' log odds.

    inputs : the detectors, in the order of the weights; models : content hashes of the models they were fitted with
    absent : log odds that stand in for a detector without a probability; bias : of the sum
    knots : score and probability pairs, increasing; alert : score at which the alert budget is spent
    """

    inputs: tuple[str, ...]
    models: tuple[str, ...]
    weights: tuple[float, ...]
    absent: tuple[float, ...]
    bias: float
    knots: tuple[tuple[float, float], ...] = ()
    alert: float = 1e9
    conformal: tuple[float, ...] = ()
    conformal_rows: int = 0
    drift_edges: tuple[float, ...] = ()
    drift_shares: tuple[float, ...] = ()
    card: Card = Card()
    detector: str = DETECTOR
    version: str = "1.0"

    def table(self) -> F8:
        """As the kernel takes it: float64[2, detectors + 1], weights and stand-ins, then the bias."""
        return np.array([[*self.weights, self.bias], [*self.absent, 0.0]])

    def problem(self) -> str:
        """What is wrong with the model as a whole; empty where nothing is."""
        numbers = (*self.weights, *self.absent, self.bias, self.alert)
        lengths = {len(self.inputs), len(self.models), len(self.weights), len(self.absent)}
        found = foreign(self.detector, self.version, DETECTOR) | {
            "weights do not match the detectors": len(lengths) != 1 or not self.inputs,
            "a weight is negative": any(weight < 0.0 for weight in self.weights),
        }
        return first_problem(found | unfit_knots(self.knots, numbers, "score"))


@inlined
def log_odds_of(chance: float) -> float:
    """Log odds of a probability held within LEAST of 0 and 1."""
    held = min(max(chance, LEAST), 1.0 - LEAST)
    return float(np.log(held / (1.0 - held)))


@inlined
def fuse(chances: F8, table: F8) -> float:
    """Log odds of all detectors together.

    chances : float64[detectors], calibrated probabilities, NaN for a detector that says nothing; table :
    FusionModel.table(); NaN where none says anything
    """
    count = chances.size
    total, there = table[0, count], 0
    for j in range(count):
        if np.isnan(chances[j]):
            total += table[0, j] * table[1, j]
        else:
            total += table[0, j] * log_odds_of(chances[j])
            there += 1
    return float(total) if there else np.nan


def log_odds(chances: F8) -> F8:
    """Log odds of probabilities held within LEAST of 0 and 1; NaN for NaN."""
    held = np.clip(chances, LEAST, 1.0 - LEAST)
    return np.asarray(np.log(held / (1.0 - held)))


def fused(chances: F8, model: FusionModel) -> F8:
    """`fuse` of every row, float64[rows]. chances : float64[rows, detectors]."""
    table = model.table()
    odds = log_odds(chances)
    missing = np.isnan(odds)
    total = table[0, -1] + np.where(missing, table[1, :-1], odds) @ table[0, :-1]
    return np.where(missing.all(axis=1), np.nan, total)


def stacked(
    chances: F8, positive: B1, weight: F8, inputs: tuple[str, ...], models: tuple[str, ...], seed: int = 0
) -> FusionModel:
    """Weights by logistic regression on rows that the detectors' own calibration has not seen, none of them negative.

    chances : float64[rows, detectors]; positive : bool[rows]; weight : float64[rows]
    A detector with a negative weight is left out and the rest fitted again: an alert must not rest on a detector's
    finding less.
    """
    # Only fitting needs them: the engine, which reads models, starts without.
    from sklearn.linear_model import LogisticRegression

    from detectors.kmeans.calibration import short

    odds = log_odds(chances)
    absent = np.nan_to_num(np.nanmean(odds, axis=0))
    filled = np.where(np.isnan(odds), absent, odds)
    used = list(range(len(inputs)))
    while True:
        fitted = LogisticRegression(C=1e6, max_iter=500, random_state=seed).fit(
            filled[:, used], positive, sample_weight=weight
        )
        coefficients = fitted.coef_[0]
        if len(used) == 1 or coefficients.min() >= 0.0:
            break
        used.pop(int(np.argmin(coefficients)))
    weights = np.zeros(len(inputs))
    weights[used] = np.maximum(coefficients, 0.0)
    return FusionModel(
        inputs=inputs,
        models=models,
        weights=tuple(short(float(x)) for x in weights),
        absent=tuple(short(float(x)) for x in absent),
        bias=short(float(fitted.intercept_[0])),
    )


def stouffer(p_values: F8) -> F8:
    """Stouffer's sum of the detectors' p-values as a score, float64[rows]: the other way to fuse, without labels.

    p_values : float64[rows, detectors]; a missing one counts for nothing
    """
    from scipy.stats import norm

    # A p-value of 1 would count as an infinity.
    z = norm.isf(np.minimum(p_values, 1.0 - 1e-6))
    there = ~np.isnan(z)
    count = there.sum(axis=1)
    total = np.where(there, z, 0.0).sum(axis=1)
    return np.asarray(np.where(count > 0, total / np.sqrt(np.maximum(count, 1)), np.nan))


def decode(data: bytes) -> FusionModel:
    """Read a model file; msgspec.ValidationError names what is wrong in it, ValueError what does not fit together."""
    return sound(msgspec.json.decode(data, type=FusionModel))


def summary(model: FusionModel) -> dict[str, Any]:
    """What a listing shows."""
    return {
        "detector": model.detector,
        "hash": model.hash,
        "inputs": len(model.inputs),
        "rows": model.card.rows,
        "data": model.card.data,
    }


@cache
def shipped() -> FusionModel:
    """The model that comes with the product."""
    return decode((resources.files("detectors") / "shipped" / "fusion.json").read_bytes())
