"""Drift monitors: they say that scores or inputs no longer are what a model was made on. They warn, and move nothing.

Page-Hinkley rather than ADWIN: it is three numbers a stream, where ADWIN keeps buckets of varying number; the package
that ships a ready ADWIN (river) brings pandas with it.
"""

import numpy as np
import numpy.typing as npt

F8 = npt.NDArray[np.float64]

MODERATE, STRONG = 0.1, 0.25
"""Population stability index from which a shift is worth a look, and from which a model should be trained anew (the
customary limits of credit scoring, Siddiqi 2006)."""

_BINS = 10


def reference(values: F8, bins: int = _BINS) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Inner edges of bins of equal mass, and the share of rows in each: what a model's card keeps.

    values : float64[rows], NaN left out; ties may make fewer bins
    """
    known = values[~np.isnan(values)]
    edges = np.unique(np.quantile(known, np.linspace(0.0, 1.0, bins + 1)[1:-1]))
    return tuple(float(f"{edge:.6g}") for edge in edges), tuple((count(known, edges) / max(len(known), 1)).tolist())


def count(values: F8, edges: F8 | tuple[float, ...]) -> F8:
    """Rows in each bin, float64[edges + 1]; NaN left out. Counts of several seconds add up."""
    inner = np.asarray(edges, dtype=np.float64)
    place = np.searchsorted(inner, values[~np.isnan(values)], side="right")
    return np.bincount(place, minlength=len(inner) + 1).astype(np.float64)


def stability_index(counts: F8, shares: F8 | tuple[float, ...]) -> float:
    """Population stability index of counted rows against the reference's shares; NaN without rows.

    Sum of (share now - share then) ln(share now / share then); an empty bin counts as half a row, so that it is finite.
    """
    total = float(counts.sum())
    if total == 0.0:
        return float("nan")
    now, then = np.maximum(counts, 0.5) / total, np.maximum(np.asarray(shares, dtype=np.float64), 0.5 / total)
    return float(np.sum((now - then) * np.log(now / then)))


# Page-Hinkley's state: float64[PH_FIELDS] of one stream, zeros at birth.
_SEEN, _MEAN, _UP, _UP_LEAST, _DOWN, _DOWN_MOST = range(6)
PH_FIELDS = 6


def page_hinkley(state: F8, value: float, tolerance: float, limit: float, least: int = 30) -> bool:
    """One value of a stream: whether its mean has moved, up or down (Page 1954; Hinkley 1971).

    state : float64[PH_FIELDS], changed in place, and set back to zeros where it warns; NaN is no value
    tolerance : changes of the mean below it are no drift; limit : cumulated departure from which it warns
    """
    if np.isnan(value):
        return False
    state[_SEEN] += 1.0
    state[_MEAN] += (value - state[_MEAN]) / state[_SEEN]
    state[_UP] += value - state[_MEAN] - tolerance
    state[_UP_LEAST] = min(state[_UP_LEAST], state[_UP])
    state[_DOWN] += value - state[_MEAN] + tolerance
    state[_DOWN_MOST] = max(state[_DOWN_MOST], state[_DOWN])
    moved = max(state[_UP] - state[_UP_LEAST], state[_DOWN_MOST] - state[_DOWN]) > limit
    if not moved or state[_SEEN] < least:
        return False
    state[:] = 0.0
    return True
