"""Fitting a network to windows of factors: seeded, on one thread, stopped early on the calibrating rows.

torch is needed to fit alone; what was fitted is told by numpy.

The networks as learners of the seven classes.

What training makes small: cross-entropy, focal loss, or both tasks at once.

A fitted network: inputs scaled, windows gathered, probabilities told by numpy.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.special

from detectors.forecast.classes import CLASSES
from detectors.forecast.direction.filling import medians, scaled, spreads
from detectors.forecast.direction.fitting import Learner, Rows
from detectors.forecast.networks import architectures
from detectors.forecast.networks.architectures import NAMES, Numpy, Torch
from detectors.forecast.walk import Fold
from detectors.pytorch import require_torch

F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SCALING = ("location", "scale")
"""Arrays of a network beside its weights, float32[inputs] each."""
_AT_ONCE = 2048


def scaling_of(values: F8) -> dict[str, F4]:
    """Location and scale of each input. values : float64[rows, inputs], fitted rows alone"""
    location = medians(values)
    return {
        name: each.astype(np.float32) for name, each in zip(SCALING, (location, spreads(values, location)), strict=True)
    }


def table(values: F8, arrays: dict[str, F4]) -> F4:
    """Scaled inputs, float32[rows + 1, inputs]; the last row, of zeros, is every day before an instrument's first."""
    location, scale = (arrays[name].astype(np.float64) for name in SCALING)
    found = scaled(values, location, scale).astype(np.float32)
    return np.concatenate([found, np.zeros((1, values.shape[1]), np.float32)])


def windows(starts: I8, rows: I8) -> I8:
    """For each of some rows the rows of its window, int64[rows, STEPS], oldest first; -1 before its instrument's first.

    starts : int64[instruments + 1], where each instrument's rows begin, and their end
    """
    first = starts[np.searchsorted(starts, rows, side="right") - 1]
    found: I8 = rows[:, None] + np.arange(1 - architectures.STEPS, 1)
    return np.where(found >= first[:, None], found, -1)


@dataclass(frozen=True, slots=True)
class Network:
    """As detectors.forecast.direction.fitting.Fitted asks. name : of the architecture; arrays : weights and SCALING"""

    name: str
    arrays: dict[str, F4]

    def outputs(self, rows: Rows, wanted: Bools) -> F4:
        """Logits of the classes, and the return in units of its spread, float32[wanted rows, 8]."""
        inputs, places = table(rows.values, self.arrays), windows(rows.starts, np.flatnonzero(wanted))
        parts = [
            architectures.outputs(self.name, Numpy(), self.arrays, inputs[places[first : first + _AT_ONCE]])
            for first in range(0, len(places), _AT_ONCE)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, architectures.OUTPUTS), np.float32)

    def probabilities(self, rows: Rows, wanted: Bools) -> F8:
        """Of each class before calibration, float64[wanted rows, 7]."""
        logits = self.outputs(rows, wanted)[:, : len(CLASSES)].astype(np.float64)
        found: F8 = scipy.special.softmax(logits, axis=1)
        return found


LOSSES = ("cross_entropy", "focal", "multi_task")
FOCUS = 2.0
"""Exponent of the focal loss (Lin et al. 2017): rows told well count less."""
RETURN_WEIGHT = 0.5
"""Of the return's Huber loss beside the cross-entropy in the multi-task loss; returns are in units of their spread."""


def loss(torch: Any, name: str, told: Any, labels: Any, returns: Any) -> Any:
    """The mean loss of a batch, a tensor without axes.

    name : of LOSSES; told : [rows, 8], logits of the classes and the return; labels : int64[rows]
    returns : [rows], in units of their spread
    """
    entropy = torch.nn.functional.cross_entropy(told[:, :-1], labels, reduction="none")
    if name == "focal":
        return (entropy * (1.0 - torch.exp(-entropy)) ** FOCUS).mean()
    if name == "multi_task":
        apart = torch.nn.functional.huber_loss(told[:, -1], returns)
        return entropy.mean() + RETURN_WEIGHT * apart
    if name != "cross_entropy":
        raise ValueError(f"there is no loss {name!r}")
    return entropy.mean()


FEWEST = 200
"""Rows to fit to, and a tenth of them to stop on."""
_HEATS = (0.5, 0.7, 1.0, 1.4, 2.0)
"""What logits are multiplied by before losses are compared."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to fit.

    loss : of losses.LOSSES; batches, batch : at most, of rows each; rate, decay : of AdamW; dropout : before the head
    average : share of the past in the running mean of weights, which is judged and kept (Polyak & Juditsky 1992)
    every : batches between looks at the calibrating rows; patience : looks without a better one before it stops
    looked : calibrating rows that are looked at, spread evenly
    """

    loss: str = "cross_entropy"
    batches: int = 300
    batch: int = 256
    rate: float = 1e-3
    decay: float = 1e-2
    dropout: float = 0.3
    average: float = 0.98
    every: int = 25
    patience: int = 4
    looked: int = 2000


