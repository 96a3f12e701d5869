"""Training an autoencoder in torch: windows of scaled inputs in, the newest seconds out, through a narrow code.

torch is in the `train` extra and nowhere else: scoring is compiled from the weights alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.autoencoder import batch, score
from detectors.autoencoder.inputs import COUNT, KNEE, SOURCES
from detectors.kmeans.fitting import scaling_of
from detectors.kmeans.sample import Sample
from detectors.pytorch import require_torch

F4 = npt.NDArray[np.float32]
I8 = npt.NDArray[np.int64]

TIERS: dict[str, tuple[str, ...]] = {
    "trades, quotes and books": (),
    "trades and quotes": ("depth_imb_5", "depth_imb_10"),
    "trades only": (
        "spread_ratio", "depth_imb_1", "depth_imb_5", "depth_imb_10", "quote_rate_1s", "quote_rate_60s",
        "depth_added_10s", "depth_removed_10s", "ofi_10s",
    ),
    "quotes and books": ("volume_z", "trades_z", "imbalance_z", "imbalance_60s", "volume_60s"),
}  # fmt: skip
"""Kinds of feed, and the sources each lacks."""

Dropped = tuple[tuple[int, ...], ...]

DROPPED: Dropped = ((), (10, 11), (8, 9, 10, 11, 12, 13, 14, 15), (4, 5, 6, 7, 15))
"""The inputs that each kind of feed lacks, in the order of TIERS."""
BATCH = 1024
LEARNING_RATE = 2e-3
_SHARE_DROPPED = 0.25
_MEASURED = 30
"""Batches of windows from which the code's spread and the inputs' errors are taken."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    instrument_class : whose rows these are; steps : batches of 1,024 windows; seed : of everything drawn
    per_day : false alerts an instrument and day may raise
    """

    instrument_class: str = "stock"
    steps: int = 3000
    seed: int = 0
    per_day: float = 1.0


def input_scaling(rows: Sample) -> F4:
    """Location and factor of every input, robust, float32[2, 16], of the rows that are not known to be manipulated."""
    index = np.array([rows.names.index(name) for name in SOURCES], dtype=np.int64)
    # Far from the knee the squash is undone exactly enough: the unscaled inputs are what a factor of 1e-4 leaves.
    tiny = np.array([np.zeros(COUNT), np.full(COUNT, 1e-4)], dtype=np.float32)
    squashed = batch.prepared(rows.values[rows.normal].T.astype(np.float32), index, tiny).astype(np.float64)
    raw = squashed * float(KNEE) / (float(KNEE) - np.abs(squashed)) * 1e4
    location, factor = scaling_of(raw.T, "robust")
    return np.array([location, factor], dtype=np.float32)


def windows(rows: Sample, scaling: F4) -> tuple[F4, I8]:
    """Scaled inputs of every row, float32[rows, 16], and the rows at which a whole window of usual seconds ends."""
    index = np.array([rows.names.index(name) for name in SOURCES], dtype=np.int64)
    values = np.ascontiguousarray(batch.prepared(rows.values.T.astype(np.float32), index, scaling).T)
    ends: list[I8] = []
    usual = np.concatenate([[0], np.cumsum(rows.normal)])
    enough = np.isnan(values).sum(axis=1) * 2 <= COUNT
    for first, end in zip(rows.starts, rows.starts[1:], strict=False):
        at = np.arange(first + score.WINDOW - 1, end)
        begin = at - score.WINDOW + 1
        whole = (rows.steps[at] - rows.steps[begin] == score.WINDOW - 1) & enough[at]
        ends.append(at[whole & (usual[at + 1] - usual[begin] == score.WINDOW)])
    return values, np.concatenate(ends).astype(np.int64)


def initial(torch: Any, seed: int) -> dict[str, Any]:
    """Weights by name (Kaiming uniform, He et al. 2015) and zero biases, drawn by the seed."""
    generator = torch.Generator().manual_seed(seed)
    parameters: dict[str, Any] = {}
    for name, shape in score.SHAPES.items():
        if len(shape) == 1:
            parameters[name] = torch.zeros(shape, requires_grad=True)
            continue
        bound = (6.0 / shape[1]) ** 0.5 * (0.5 if name in ("w3", "w5") else 1.0)
        drawn = (2.0 * torch.rand(shape, generator=generator) - 1.0) * bound
        parameters[name] = drawn.requires_grad_()
    return parameters


def reconstruct(torch: Any, parameters: Mapping[str, Any], batch_of: Any) -> Any:
    """The newest PATCH seconds as the code tells them, [windows, 64], newest first, and the code, [windows, 8].

    batch_of : tensor [windows, WINDOW, 16] without NaN, newest first
    """
    linear, relu = torch.nn.functional.linear, torch.relu
    count = batch_of.shape[0]
    patches = batch_of.reshape(count, score.WINDOW // score.PATCH, score.PATCH * COUNT)
    h1 = relu(linear(patches, parameters["w1"], parameters["b1"]))
    h2 = relu(linear(h1.reshape(count, 2, 4 * score.CHANNELS), parameters["w2"], parameters["b2"]))
    code = linear(h2.reshape(count, 2 * score.CHANNELS), parameters["w3"], parameters["b3"])
    return linear(relu(linear(code, parameters["w4"], parameters["b4"])), parameters["w5"], parameters["b5"]), code


def fit(rows: Sample, recipe: Recipe, report: Callable[[int, float], None] | None = None) -> dict[str, F4]:
    """Weights and scaling fitted to the usual rows of a sample; the arrays of a model file.

    report : called now and then with the batches done and the loss; ValueError where there are too few windows.
    Some windows lose the inputs that a poorer feed lacks, so that the model holds for those feeds as well.
    """
    require_torch()
    scaling = input_scaling(rows)
    values, ends = windows(rows, scaling)
    if len(ends) < 10 * BATCH:
        raise ValueError(f"{len(ends)} windows of {score.WINDOW} usual seconds are too few")
    return fit_windows(values, ends, recipe, DROPPED, report) | {"scaling": scaling}


def fit_windows(
    values: F4,
    ends: I8,
    recipe: Recipe,
    dropped: Dropped,
    report: Callable[[int, float], None] | None = None,
) -> dict[str, F4]:
    """Weights fitted to windows.

    values : float32[rows, 16], scaled inputs; ends : int64[windows], the rows at which they end
    dropped : the inputs that each kind of feed lacks, first that which lacks none
    """
    torch = require_torch()
    parameters = initial(torch, recipe.seed)
    optimiser = torch.optim.Adam(list(parameters.values()), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.steps)
    random = np.random.default_rng(recipe.seed)
    smoothed = 0.0
    for number in range(recipe.steps):
        taken = drawn_windows(values, ends, random, dropped)
        given = torch.from_numpy(np.nan_to_num(taken))
        wanted = given[:, : score.PATCH].reshape(BATCH, -1)
        mask = torch.from_numpy(~np.isnan(taken[:, : score.PATCH])).reshape(BATCH, -1)
        loss = (torch.square(reconstruct(torch, parameters, given)[0] - wanted) * mask).sum() / mask.sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        smoothed = loss.item() if number == 0 else 0.99 * smoothed + 0.01 * loss.item()
        if report is not None and (number + 1) % 250 == 0:
            report(number + 1, smoothed)
    arrays = {name: value.detach().numpy().astype(np.float32) for name, value in parameters.items()}
    drawn = [drawn_windows(values, ends, random, dropped) for _ in range(_MEASURED)]
    return _finished(torch, arrays, drawn)


def drawn_windows(values: F4, ends: I8, random: np.random.Generator, dropped: Dropped) -> F4:
    """A batch of windows, float32[1024, WINDOW, 16], newest first, some of them as a poorer feed would give them."""
    at = ends[random.integers(0, len(ends), BATCH)]
    taken: F4 = values[at[:, None] - np.arange(score.WINDOW)[None, :]]
    if len(dropped) == 1:
        return taken
    kind = np.where(random.random(BATCH) < _SHARE_DROPPED, random.integers(1, len(dropped), BATCH), 0)
    for number, lacking in enumerate(dropped):
        if lacking:
            taken[np.ix_(kind == number, np.arange(score.WINDOW), np.array(lacking))] = np.nan
    return taken


def _finished(torch: Any, arrays: dict[str, F4], drawn: Sequence[F4]) -> dict[str, F4]:
    """The same network with a code that is white on usual windows, and the weight of each input: the inverse of its
    mean squared error there, so that all count alike.
    """
    parameters = {name: torch.from_numpy(array) for name, array in arrays.items()}
    total, there, codes = np.zeros(COUNT), np.zeros(COUNT), []
    for taken in drawn:
        found, code = (each.numpy() for each in reconstruct(torch, parameters, torch.from_numpy(np.nan_to_num(taken))))
        apart = np.square(found.reshape(BATCH, score.PATCH, COUNT) - taken[:, : score.PATCH])
        total += np.nansum(apart, axis=(0, 1))
        there += (~np.isnan(apart)).sum(axis=(0, 1))
        codes.append(code.astype(np.float64))
    every = np.concatenate(codes)
    mean, spread = every.mean(axis=0), np.cov(every.T) + 1e-6 * np.eye(score.CODE)
    colour = np.linalg.cholesky(spread)
    white = np.linalg.inv(colour)
    changed = {
        "w3": white @ arrays["w3"],
        "b3": white @ (arrays["b3"] - mean),
        "w4": arrays["w4"] @ colour,
        "b4": arrays["b4"] + arrays["w4"] @ mean,
        "weight": np.clip(there / np.maximum(total, 1e-6), 0.05, 50.0),
    }
    return arrays | {name: array.astype(np.float32) for name, array in changed.items()}
