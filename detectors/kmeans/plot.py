"""Scatter plot of a model's clusters, for those who have matplotlib (extra `plot`)."""

from pathlib import Path

import numpy as np

from detectors.kmeans.fitting import assigned
from detectors.kmeans.model import PAIR, KMeansModel
from detectors.kmeans.sample import Sample
from tapewatch.errors import TapewatchError

_POINTS = 20_000


def scatter(model: KMeansModel, rows: Sample, path: Path, seed: int = 0) -> None:
    """Draw rows by their cluster over two inputs, centres as crosses; PNG, SVG or PDF by the file's ending.

    The classic model shows its pair, another one the two inputs in which its centres differ most. At most 20,000 rows,
    drawn by the seed. TapewatchError where matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise TapewatchError("plots need matplotlib", "Install it: pip install 'tapewatch[plot]'.") from error
    values = rows.values[:, [rows.names.index(name) for name in model.inputs]]
    values = values[~np.isnan(values).any(axis=1)]
    if len(values) > _POINTS:
        values = values[np.random.default_rng(seed).choice(len(values), _POINTS, replace=False)]
    clusters = assigned(values, model)
    x, y = _axes(model)
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.add_subplot()
    for number, normal in enumerate(model.normal):
        own = clusters == number
        label = f"{number} {'normal' if normal else 'abnormal'} ({model.sizes[number]:,} rows)"
        axes.scatter(
            values[own, x], values[own, y], s=6, alpha=0.5, label=label, color=f"C{number % 10}", rasterized=True
        )
    centres = np.array(model.raw_centres())
    axes.scatter(centres[:, x], centres[:, y], marker="x", s=80, color="black", label="centres")
    axes.set_xlabel(model.inputs[x])
    axes.set_ylabel(model.inputs[y])
    if model.inputs == PAIR:
        axes.set_yscale("symlog", linthresh=100.0)
    axes.set_title(f"{model.detector} {model.hash}")
    axes.legend(loc="best", fontsize="small")
    figure.savefig(path, dpi=120)


def _axes(model: KMeansModel) -> tuple[int, int]:
    """Numbers of the two inputs to draw."""
    if model.inputs == PAIR or len(model.inputs) == 1:
        return 0, len(model.inputs) - 1
    spread = np.ptp(np.array(model.centres), axis=0)
    first, second = np.argsort(-spread)[:2]
    return int(first), int(second)
