"""Training the ranking model: logistic regression over many barriers at once, calibrated on days it has not seen.

Each coin is shown upside down too, and asked for nearer and farther targets than the one in force. A fortnight of
minutes has only a few hundred hours that do not overlap: so the model learns how volatility becomes a probability, and
not which way that fortnight went.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from detectors.calibration import isotonic, log_loss, rounded
from detectors.coin_features.batch import DAY, History, outcome, watched
from detectors.coin_features.state import Barriers
from detectors.ranking import features
from detectors.ranking.model import Card, RankingModel
from detectors.regime.rules import HORIZONS, Regimes

F8 = npt.NDArray[np.float64]
B1 = npt.NDArray[np.bool_]
I8 = npt.NDArray[np.int64]
Scores = Callable[[F8], F8]

ASKED = Barriers(60, 0.005, -0.005)
"""Half a percent before half a percent down, within an hour."""
_PAIRS = np.ones((len(HORIZONS), 2))
_NO_REGIMES = Regimes(0.0 * _PAIRS, _PAIRS, 0.5 * _PAIRS, np.zeros(len(HORIZONS)))
"""No input is a regime."""

VOLATILITY = features.NAMES[:5]
"""Inputs of the model in force; `compared` holds it beside the others."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    asked : what the model answers by default
    targets : in units of each coin's own deviation over the horizon; ratios : of the stop to the target
    every : one minute in so many is learnt from, since neighbours have nearly all of their horizon in common
    shrinkage : inverse strength of the ridge penalty; folds : of whole days, with a day's embargo around each
    """

    asked: Barriers = ASKED
    targets: tuple[float, ...] = (0.5, 0.8, 1.2, 1.8)
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    every: int = 5
    shrinkage: float = 1.0
    folds: int = 5
    seed: int = 0


class Rows(NamedTuple):
    """What is learnt from. inputs : float64[rows, features.COUNT]; reached : bool[rows]; day : int64[rows], of the
    history's days; coin : int64[rows]
    """

    inputs: F8
    reached: B1
    day: I8
    coin: I8

    def take(self, kept: B1) -> "Rows":
        """Those rows alone."""
        return Rows(self.inputs[kept], self.reached[kept], self.day[kept], self.coin[kept])


def rows_of(histories: Sequence[History], recipe: Recipe) -> Rows:
    """Every coin, both ways up, asked for every target and stop; entries whose horizon is known to its end alone."""
    found = []
    for coin, plain in enumerate(histories):
        spread = float(np.std(np.diff(np.log(plain.bars[:, 2])))) * recipe.asked.horizon**0.5
        for seen in (plain, plain.upside_down()):
            for target in recipe.targets:
                found += [
                    _asked(
                        seen, Barriers(recipe.asked.horizon, target * spread, -ratio * target * spread), coin, recipe
                    )
                    for ratio in recipe.ratios
                ]
    return Rows(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _asked(seen: History, asked: Barriers, coin: int, recipe: Recipe) -> Rows:
    inputs, reached = watched(seen, asked, _NO_REGIMES).inputs, outcome(seen, asked)
    used = ~np.isnan(inputs[:, 0]) & ~np.isnan(reached)
    kept = np.flatnonzero(used)[:: recipe.every]
    day = (seen.minutes[kept] - seen.minutes[0]) // DAY
    return Rows(inputs[kept], reached[kept] == 1.0, day, np.full(len(kept), coin))


def logistic(rows: Rows, names: Sequence[str], recipe: Recipe) -> RankingModel:
    """The model without calibration: its knots are none."""
    used = rows.inputs[:, [features.NAMES.index(name) for name in names]]
    location, scale = used.mean(axis=0), used.std(axis=0)
    with threadpool_limits(1):
        fitted = LogisticRegression(C=recipe.shrinkage, max_iter=1000, tol=1e-8).fit(
            (used - location) / scale, rows.reached
        )
    return RankingModel(
        inputs=tuple(names),
        location=rounded(location),
        scale=rounded(scale),
        weights=rounded(fitted.coef_[0]),
        intercept=rounded(fitted.intercept_)[0],
        knots=(),
        horizon=recipe.asked.horizon,
        target=recipe.asked.target,
        stop=recipe.asked.stop,
    )


def boosted(rows: Rows, recipe: Recipe) -> Scores:
    """Log odds by boosted trees over all inputs, to compare with. More room and less volatility never raise them."""
    rising = [-1] * 3 + [1] * 2 + [0] * (features.COUNT - 5)
    with threadpool_limits(1):
        fitted = HistGradientBoostingClassifier(
            max_iter=60, learning_rate=0.05, max_leaf_nodes=6, min_samples_leaf=300, monotonic_cst=rising,
            early_stopping=False, random_state=recipe.seed,
        ).fit(rows.inputs, rows.reached)  # fmt: skip
    return lambda inputs: np.asarray(fitted.decision_function(inputs))


def held_out_log_odds(rows: Rows, fit: Callable[[Rows], Scores], recipe: Recipe) -> F8:
    """Each row's log odds by a model that has seen neither its day nor a neighbouring one, float64[rows]."""
    out = np.full(len(rows.day), np.nan)
    for part in np.array_split(np.unique(rows.day), recipe.folds):
        near = np.concatenate([part, [part[0] - 1, part[-1] + 1]])
        kept, judged = ~np.isin(rows.day, near), np.isin(rows.day, part)
        out[judged] = fit(rows.take(kept))(rows.inputs[judged])
    return out


def compared(rows: Rows, recipe: Recipe) -> dict[str, float]:
    """Log loss on days left out of each kind of model, the base rate first: by this the one in force was chosen."""
    kinds: dict[str, Callable[[Rows], Scores]] = {
        "volatility inputs, logistic": lambda kept: logistic(kept, VOLATILITY, recipe).log_odds,
        "all inputs, logistic": lambda kept: logistic(kept, features.NAMES, recipe).log_odds,
        "all inputs, boosted trees": lambda kept: boosted(kept, recipe),
    }
    found = {"base rate": log_loss(np.full(len(rows.day), rows.reached.mean()), rows.reached)}
    for name, fit in kinds.items():
        found[name] = log_loss(1.0 / (1.0 + np.exp(-held_out_log_odds(rows, fit, recipe))), rows.reached)
    return {f"log loss on days left out: {name}": float(f"{value:.4g}") for name, value in sorted(found.items())}


def train(histories: Sequence[History], recipe: Recipe, card: Card) -> RankingModel:
    """Fit to all days; calibrate on log odds of days left out."""
    rows = rows_of(histories, recipe)
    unseen = held_out_log_odds(rows, lambda kept: logistic(kept, VOLATILITY, recipe).log_odds, recipe)
    described = msgspec.structs.replace(
        card,
        seed=recipe.seed,
        rows={seen.name: int(np.count_nonzero(rows.coin == place)) for place, seen in enumerate(histories)},
        metrics=compared(rows, recipe),
        threshold=f"isotonic, on days left out of {recipe.folds} fits with a day's embargo",
    )
    model = logistic(rows, VOLATILITY, recipe)
    return msgspec.structs.replace(model, knots=isotonic(unseen, rows.reached), card=described)
