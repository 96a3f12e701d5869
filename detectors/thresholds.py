"""What turns a raw score into decisions: knots of a probability, an alert limit, p-values, a drift reference."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from detectors import calibration, drift, feeds
from detectors.autoencoder.model import Card
from detectors.calibration import Knots
from detectors.kmeans.budget import budgets_by_feed, said
from detectors.kmeans.calibration import short, tail_knots
from detectors.kmeans.sample import Sample

F8 = npt.NDArray[np.float64]
Score = Callable[[Sample], F8]
M = TypeVar("M", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """As the fields of the same names in a model file; `calibration` and `budget` say in words how they were found."""

    knots: Knots
    alert: float
    alerts: feeds.Limits
    conformal: tuple[float, ...]
    conformal_rows: int
    drift_edges: tuple[float, ...]
    drift_shares: tuple[float, ...]
    calibration: str
    budget: str


def finished(bare: M, found: Thresholds, card: Card) -> M:
    """The model with its thresholds and card. bare : with fields of these names (a fusion, a forest, a description)"""
    by_feed = {} if isinstance(found.alerts, msgspec.UnsetType) else {"alerts": found.alerts}
    return msgspec.structs.replace(
        bare,
        **by_feed,
        knots=found.knots,
        alert=found.alert,
        conformal=found.conformal,
        conformal_rows=found.conformal_rows,
        drift_edges=found.drift_edges,
        drift_shares=found.drift_shares,
        card=card,
    )


def thresholds(
    score: Score,
    held_out: Sample,
    labelled: Sample | None,
    prior: float,
    per_day: float,
    tiers: Mapping[str, Sequence[str]],
) -> Thresholds:
    """Calibrate a detector on rows that it was not fitted to.

    score : float64[rows] of a sample, larger is stranger, NaN where not assessable
    held_out : usual rows, for the alert limit, p-values and drift; labelled : rows with labels for the probability,
    weighted to a share of `prior` manipulated rows; without them the probability is the share of usual rows within
    per_day : false alerts an instrument and day; tiers : inputs that each kind of feed lacks
    ValueError where there are too few rows.
    """
    usual = score(held_out)[held_out.normal]
    usual = usual[~np.isnan(usual)]
    budgets = budgets_by_feed(score, held_out, per_day, tiers)
    limits = {name: short(budget.distance) for name, budget in budgets.items()}
    if labelled is None or labelled.labels is None:
        knots, how = tail_knots(usual), "share of held-out rows that are less strange (no labels were used)"
    else:
        found = score(labelled)
        known = ~np.isnan(found) & (labelled.labels >= 0)
        positive = labelled.labels[known] == 1
        knots = calibration.isotonic(found[known], positive, calibration.prior_weights(positive, prior))
        how = f"isotonic regression on labelled rows, at {100.0 * prior:.2g} % manipulated rows"
    edges, shares = drift.reference(usual)
    return Thresholds(
        knots,
        max(limits.values()),
        feeds.ordered(list(limits.items())),
        calibration.rounded(np.array(calibration.conformal_levels(usual))),
        len(usual),
        edges,
        tuple(short(share) for share in shares),
        how,
        f"{per_day:g} a day and instrument, {said(budgets)}",
    )
