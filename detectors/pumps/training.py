"""Training the pump model: boosted trees for each chunk length, and a threshold that spends an alert budget.

The published feature rows: one at the onset of each announced pump, and those around natural price spikes.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from detectors.boosted.training import exported, first_within
from detectors.pumps import features
from detectors.pumps.batch import alerts
from detectors.pumps.model import Booster, Card, PumpModel
from tapewatch.errors import TapewatchError

F8 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """Rows of one chunk length.

    x : float64[rows, 8]; symbol : object[rows], the coin; event : int64[rows], which rows belong together
    """

    x: F8
    symbol: npt.NDArray[np.object_]
    event: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index: Any) -> "FeatureRows":
        """The rows at `index`."""
        return FeatureRows(self.x[index], self.symbol[index], self.event[index])


def read(path: Path) -> FeatureRows:
    """A file's rows; the label and the clock columns are left out."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return FeatureRows(
            np.array([[float(row[name]) for name in features.NAMES] for row in rows]).reshape(-1, features.COUNT),
            np.array([row["symbol"] for row in rows], dtype=object),
            np.array([int(row["pump_index"]) for row in rows], dtype=np.int64),
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise TapewatchError(
            f"{path} holds no pump features: {error}",
            f"Give a CSV with pump_index, symbol and {', '.join(features.NAMES)}.",
        ) from error


def read_all(folder: Path, kind: str) -> list[FeatureRows]:
    """`positives` or `natural_spikes` of every chunk length, in the order of features.WINDOWS."""
    return [read(folder / f"{kind}_{window}S.csv") for window in features.WINDOWS]


I8 = npt.NDArray[np.int64]

RISING = (1, 1, 1, 1, 1, 0, 1, 1)
"""More of a feature never lowers the probability, but for the price's deviation: a chunk that is still filling up is
then never surer than the finished one.
"""

FOLDS = 5


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    trees, rate, leaves, least_rows, shrinkage : of the gradient boosting
    spikes, ordinary : what natural spikes and each kind of ordinary rows weigh together, over the positives
    budget : false alerts a coin and day that ordinary trading may raise, on coins that training never saw
    least_volume, least_rise : the gate
    """

    seed: int = 0
    trees: int = 120
    rate: float = 0.08
    leaves: int = 8
    least_rows: int = 10
    shrinkage: float = 1.0
    spikes: float = 2.0
    ordinary: float = 3.0
    budget: float = 0.02
    least_volume: float = 4.0
    least_rise: float = 0.01


@dataclass(frozen=True, slots=True)
class Material:
    """What to train on, by chunk length in the order of features.WINDOWS.

    positives, spikes : published rows; ordinary : float64[rows, 3, 8] for each kind of ordinary trading, NaN where a
    window was not warm
    """

    positives: Sequence[FeatureRows]
    spikes: Sequence[FeatureRows]
    ordinary: Sequence[F8]

    def without(self, symbols: Sequence[str]) -> "Material":
        """The same without any positive row of these coins."""
        kept = [rows.take(~np.isin(rows.symbol, list(symbols))) for rows in self.positives]
        return Material(kept, self.spikes, self.ordinary)


def classifier(recipe: Recipe) -> HistGradientBoostingClassifier:
    """The booster of one chunk length, untrained."""
    return HistGradientBoostingClassifier(
        max_iter=recipe.trees,
        learning_rate=recipe.rate,
        max_leaf_nodes=recipe.leaves,
        min_samples_leaf=recipe.least_rows,
        l2_regularization=recipe.shrinkage,
        monotonic_cst=list(RISING),
        early_stopping=False,
        random_state=recipe.seed,
    )


def fit(material: Material, window: int, recipe: Recipe) -> HistGradientBoostingClassifier:
    """Train one chunk length. window : place in features.WINDOWS"""
    positives, spikes = material.positives[window].x, material.spikes[window].x
    ordinary = [rows[:, window] for rows in material.ordinary]
    ordinary = [rows[~np.isnan(rows[:, 0])] for rows in ordinary]
    parts = [positives, spikes, *ordinary]
    shares = [1.0, recipe.spikes, *(recipe.ordinary for _ in ordinary)]
    weights = [
        np.full(len(rows), share * len(positives) / max(1, len(rows)))
        for rows, share in zip(parts, shares, strict=True)
    ]
    labels = np.repeat([1, *(0 for _ in parts[1:])], [len(rows) for rows in parts])
    with threadpool_limits(1):
        return classifier(recipe).fit(np.concatenate(parts), labels, sample_weight=np.concatenate(weights))


def onset_log_odds(material: Material, recipe: Recipe) -> F8:
    """Mean log odds of each published onset's first chunks, float64[events], by models that have not seen its coin."""
    events = np.unique(np.concatenate([rows.event for rows in material.positives]))
    coins = np.unique(np.concatenate([rows.symbol for rows in material.positives]).astype(str))
    fold = np.random.default_rng(recipe.seed).permutation(len(coins)) % FOLDS
    found = np.full((len(events), len(features.WINDOWS)), np.nan)
    for number in range(FOLDS):
        left_out = coins[fold == number]
        rest = material.without(left_out.tolist())
        for window, rows in enumerate(material.positives):
            own = rows.take(np.isin(rows.symbol, left_out))
            if len(own):
                found[np.searchsorted(events, own.event), window] = fit(rest, window, recipe).decision_function(own.x)
    return np.asarray(np.nanmean(found, axis=1))


def alert_probability(runs: Sequence[tuple[I8, F8]], wanted: float, cooldown_s: int) -> float:
    """The smallest probability at which ordinary trading opens at most `wanted` alerts.

    runs : seconds and probabilities of each coin, as `batch.chances` gives them
    """
    levels = np.unique(np.concatenate([found for _, found in runs]))
    place = first_within(
        levels, lambda level: sum(len(alerts(seconds, found, level, cooldown_s)) for seconds, found in runs), wanted
    )
    return math.ceil(1e6 * float(levels[place])) / 1e6 if place < len(levels) else 1.0


def train(material: Material, recipe: Recipe, card: Card) -> PumpModel:
    """Fit every chunk length; the model reports nothing until `alert_probability` has set its alert."""
    boosters = tuple(
        Booster(window_s=length, **exported(fit(material, window, recipe), range(features.COUNT)))
        for window, length in enumerate(features.WINDOWS)
    )
    rows = {
        "onsets": sum(map(len, material.positives)),
        "around natural spikes": sum(map(len, material.spikes)),
        "of ordinary trading": sum(int(np.sum(~np.isnan(part[:, :, 0]))) for part in material.ordinary),
    }
    described = msgspec.structs.replace(card, seed=recipe.seed, rows=dict(sorted(rows.items())))
    return PumpModel(features.NAMES, boosters, recipe.least_volume, recipe.least_rise, 1.0, described)
