"""Training both K-means models: scale, cluster, say which clusters are normal, calibrate, spend the alert budget.

How well a model tells manipulation apart, on rows with labels that training never saw.
"""

from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from detectors import feeds
from detectors.feeds import by_feed
from detectors.kmeans import calibration
from detectors.kmeans.batch import distances, held, probabilities
from detectors.kmeans.budget import DAY_S, budgets_by_feed, false_episodes, rule_for, said
from detectors.kmeans.calibration import Knots, short
from detectors.kmeans.fitting import Clusters, Scaling, cluster, matched, scaled, scaling_of
from detectors.kmeans.model import PAIR, Card, KMeansModel
from detectors.kmeans.sample import Sample

F8 = npt.NDArray[np.float64]

INPUTS = (
    "ret_5s",
    "ret_30s",
    "price_change_1m_pct",
    "rv_60s",
    "volume_z",
    "trades_z",
    "imbalance_z",
    "imbalance_60s",
    "volume_change_1m_pct",
    "spread_ratio",
    "microprice_dev_bps",
    "depth_imb_1",
    "depth_imb_5",
    "depth_imb_10",
    "quote_rate_1s",
)
"""Inputs of the many-feature model: price, trading, and the book, most of them relative to the instrument's own past.
"""

TIERS: dict[str, tuple[str, ...]] = {
    "trades, quotes and books": (),
    "trades and quotes": ("depth_imb_5", "depth_imb_10"),
    "trades only": (
        "spread_ratio",
        "microprice_dev_bps",
        "depth_imb_1",
        "depth_imb_5",
        "depth_imb_10",
        "quote_rate_1s",
    ),
    "quotes and books": ("volume_z", "trades_z", "imbalance_z", "imbalance_60s", "volume_change_1m_pct"),
}
"""Kinds of feed (detectors.feeds), and the inputs each lacks: each has an alert distance that keeps the budget."""

MANY_CLUSTERS, CLASSIC_CLUSTERS = 8, 3
_CLIP = {"kmeans": 10.0, "kmeans_classic": 1e9}
_SMALL = 0.01
"""Clusters of the many-feature model with a smaller share of the rows are not normal trading."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    detector : kmeans or kmeans_classic; inputs : the classic pair for the latter; k : clusters
    scaling : raw, standard or robust; seed : of everything drawn; per_day : false alerts an instrument and day may
    raise
    """

    detector: str
    inputs: tuple[str, ...]
    k: int
    scaling: Scaling = "robust"
    seed: int = 0
    per_day: float = 1.0


def train(
    recipe: Recipe,
    rows: Sample,
    held_out: Sample,
    labelled: Sample | None = None,
    prior: float = 0.0,
    previous: KMeansModel | None = None,
    card: Card | None = None,
) -> KMeansModel:
    """Fit a model to `rows` and calibrate it on rows that it has not seen.

    rows : label-free, or with labels that are used to leave nothing in that is known to be manipulated
    held_out : for the alert distance and, without labels, the probability
    labelled, prior : rows with labels for the probability, weighted to that share of manipulated seconds
    previous : a model whose cluster numbers are kept
    ValueError where there are fewer usable rows than clusters.
    """
    columns = [rows.names.index(name) for name in recipe.inputs]
    values = rows.values[rows.normal][:, columns]
    values = values[_usable(values, recipe.detector)]
    if len(values) < 10 * recipe.k:
        raise ValueError(f"{len(values)} usable rows are too few for {recipe.k} clusters")
    location, scale = scaling_of(values, recipe.scaling)
    clip = _CLIP[recipe.detector]
    clusters = cluster(scaled(values, location, scale, clip), recipe.k, recipe.seed)
    if previous is not None and previous.inputs == recipe.inputs:
        clusters = matched(clusters, previous, location, scale)
    fitted = _model(recipe, clusters, location, scale, clip)
    knots = _knots(fitted, held_out, labelled, prior)
    tiers = TIERS if recipe.detector == "kmeans" else {"bars": ()}
    budgets = budgets_by_feed(lambda given: score_rows(fitted, given), held_out, recipe.per_day, tiers)
    described = msgspec.structs.replace(
        card or Card(),
        rows=len(values),
        seed=recipe.seed,
        scaling=recipe.scaling,
        calibration=_CALIBRATION[labelled is not None].format(prior=100.0 * prior),
        budget=f"{recipe.per_day:g} a day and instrument, {said(budgets)}",
    )
    limits = {name: short(each.distance) for name, each in budgets.items()}
    return msgspec.structs.replace(
        fitted, knots=knots, alert=max(limits.values()), alerts=feeds.ordered(list(limits.items())), card=described
    )


_CALIBRATION = {
    True: (
        "probability that the row belongs to a manipulation: isotonic regression on labelled rows, "
        "at {prior:.2g} % manipulated rows"
    ),
    False: "share of held-out rows that lie nearer (empirical distribution; no labels were used)",
}


def _usable(values: F8, detector: str) -> npt.NDArray[np.bool_]:
    """bool[rows]: enough inputs are there (both of a pair, half of many)."""
    missing = np.isnan(values).sum(axis=1)
    return np.asarray(missing == 0 if detector == "kmeans_classic" else 2 * missing <= values.shape[1])


