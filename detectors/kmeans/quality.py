"""How well a model tells manipulation apart, on rows with labels that training never saw."""

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from detectors.feeds import by_feed
from detectors.kmeans.batch import held, probabilities
from detectors.kmeans.budget import DAY_S, false_episodes, rule_for
from detectors.kmeans.model import KMeansModel
from detectors.kmeans.sample import Sample
from detectors.kmeans.training import score_rows

F8 = npt.NDArray[np.float64]


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
