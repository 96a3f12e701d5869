"""Fitting K-means: scaling, clustering, and cluster numbers that stay the same from one training to the next.

Scatter plot of a model's clusters, for those who have matplotlib (extra `plot`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from detectors.kmeans.model import PAIR, KMeansModel
from detectors.kmeans.sample import Sample
from tapewatch.errors import TapewatchError

F8 = npt.NDArray[np.float64]
Scaling = Literal["raw", "standard", "robust"]

_IQR_OF_NORMAL = 1.349
_FIT_ROWS = 200_000
_STARTS = 4


@dataclass(frozen=True, slots=True)
class Clusters:
    """Fitted clusters: scaled centres float64[k, d], training rows of each int64[k]."""

    centres: F8
    sizes: npt.NDArray[np.int64]


def scaling_of(values: F8, kind: Scaling) -> tuple[F8, F8]:
    """Location and scale, float64[d] each; scaled = (x - location) x scale.

    raw : 0 and 1; standard : mean and 1 / standard deviation; robust : median and 1.349 / interquartile range (1 for a
    normal distribution), where that range is 0 the inverse standard deviation. An input that never varies gets scale 0.
    """
    width = values.shape[1]
    if kind == "raw":
        return np.zeros(width), np.ones(width)
    deviation = np.nanstd(values, axis=0)
    inverse = np.divide(1.0, deviation, out=np.zeros(width), where=deviation > 0.0)
    if kind == "standard":
        return np.nanmean(values, axis=0), inverse
    low, middle, high = np.nanpercentile(values, (25, 50, 75), axis=0)
    spread = high - low
    return middle, np.divide(_IQR_OF_NORMAL, spread, out=inverse, where=spread > 0.0)


def scaled(values: F8, location: F8, scale: F8, clip: float) -> F8:
    """Scaled and cut at +-clip, float64[rows, d]; what is missing stands at the location (0)."""
    moved = np.clip((values - location) * scale, -clip, clip)
    return cast(F8, np.nan_to_num(moved, nan=0.0))


def cluster(rows: F8, k: int, seed: int) -> Clusters:
    """K-means (Lloyd) of scaled rows, clusters sorted by size, largest first, then by centre.

    Centres come from at most 200,000 rows drawn by the seed, sizes from all. One thread: sums in another order would be
    other bits.
    """
    drawn = rows
    if len(rows) > _FIT_ROWS:
        drawn = rows[np.sort(np.random.default_rng(seed).choice(len(rows), _FIT_ROWS, replace=False))]
    with threadpool_limits(limits=1):
        fitted: Any = KMeans(k, n_init=_STARTS, random_state=seed, algorithm="lloyd").fit(drawn)
        sizes = np.bincount(fitted.predict(rows), minlength=k)
    centres = np.asarray(fitted.cluster_centers_, dtype=np.float64)
    order = sorted(range(k), key=lambda c: (-int(sizes[c]), tuple(centres[c])))
    return Clusters(centres[order], sizes[order].astype(np.int64))


def matched(clusters: Clusters, previous: KMeansModel, location: F8, scale: F8) -> Clusters:
    """The clusters in the order of the previous model's nearest ones (Hungarian method), so that a number keeps its
    meaning.

    location, scale : of the new clusters; distances are taken in them. Clusters that match none come last, in their own
    order.
    """
    before = (np.array(previous.raw_centres()) - location) * scale
    cost = np.linalg.norm(before[:, None, :] - clusters.centres[None, :, :], axis=2)
    _, taken = linear_sum_assignment(cost)
    rest = [c for c in range(len(clusters.centres)) if c not in set(taken.tolist())]
    order = [*taken.tolist(), *rest]
    return Clusters(clusters.centres[order], clusters.sizes[order])


def assigned(rows: F8, model: KMeansModel) -> npt.NDArray[np.int64]:
    """The cluster number of each row, int64[rows]; rows in the inputs' own units, without NaN."""
    moved = scaled(rows, np.array(model.location), np.array(model.scale), model.clip)
    centres = np.array(model.centres)
    nearest = np.stack([np.square(moved - centre).sum(axis=1) for centre in centres]).argmin(axis=0)
    return np.asarray(nearest, dtype=np.int64)


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
