"""Training the LSTM in several processes that torchrun started: DistributedDataParallel over the same global batches.

Li et al. 2020, PyTorch Distributed. Each process takes an equal share of every step's rows, with the dropout of their
places in the step, and gradients are averaged: a step moves the weights as one process would, up to the order of sums.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.forecast.lstm import training
from detectors.forecast.lstm.training import Recipe, Step, TrainingResult
from detectors.pytorch import require_torch

F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]

_PATIENCE = timedelta(minutes=5)


def processes() -> int:
    """How many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which of them this is; 0, the first, writes what a run gives."""
    return int(os.environ.get("RANK", "0"))


def fit(
    windows: F4, targets: F8 | F4, recipe: Recipe, report: Callable[[int, float], None] | None = None
) -> TrainingResult:
    """As `training.fit`, and the same loss curve, shared out among the processes that torchrun started.

    Every process calls it with the same rows and gets the same weights and losses; the first alone reports, the
    loss of its own share. ValueError where there are no rows, or a batch cannot be shared equally.
    """
    if processes() == 1:
        return training.fit(windows, targets, recipe, report)
    torch = require_torch()
    size = min(recipe.batch, len(windows))
    if size % processes():
        raise ValueError(f"a batch of {size} rows cannot be shared equally among {processes()} processes")
    with joined(torch) as device:
        return _fit(torch, device, windows, training.clipped(targets, recipe), recipe, report if rank() == 0 else None)


def share(step: Step, rank: int, processes: int) -> Step:
    """The part of a step that a process takes: neighbouring places, as many for each."""
    size = len(step.rows) // processes
    own = slice(rank * size, (rank + 1) * size)
    return Step(step.number, step.rows[own], step.keep[own])


@contextmanager
def joined(torch: Any) -> Iterator[Any]:
    """With the other processes; gives the device to work on: a GPU each over NCCL, or the CPU over Gloo.

    Runs within share the group; without it each joins for itself, which torchrun's store allows once.
    """
    cuda = torch.cuda.is_available() and torch.cuda.device_count() >= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
    if torch.distributed.is_initialized():
        yield device
        return
    if cuda:
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl" if cuda else "gloo", timeout=_PATIENCE)
    try:
        yield device
    finally:
        torch.distributed.destroy_process_group()


def _fit(
    torch: Any, device: Any, windows: F4, targets: F4, recipe: Recipe, report: Callable[[int, float], None] | None
) -> TrainingResult:
    net = training.network(torch, recipe).to(device)
    parallel = torch.nn.parallel.DistributedDataParallel(net, [device.index] if device.type == "cuda" else None)
    adam = training.optimiser(torch, net, recipe)

    def placed(given: Any, keep: Any) -> Any:
        return parallel(given.to(device), keep.to(device)).cpu()

    def loss_of(step: Step) -> Any:
        return training.step_loss(torch, placed, windows, targets, share(step, rank(), processes()))

    own = np.array(list(training.descend(adam, len(windows), recipe, loss_of, report)))
    # Shares are equal, so that the mean of their losses is the loss of the step.
    losses = torch.from_numpy(own).to(device)
    torch.distributed.all_reduce(losses)
    return TrainingResult(training.state_of(net), losses.cpu().numpy() / processes())
