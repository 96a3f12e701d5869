"""Boosted trees of the seven classes as a file: JSON named by its content's hash; XGBoost is needed to train alone.

XGBoost as a learner of the seven classes, one thread and seeded; its trees come out as detectors.boosted's.

What boosted trees of several classes say of rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.boosted.forest import Forest
from detectors.boosted.forest import log_odds as of_group
from detectors.boosted.model import Nodes, forest
from detectors.boosted.training import TreeBuilder
from detectors.forecast.classes import CLASSES
from detectors.forecast.direction import card as cards
from detectors.forecast.direction.card import Card
from detectors.forecast.direction.filling import filled, medians
from detectors.forecast.direction.fitting import Rows
from detectors.forecast.direction.forecasting import forecasts, trained
from detectors.forecast.series import Forecast, Panel
from detectors.forecast.walk import Fold
from detectors.model_file import ModelFile, first_problem, foreign, sound
from tapewatch.errors import TapewatchError
from tapewatch.kernels import kernel

F8 = npt.NDArray[np.float64]


def log_odds(x: F8, trees: Forest) -> F8:
    """Of each class, float64[rows, classes]. x : float64[rows, inputs]"""
    found = np.zeros((len(x), len(trees.base)))
    _walk(np.ascontiguousarray(x), trees, found)
    return found


@kernel
def _walk(x: F8, trees: Forest, found: F8) -> None:
    for row in range(x.shape[0]):
        for group in range(found.shape[1]):
            found[row, group] = of_group(x[row], group, trees)


F4 = npt.NDArray[np.float32]
I8 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NAME = "boosted"
ROUNDS = 400
"""Trees a class at most; the calibrating rows say when to stop."""
PATIENCE = 25
PARAMETERS: dict[str, Any] = {
    "objective": "multi:softprob",
    "num_class": len(CLASSES),
    "tree_method": "hist",
    "max_bin": 64,
    "max_depth": 3,
    "eta": 0.05,
    "subsample": 0.7,
    "colsample_bytree": 0.5,
    "min_child_weight": 20.0,
    "lambda": 5.0,
    "nthread": 1,
}


@dataclass(frozen=True, slots=True)
class BoostedClassifier:
    """As learner.Fitted asks. middle : float64[inputs], for what is not known; groups : trees of each class"""

    middle: F8
    groups: tuple[Nodes, ...]
    trees: Forest

    def probabilities(self, rows: Rows, wanted: Bools) -> F8:
        """Of each class, float64[wanted rows, 7]."""
        return softmax(log_odds(narrowed(rows.values[wanted], self.middle).astype(np.float64), self.trees))


def learn(rows: Rows, labels: I8, fold: Fold, seed: int) -> BoostedClassifier:
    """As learner.Learner asks."""
    xgboost = require_xgboost()
    middle = medians(rows.values[fold.fit])
    matrices = [
        xgboost.QuantileDMatrix(
            narrowed(rows.values[mask], middle), labels[mask], max_bin=PARAMETERS["max_bin"], nthread=1
        )
        if reference is None
        else xgboost.DMatrix(narrowed(rows.values[mask], middle), labels[mask], nthread=1)
        for mask, reference in ((fold.fit, None), (fold.calibrate, fold.fit))
    ]
    booster = xgboost.train(
        PARAMETERS | {"seed": seed},
        matrices[0],
        ROUNDS,
        evals=[(matrices[1], "calibrate")],
        early_stopping_rounds=PATIENCE,
        verbose_eval=False,
    )
    groups = exported(booster[: booster.best_iteration + 1])
    return BoostedClassifier(middle, groups, forest(groups, [0.0] * len(groups)))


def narrowed(values: F8, middle: F8) -> F4:
    """Inputs as XGBoost takes them, float32[rows, inputs], without NaN."""
    return filled(values, middle).astype(np.float32)


def softmax(odds: F8) -> F8:
    """Probabilities of log odds, float64[rows, classes]."""
    powers: F8 = np.exp(odds - odds.max(axis=1, keepdims=True))
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def exported(booster: Any) -> tuple[Nodes, ...]:
    """The trees of each class, the base score among them as a tree of one leaf.

    XGBoost goes left where an input lies below a node's float32 threshold; ours go left up to it, so that the threshold
    is the next float32 below.
    """
    dump = msgspec.json.decode(bytes(booster.save_raw("json")))["learner"]
    base = np.array(msgspec.json.decode(dump["learner_model_param"]["base_score"].encode()), dtype=np.float64)
    flats = [TreeBuilder() for _ in CLASSES]
    for flat, value in zip(flats, np.broadcast_to(base, len(flats)), strict=True):
        flat.root()
        flat.node(-1, value=float(value))
    model = dump["gradient_booster"]["model"]
    for tree, place in zip(model["trees"], model["tree_info"], strict=True):
        _add(flats[place], tree)
    return tuple(
        msgspec.convert({name: value for name, value in flat.exported(0.0).items() if name != "base"}, Nodes)
        for flat in flats
    )


def _add(flat: TreeBuilder, tree: dict[str, Any]) -> None:
    start = flat.root()
    limits = np.nextafter(np.array(tree["split_conditions"], dtype=np.float32), np.float32(-np.inf))
    for node, (left, right) in enumerate(zip(tree["left_children"], tree["right_children"], strict=True)):
        if left < 0:
            flat.node(-1, value=float(tree["base_weights"][node]))
        else:
            flat.node(int(tree["split_indices"][node]), float(limits[node]), start + left, start + right)


def require_xgboost() -> Any:
    """XGBoost; TapewatchError where the extra is absent."""
    try:
        import xgboost
    except ImportError as error:
        raise TapewatchError(
            "boosted trees are fitted by XGBoost", "Install the extra: pip install 'tapewatch[forecast]'."
        ) from error
    return xgboost


class BoostedModel(ModelFile, frozen=True, forbid_unknown_fields=True):
    """Trees of log odds, a group for each class.

    inputs : names, in order; cuts : log returns between the classes; temperature : of the calibration
    middle : what stands for an input that is not known; groups : trees of each class
    """

    inputs: tuple[str, ...]
    cuts: tuple[float, ...]
    temperature: float
    middle: tuple[float, ...]
    groups: tuple[Nodes, ...]
    card: Card = Card()
    detector: str = NAME
    version: str = "1.0"

    def fitted(self) -> BoostedClassifier:
        """What tells probabilities."""
        return BoostedClassifier(np.array(self.middle), self.groups, forest(self.groups, [0.0] * len(self.groups)))

    def problem(self) -> str:
        """What is wrong with the model as a whole; empty where nothing is."""
        found = foreign(self.detector, self.version, NAME) | cards.unfit(self.inputs, self.cuts, self.temperature)
        found |= {
            "inputs and fillings differ in length": len(self.middle) != len(self.inputs),
            "a number is not finite": not np.isfinite(self.middle).all(),
            "not a group of trees for each class": len(self.groups) != len(CLASSES),
        }
        trees = (group.node_problem(len(self.inputs)) for group in self.groups)
        return first_problem(found) or next(filter(None, trees), "")


def train(panel: Panel, seed: int, report: Callable[[str], None] | None = None) -> BoostedModel:
    """A model fitted to all whose next move is known. ValueError where there is too little."""
    judge, rows, figures = trained(NAME, learn, panel, seed, report)
    fitted = judge.fitted
    if not isinstance(fitted, BoostedClassifier):
        raise TypeError("not boosted trees")
    cuts, middle = (tuple(map(float, each)) for each in (judge.cuts, fitted.middle))
    card = cards.trained_card(NAME, panel, seed, figures)
    return BoostedModel(rows.names, cuts, judge.temperature, middle, fitted.groups, card)


def predict(model: BoostedModel, panel: Panel) -> list[Forecast]:
    """The classes of the bar after the newest one of each instrument that is warm."""
    return forecasts(model, model.fitted(), panel)


def decode(data: bytes) -> BoostedModel:
    """Read a file; ValueError names what is wrong in it (msgspec.ValidationError is one)."""
    return sound(msgspec.json.decode(data, type=BoostedModel))


def summary(model: BoostedModel) -> dict[str, Any]:
    """What a listing shows."""
    return cards.summary(model) | {"trees": sum(len(group.roots) for group in model.groups)}


def markdown(model: BoostedModel) -> str:
    """The card as a page, from the file alone."""
    trees = sum(len(group.roots) for group in model.groups)
    return cards.markdown("Boosted trees of the next day's class", model, f"{trees:,} trees in seven groups")
