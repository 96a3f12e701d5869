"""Training an isolation forest: scikit-learn's trees, laid out as perfect ones."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import IsolationForest
from threadpoolctl import threadpool_limits

from detectors.autoencoder.model import Card
from detectors.isolation import score
from detectors.isolation.model import IsolationModel
from detectors.kmeans.calibration import short
from detectors.kmeans.sample import Sample
from detectors.kmeans.training import INPUTS

F8 = npt.NDArray[np.float64]
F4 = npt.NDArray[np.float32]

_ROWS = 200_000


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train: trees, rows each is grown on (a power of two), seed, and the alert budget."""

    trees: int = 48
    subsample: int = 128
    seed: int = 0
    per_day: float = 1.0
    inputs: tuple[str, ...] = INPUTS


def fit(rows: Sample, recipe: Recipe) -> IsolationModel:
    """A forest of the usual rows, not yet calibrated: its knots are the identity, its alert limit is 1.

    ValueError where there are fewer usable rows than a tree takes. One thread: the same rows give the same trees.
    """
    values = rows.values[rows.normal][:, [rows.names.index(name) for name in recipe.inputs]]
    values = values[2 * np.isnan(values).sum(axis=1) <= values.shape[1]]
    if len(values) < 10 * recipe.subsample:
        raise ValueError(f"{len(values)} usable rows are too few for trees of {recipe.subsample}")
    random = np.random.default_rng(recipe.seed)
    if len(values) > _ROWS:
        values = values[np.sort(random.choice(len(values), _ROWS, replace=False))]
    location = np.nanmedian(values, axis=0)
    filled = np.where(np.isnan(values), location, values).astype(np.float32)
    with threadpool_limits(limits=1):
        fitted = IsolationForest(n_estimators=recipe.trees, max_samples=recipe.subsample, random_state=recipe.seed).fit(
            filled
        )
    depth = int(np.ceil(np.log2(recipe.subsample)))
    laid = [_perfect(tree.tree_, depth) for tree in fitted.estimators_]
    return IsolationModel(
        inputs=recipe.inputs,
        location=tuple(short(float(x)) for x in location),
        depth=depth,
        feature=tuple(int(x) for feature, _, _ in laid for x in feature),
        threshold=tuple(short(float(x)) for _, threshold, _ in laid for x in threshold),
        length=tuple(short(float(x)) for _, _, length in laid for x in length),
        scale=short(_usual_length(recipe.subsample)),
        knots=((0.0, 0.0), (1.0, 1.0)),
        card=Card(rows=len(values), seed=recipe.seed),
    )


def _perfect(tree: Any, depth: int) -> tuple[list[int], list[float], list[float]]:
    """Cuts and leaves of one tree as a perfect one: below an early leaf every path ends at the same length."""
    inner = (1 << depth) - 1
    feature, threshold, length = [0] * inner, [0.0] * inner, [0.0] * (inner + 1)

    def lay(node: int, place: int, level: int, ended: float) -> None:
        leaf = ended > 0.0 or tree.children_left[node] < 0
        # A root that is a leaf has length c(n) too: no path is of length 0 where a tree has two rows.
        total = ended or level + _usual_length(int(tree.n_node_samples[node]))
        if place >= inner:
            length[place - inner] = total
            return
        if not leaf:
            feature[place], threshold[place] = int(tree.feature[node]), float(tree.threshold[node])
        left, right = (node, node) if leaf else (tree.children_left[node], tree.children_right[node])
        lay(left, 2 * place + 1, level + 1, total if leaf else 0.0)
        lay(right, 2 * place + 2, level + 1, total if leaf else 0.0)

    lay(0, 0, 0, 0.0)
    return feature, threshold, length


def _usual_length(rows: int) -> float:
    """Mean path length of an unsuccessful search in a binary tree of that many rows (Liu et al. 2008, eq. 1)."""
    if rows <= 1:
        return 0.0
    if rows == 2:
        return 1.0
    return float(2.0 * (np.log(rows - 1.0) + np.euler_gamma) - 2.0 * (rows - 1.0) / rows)


def score_rows(model: IsolationModel, rows: Sample) -> F8:
    """Anomaly score of every row, float64[rows]; NaN where fewer than half of the inputs are there."""
    out = np.full(len(rows), np.nan)
    columns = np.ascontiguousarray(rows.values.T, dtype=np.float32)
    score.scores(columns, model.forest(rows.names), np.zeros(len(model.inputs), dtype=np.float32), out)
    return out
