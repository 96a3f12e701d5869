"""Training the LSTM in torch: one run over given windows, the same numbers by seed on one thread.

A run is made of parts that depend on the seed and the step alone (initial weights, rows of each batch, dropout), so
that a run whose batches are shared out among processes takes the same steps (`detectors.forecast.lstm.distributed`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.forecast.lstm.inputs import FEATURES
from detectors.pytorch import require_torch

F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

_ORDER, _DROPOUT = 1, 2
"""Streams of random numbers that belong to a seed."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    epochs : passes over the rows; batch : rows of a step, of all processes together; units : of the LSTM
    dropout : share of the last hidden state that a step leaves out, 0 for none; seed : of everything drawn
    most : targets beyond it, up or down, count as it while learning, in volatilities
    """

    epochs: int = 3
    batch: int = 128
    units: int = 128
    dropout: float = 0.2
    learning_rate: float = 1e-3
    seed: int = 0
    most: float = 5.0


class Step(NamedTuple):
    """One step of a run. rows : int64[batch], which windows; keep : float32[batch, units], what the last hidden state
    is multiplied with: 0 or 1 / (1 - dropout)
    """

    number: int
    rows: I8
    keep: F4


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a run gave. state : weights by name, float32, as torch names them; losses : of each step, before it"""

    state: dict[str, F4]
    losses: F8


def schedule(rows: int, recipe: Recipe) -> Iterator[Step]:
    """The steps of a run over so many windows: every epoch in an order of its own, without the incomplete last batch.

    Rows and dropout are functions of seed and step, whatever process asks. ValueError where there is not one batch.
    """
    size = min(recipe.batch, rows)
    if size < 1:
        raise ValueError("no windows to learn from")
    number = 0
    for epoch in range(recipe.epochs):
        order = np.random.default_rng((recipe.seed, _ORDER, epoch)).permutation(rows)
        for begin in range(0, rows - size + 1, size):
            yield Step(number, order[begin : begin + size], kept(recipe, number, size))
            number += 1


def kept(recipe: Recipe, step: int, size: int) -> F4:
    """Dropout of a step, float32[size, units]; ones without dropout."""
    if not recipe.dropout:
        return np.ones((size, recipe.units), dtype=np.float32)
    drawn = np.random.default_rng((recipe.seed, _DROPOUT, step)).random((size, recipe.units))
    return ((drawn >= recipe.dropout) / (1.0 - recipe.dropout)).astype(np.float32)


def network(torch: Any, recipe: Recipe) -> Any:
    """A new network by the seed: a module of (windows, keep), see `forward`."""
    torch.manual_seed(recipe.seed)
    lstm = torch.nn.LSTM(FEATURES, recipe.units, batch_first=True)
    net = torch.nn.ModuleDict({"lstm": lstm, "head": torch.nn.Linear(recipe.units, 1)})
    # A module that can be called is what DistributedDataParallel wraps.
    net.forward = partial(forward, net)
    return net


def forward(net: Any, windows: Any, keep: Any) -> Any:
    """The forecast of each window, tensor [rows], in volatilities.

    windows : tensor [rows, WINDOW, FEATURES]; keep : tensor [rows, units], dropout of the last hidden state
    """
    return net["head"](net["lstm"](windows)[1][0][0] * keep)[:, 0]


def optimiser(torch: Any, net: Any, recipe: Recipe) -> Any:
    """Adam (Kingma & Ba 2015) over a network's weights."""
    return torch.optim.Adam(net.parameters(), lr=recipe.learning_rate)


def step_loss(torch: Any, net: Any, windows: F4, targets: F4, step: Step) -> Any:
    """Mean squared error of a step's rows, a tensor. windows, targets : of all rows; net : a module as `network`'s"""
    given, wanted = torch.from_numpy(windows[step.rows]), torch.from_numpy(targets[step.rows])
    return torch.nn.functional.mse_loss(net(given, torch.from_numpy(step.keep)), wanted)


def fit(
    windows: F4, targets: F8 | F4, recipe: Recipe, report: Callable[[int, float], None] | None = None
) -> TrainingResult:
    """One run. windows : float32[rows, WINDOW, FEATURES]; targets : [rows], in volatilities

    report : called after each epoch with its number and mean loss. ValueError where there are no rows.
    """
    torch = require_torch()
    net = network(torch, recipe)
    adam = optimiser(torch, net, recipe)
    wanted = clipped(targets, recipe)

    def loss_of(step: Step) -> Any:
        return step_loss(torch, net, windows, wanted, step)

    losses = np.array(list(descend(adam, len(windows), recipe, loss_of, report)))
    return TrainingResult(state_of(net), losses)


def descend(
    adam: Any,
    rows: int,
    recipe: Recipe,
    loss_of: Callable[[Step], Any],
    report: Callable[[int, float], None] | None = None,
) -> Iterator[float]:
    """Take every step of a run over so many windows; the loss before each. report : as `fit`'s"""
    recent: list[float] = []
    epoch = rows // min(recipe.batch, max(rows, 1)) or 1
    for step in schedule(rows, recipe):
        loss = loss_of(step)
        adam.zero_grad()
        loss.backward()
        adam.step()
        recent.append(float(loss.item()))
        yield recent[-1]
        if len(recent) == epoch:
            if report is not None:
                report((step.number + 1) // epoch, float(np.mean(recent)))
            recent.clear()


def clipped(targets: F8 | F4, recipe: Recipe) -> F4:
    """Targets as they are learnt, float32[rows]."""
    return np.clip(targets, -recipe.most, recipe.most).astype(np.float32)


def state_of(net: Any) -> dict[str, F4]:
    """A network's weights by name."""
    return {name: value.detach().cpu().numpy().astype(np.float32) for name, value in net.state_dict().items()}
