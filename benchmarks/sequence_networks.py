"""LSTM against temporal convolution as the autoencoder's encoder, on the same windows of the synthetic market, beside
K-means and the isolation forest: `python -m benchmarks.sequence_networks --out docs/results/sequence-networks.json`.

Both have about as many weights, the same code of eight, the same decoder, batches, steps and score. Each is trained
with several seeds and judged on eventful markets that it was not trained on.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from benchmarks.anomaly_peers import auroc, labels_of
from benchmarks.ship_models import EVENTFUL, FIT, LabelledSample, markets
from benchmarks.ship_peers import KMEANS, Peer, rows_of, score_of
from detectors.autoencoder import training
from detectors.autoencoder.inputs import COUNT
from detectors.autoencoder.score import CODE, HIDDEN, PATCH, WINDOW
from detectors.isolation import model as isolation
from detectors.kmeans import model as kmeans
from detectors.pytorch import require_torch
from producers.synthetic.config import MANIPULATIONS

F8 = npt.NDArray[np.float64]
F4 = npt.NDArray[np.float32]

TEST = (7202, 7301)
"""Eventful markets on which no network was fitted."""
EVERY = 4
"""One window in so many is judged."""
CELLS = 16
"""Of the LSTM: 2,176 weights before the code, where the convolution has 2,080."""
NETWORKS = ("tcn", "lstm")
COMMAND = "python -m benchmarks.sequence_networks --out docs/results/sequence-networks.json"
_SCORED = 8192
_MEASURED = 30


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """A network. told : windows, newest first -> the newest patch and the code; cost_s : CPU seconds of its training"""

    told: Callable[[Any], tuple[Any, Any]]
    weights: int
    loss: float
    cost_s: float


def _lstm(torch: Any, seed: int) -> tuple[list[Any], Callable[[Any], tuple[Any, Any]]]:
    """An LSTM that reads a window from its oldest second on, code and decoder as the convolution's."""
    torch.manual_seed(seed)
    encoder = torch.nn.LSTM(COUNT, CELLS, batch_first=True)
    code = torch.nn.Linear(CELLS, CODE)
    decoder = torch.nn.Sequential(
        torch.nn.Linear(CODE, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, PATCH * COUNT)
    )
    parameters = [each for part in (encoder, code, decoder) for each in part.parameters()]

    def told(given: Any) -> tuple[Any, Any]:
        _, (last, _) = encoder(torch.flip(given, (1,)))
        found = code(last[0])
        return decoder(found), found

    return parameters, told


def _tcn(torch: Any, seed: int) -> tuple[list[Any], Callable[[Any], tuple[Any, Any]]]:
    """The shipped network."""
    parameters = training.initial(torch, seed)
    return list(parameters.values()), lambda given: training.reconstruct(torch, parameters, given)


