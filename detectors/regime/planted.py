"""A market whose regimes are known, since they were planted: how often each rule calls them right."""

import numpy as np
import numpy.typing as npt

from detectors.coin_features import batch
from detectors.coin_features.batch import History
from detectors.coin_features.state import Barriers
from detectors.regime.model import RegimeModel
from detectors.regime.rules import HORIZONS, HOURS, RULES

F8 = npt.NDArray[np.float64]

_VOLATILITY = 0.0006
_BULL, _BEAR = (0.4, 0.75), (-0.4, 1.4)
"""Drift over an hour in units of its usual deviation, at the shortest horizon; volatility over the usual."""
DAYS = 28
WARM_DAYS = 8
SEEDS = range(10)
_T = 2.262
"""97.5 % point of Student's law with nine degrees of freedom."""


def planted(horizon: int, seed: int, days: int) -> tuple[History, F8]:
    """Minutes that switch between bull and bear, three horizons long on average, and which is in force, float64[rows].

    horizon : minutes
    """
    rng = np.random.default_rng(seed)
    rows = days * batch.DAY
    turned = rng.random(rows) < 1.0 / (3.0 * horizon)
    truth = np.where(np.cumsum(turned) % 2 == 0, 1.0, -1.0)
    drift, scale = (np.where(truth > 0.0, up, down) for up, down in zip(_BULL, _BEAR, strict=True))
    moves = _VOLATILITY * (scale * rng.standard_normal(rows) + drift / np.sqrt(horizon))
    close = 100.0 * np.exp(np.cumsum(moves))
    wick = _VOLATILITY * close * rng.random(rows)
    columns = {"high": close + wick, "low": close - wick, "close": close, "volume": np.ones(rows)}
    return batch.history("planted", np.arange(rows, dtype=np.int64), columns), truth


def planted_shares(model: RegimeModel) -> dict[str, dict[str, dict[str, float]]]:
    """By horizon and rule: share of minutes called right over the seeds, with the interval of the seeds' mean."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for place, horizon in enumerate(HORIZONS):
        right = np.array([_right(model, place, horizon, seed) for seed in SEEDS])
        mean, error = right.mean(axis=0), right.std(axis=0, ddof=1) / len(right) ** 0.5
        found[str(HOURS[place])] = {
            rule: {"mean": float(mean[at]), "low": float(mean[at] - _T * error[at]),
                   "high": float(mean[at] + _T * error[at])}
            for at, rule in enumerate(RULES)
        }  # fmt: skip
    return found


def _right(model: RegimeModel, place: int, horizon: int, seed: int) -> F8:
    seen, truth = planted(horizon, seed, DAYS)
    calls = batch.watched(seen, Barriers(60, 0.005, -0.005), model.regimes()).calls[:, place]
    return np.asarray((calls[WARM_DAYS * batch.DAY :] == truth[WARM_DAYS * batch.DAY :, None]).mean(axis=0))