def _model(recipe: Recipe, clusters: Clusters, location: F8, scale: F8, clip: float) -> KMeansModel:
    """The model before it is calibrated."""
    sizes = clusters.sizes
    normal = sizes == sizes.max() if recipe.detector == "kmeans_classic" else sizes >= _SMALL * sizes.sum()
    return KMeansModel(
        detector=recipe.detector,
        inputs=recipe.inputs,
        location=tuple(short(float(x)) for x in location),
        scale=tuple(short(float(x)) for x in scale),
        clip=clip,
        centres=tuple(tuple(short(float(x)) for x in centre) for centre in clusters.centres),
        sizes=tuple(int(size) for size in sizes),
        normal=tuple(bool(is_normal) for is_normal in normal),
        knots=(),
        alert=float("inf"),
    )


def score_rows(model: KMeansModel, rows: Sample) -> F8:
    """Distance of every row, float64[rows]; NaN where inputs are missing. For many features, until half of them are
    there.
    """
    found = distances(rows.values, model.centres_for(rows.names))
    if model.detector == "kmeans_classic":
        columns = [rows.names.index(name) for name in PAIR]
        found[np.isnan(rows.values[:, columns]).any(axis=1)] = np.nan
    return found


def _knots(model: KMeansModel, held_out: Sample, labelled: Sample | None, prior: float) -> Knots:
    if labelled is None or labelled.labels is None:
        found = score_rows(model, held_out)[held_out.normal]
        return calibration.tail_knots(found[~np.isnan(found)])
    found = score_rows(model, labelled)
    known = ~np.isnan(found) & (labelled.labels >= 0)
    return calibration.isotonic_knots(found[known], labelled.labels[known] == 1, prior)


def measure(
    model: KMeansModel, rows: Sample, scenarios: npt.NDArray[np.object_], manipulations: tuple[str, ...], prior: float
) -> dict[str, float]:
    """Figures for a card.

    rows : with labels; scenarios : object[rows], what goes on at each row, look-alikes included, empty for nothing
    Out: `auroc` of the distance over all manipulated and normal rows and for each scenario alone; `alerted_<scenario>`,
    share of its events in which the alert distance is held; `false_alerts_per_day` of watched instrument time;
    `calibration_error`, mean absolute difference of probability and share (10 bins by distance, weighted to `prior`
    manipulated rows).
    """
    labels = rows.labels if rows.labels is not None else np.zeros(len(rows), dtype=np.int8)
    found = score_rows(model, rows)
    there = ~np.isnan(found)
    normal, bad = there & (labels == 0), there & (labels == 1)
    figures = {"auroc": _auroc(found, normal, bad)}
    for scenario in manipulations:
        figures[f"auroc_{scenario}"] = _auroc(found, normal, bad & (scenarios == scenario))
    limit = by_feed(model.alerts, model.alert)[0]
    level = held(found, rows.steps, rows.starts, int(rule_for(rows.step_s).hold_s))
    for scenario in sorted(set(scenarios.tolist()) - {""}):
        events = _events(scenarios == scenario, rows)
        figures[f"alerted_{scenario}"] = float(
            np.mean([np.nanmax(level[event], initial=0.0) >= limit for event in events])
        )
        figures[f"events_{scenario}"] = float(len(events))
    days = float(normal.sum()) * rows.step_s / DAY_S
    figures["false_alerts_per_day"] = false_episodes(rows, found, limit) / days
    figures["calibration_error"] = _calibration_error(model, found[normal | bad], bad[normal | bad], prior)
    return {name: round(value, 4) for name, value in figures.items() if not np.isnan(value)}


def _auroc(found: F8, normal: npt.NDArray[np.bool_], bad: npt.NDArray[np.bool_]) -> float:
    if not normal.any() or not bad.any():
        return float("nan")
    return float(roc_auc_score(bad[normal | bad], found[normal | bad]))


def _events(on: npt.NDArray[np.bool_], rows: Sample) -> list[npt.NDArray[np.int64]]:
    """Row numbers of every run of consecutive rows of one instrument."""
    at = np.flatnonzero(on)
    owner = np.repeat(np.arange(len(rows.starts) - 1), np.diff(rows.starts))
    breaks = np.flatnonzero((np.diff(at) != 1) | (np.diff(owner[at]) != 0)) + 1
    return list(np.split(at, breaks))


def _calibration_error(model: KMeansModel, found: F8, bad: npt.NDArray[np.bool_], prior: float) -> float:
    share = float(bad.mean())
    if not 0.0 < share < 1.0:
        return float("nan")
    weight = np.where(bad, prior / share, (1.0 - prior) / (1.0 - share))
    knots = np.ascontiguousarray(np.array(model.knots).reshape(-1, 2).T)
    chance = probabilities(found, knots)
    edges = np.quantile(found, np.linspace(0.0, 1.0, 11))
    bins = np.clip(np.searchsorted(edges, found, side="right") - 1, 0, 9)
    difference = np.bincount(bins, weight * (chance - bad), minlength=10)
    return float(np.abs(difference).sum() / weight.sum())