def trained(name: str, values: F4, ends: npt.NDArray[np.int64], steps: int, seed: int) -> TrainedNetwork:
    """One network, as detectors.autoencoder.training fits it. name : of NETWORKS"""
    torch = require_torch()
    parameters, told = (_lstm if name == "lstm" else _tcn)(torch, seed)
    optimiser = torch.optim.Adam(parameters, lr=training.LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    random, smoothed, begun = np.random.default_rng(seed), 0.0, process_time()
    for number in range(steps):
        taken = training.drawn_windows(values, ends, random, training.DROPPED)
        wanted = taken[:, :PATCH].reshape(len(taken), -1)
        there = torch.from_numpy(~np.isnan(wanted))
        apart = told(torch.from_numpy(np.nan_to_num(taken)))[0] - torch.from_numpy(np.nan_to_num(wanted))
        loss = (torch.square(apart) * there).sum() / there.sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        smoothed = loss.item() if number == 0 else 0.99 * smoothed + 0.01 * loss.item()
    weights = sum(each.numel() for each in parameters)
    return TrainedNetwork(told, weights, smoothed, process_time() - begun)


def scores(network: TrainedNetwork, usual: F4, values: F4, ends: npt.NDArray[np.int64]) -> F8:
    """Score of every row, NaN where no window ends: weighted squared error and energy of the white code, as shipped.

    usual : float32[windows, WINDOW, 16], from which weights and the code's spread are taken
    """
    told, code = _told(network, usual)
    apart = np.square(told - usual[:, :PATCH].reshape(len(usual), -1)).reshape(len(usual), PATCH, COUNT)
    weight = np.clip(1.0 / np.maximum(np.nanmean(apart, axis=(0, 1)), 1e-6), 0.05, 50.0)
    mean = code.mean(axis=0)
    white = np.linalg.inv(np.linalg.cholesky(np.cov(code.T) + 1e-6 * np.eye(CODE)))
    found = np.full(len(values), np.nan)
    for begin in range(0, len(ends), _SCORED):
        at = ends[begin : begin + _SCORED]
        given = values[at[:, None] - np.arange(WINDOW)[None, :]]
        told, code = _told(network, given)
        apart = np.square(told - given[:, :PATCH].reshape(len(at), -1)) * np.tile(weight, PATCH)
        total = np.nansum(apart, axis=1) + np.square((code - mean) @ white.T).sum(axis=1)
        found[at] = np.sqrt(total / (CODE + np.isfinite(apart).sum(axis=1)))
    return found


def _told(network: TrainedNetwork, given: F4) -> tuple[F8, F8]:
    torch = require_torch()
    with torch.no_grad():
        patch, code = network.told(torch.from_numpy(np.nan_to_num(given)))
    return patch.numpy().astype(np.float64), code.numpy().astype(np.float64)


def judged(found: Mapping[str, F8], part: LabelledSample) -> dict[str, dict[str, float]]:
    """AUROC by detector, over all manipulated seconds and for each manipulation, of the rows that all of them score."""
    labels = labels_of(part.rows)
    there = ~np.isnan(np.column_stack(list(found.values()))).any(axis=1)
    usual, bad = there & (labels == 0), there & (labels == 1)
    return {
        name: {"all": auroc(each, usual, bad)}
        | {one: auroc(each, usual, bad & (part.scenarios == one)) for one in MANIPULATIONS}
        for name, each in found.items()
    }


def interval(values: Sequence[float]) -> dict[str, float]:
    """Mean and its 95 % interval by Student's t."""
    mean, count = float(np.mean(values)), len(values)
    half = float(student.ppf(0.975, count - 1) * np.std(values, ddof=1) / count**0.5) if count > 1 else float("nan")
    return {"mean": round(mean, 4), "low": round(mean - half, 4), "high": round(mean + half, 4)}


def measure(cache: Path, seeds: int, steps: int) -> dict[str, Any]:
    """Train, score and compare."""
    fit = markets(cache, FIT, 1.0, rows_of).rows
    scaling = training.input_scaling(fit)
    values, ends = training.windows(fit, scaling)
    tests = [markets(cache, (seed,), EVENTFUL, rows_of) for seed in TEST]
    windows = [training.windows(replace(part.rows, labels=None), scaling) for part in tests]
    windows = [(rows, at[::EVERY]) for rows, at in windows]
    nets: dict[str, list[TrainedNetwork]] = {name: [] for name in NETWORKS}
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in (*NETWORKS, "kmeans", "isolation")}
    fixed: dict[str, Peer] = {"kmeans": kmeans.decode(KMEANS.read_bytes()), "isolation": isolation.shipped()}
    others = [{name: score_of(model)(part.rows) for name, model in fixed.items()} for part in tests]
    random = np.random.default_rng(99)
    usual = np.concatenate([training.drawn_windows(values, ends, random, training.DROPPED) for _ in range(_MEASURED)])
    for seed in range(seeds):
        for name in NETWORKS:
            nets[name].append(trained(name, values, ends, steps, seed))
            print(f"{name} {seed}: loss {nets[name][-1].loss:.4f}", file=sys.stderr, flush=True)
        for part, (rows, at), known in zip(tests, windows, others, strict=True):
            mine = {name: scores(nets[name][-1], usual, rows, at) for name in NETWORKS}
            for name, one in judged(mine | known, part).items():
                figures[name].append(one)
    return {
        "benchmark": "sequence networks",
        "command": COMMAND,
        "fitted_on": list(FIT),
        "judged_on": list(TEST),
        "seeds": seeds,
        "steps": steps,
        "auroc": {
            name: {key: interval([one[key] for one in found]) for key in found[0]} for name, found in figures.items()
        },
        "lstm_less_tcn": {
            key: interval([a[key] - b[key] for a, b in zip(figures["lstm"], figures["tcn"], strict=True)])
            for key in figures["tcn"][0]
        },
        "networks": {
            name: {
                "weights": nets[name][0].weights,
                "loss": interval([one.loss for one in nets[name]]),
                "training_cpu_s": round(float(np.mean([one.cost_s for one in nets[name]])), 1),
            }
            for name in NETWORKS
        },
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sequence_networks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cache", type=Path, default=Path(".tapewatch/training"), help="keeps the markets' features")
    parser.add_argument("--seeds", type=int, default=3, help="of each network (default: 3)")
    parser.add_argument("--steps", type=int, default=500, help="batches of 1,024 windows (default: 500)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the JSON document to a file too")
    parser.epilog = f"example: {COMMAND}"
    args = parser.parse_args()
    encoded = msgspec.json.format(msgspec.json.encode(measure(args.cache, args.seeds, args.steps)), indent=1)
    if args.out:
        args.out.write_bytes(encoded + b"\n")
    print(encoded.decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