def initial(torch: Any, name: str, inputs: int, seed: int) -> dict[str, Any]:
    """Weights drawn by the seed (Kaiming uniform, He et al. 2015), zero biases and positions."""
    generator, found = torch.Generator().manual_seed(seed), {}
    for key, shape in architectures.shapes(name, inputs).items():
        drawn = torch.zeros(shape)
        if key.endswith("_w"):
            bound = architectures.begin(key) * (6.0 / shape[0]) ** 0.5
            drawn = (2.0 * torch.rand(shape, generator=generator) - 1.0) * bound
        found[key] = drawn.requires_grad_()
    return found


def fit(name: str, rows: Rows, labels: I8, fold: Fold, seed: int, recipe: Recipe) -> Network:
    """A network fitted to the rows of `fold.fit`: of those on the way, the one that tells `fold.calibrate` best.

    name : of the architecture; rows, labels, fold, seed : as detectors.forecast.direction.fitting.Learner has them
    ValueError where there are too few rows.
    """
    fitted, later = np.flatnonzero(fold.fit), np.flatnonzero(fold.calibrate)
    if len(fitted) < FEWEST or len(later) < FEWEST // 10:
        raise ValueError(f"{len(fitted)} rows to fit to and {len(later)} to stop on are too few")
    torch = require_torch()
    scaling = scaling_of(rows.values[fitted])
    inputs, places = table(rows.values, scaling), windows(rows.starts, np.arange(len(rows)))
    targets = (rows.returns / (float(np.std(rows.returns[fitted])) or 1.0)).astype(np.float32)
    weights = initial(torch, name, rows.values.shape[1], seed)
    optimiser = torch.optim.AdamW(list(weights.values()), lr=recipe.rate, weight_decay=recipe.decay)
    training = Torch(torch, recipe.dropout, torch.Generator().manual_seed(seed + 1))
    looked = later[:: -(-len(later) // recipe.looked)]
    held = torch.from_numpy(inputs[places[looked]]), torch.from_numpy(labels[looked])
    mean = {key: each.detach().clone() for key, each in weights.items()}
    best, best_at, kept = np.inf, 0, mean
    for number, taken in enumerate(_batches(fitted, recipe, seed), 1):
        told = architectures.outputs(name, training, weights, torch.from_numpy(inputs[places[taken]]))
        known = torch.from_numpy(labels[taken]), torch.from_numpy(targets[taken])
        optimiser.zero_grad()
        loss(torch, recipe.loss, told, *known).backward()
        optimiser.step()
        # The first means would be of the drawn weights: the share of the past grows to its full one.
        share = 1.0 - min(recipe.average, number / (number + 10.0))
        for key, each in weights.items():
            mean[key].lerp_(each.detach(), share)
        if number % recipe.every == 0 or number == recipe.batches:
            found = _held(torch, name, mean, held)
            if found < best:
                best, best_at, kept = found, number, {key: each.clone() for key, each in mean.items()}
        if number - best_at >= recipe.patience * recipe.every:
            break
    return Network(name, {key: each.numpy() for key, each in kept.items()} | scaling)


def _batches(rows: I8, recipe: Recipe, seed: int) -> Iterator[I8]:
    """Rows of each batch: every row once before any comes again."""
    random, size = np.random.default_rng(seed), min(recipe.batch, len(rows))
    left = np.zeros(0, np.int64)
    for _ in range(recipe.batches):
        if len(left) < size:
            left = random.permutation(rows)
        taken, left = left[:size], left[size:]
        yield taken


def _held(torch: Any, name: str, weights: dict[str, Any], held: tuple[Any, Any]) -> float:
    """Cross-entropy of the held rows, whatever loss is trained with; at its best temperature, so that losses are
    compared by what they tell apart and not by how sure they are.
    """
    with torch.no_grad():
        told = architectures.outputs(name, Torch(torch), weights, held[0])[:, :-1]
        return min(float(torch.nn.functional.cross_entropy(told * heat, held[1])) for heat in _HEATS)


RECIPE = Recipe()
"""How all are fitted; docs/networks.md tells how the loss was chosen."""
LEARNERS: dict[str, Learner] = {name: partial(fit, name, recipe=RECIPE) for name in NAMES}
"""By name, which is the architecture's."""
