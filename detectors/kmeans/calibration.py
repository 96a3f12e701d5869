"""From a distance to a probability: by labels where there are some, else by the tail of normal distances."""

import numpy as np
import numpy.typing as npt

F8 = npt.NDArray[np.float64]
Knots = tuple[tuple[float, float], ...]

_BINS = 400
_TAIL_SHARE = 1.3
_CEILING = 0.999


def tail_knots(normal: F8) -> Knots:
    """Share of normal rows that lie nearer: the empirical distribution of `normal`, float64[rows], at few quantiles.

    What it means without labels: 0.999 is further out than 999 of 1,000 normal rows.
    """
    levels = np.concatenate(
        [np.arange(0.0, 0.9, 0.1), 1.0 - 10.0 ** -np.arange(1.0, np.log10(max(len(normal), 100)), 0.5)]
    )
    return increasing(np.quantile(normal, levels), levels)


def isotonic_knots(found: F8, manipulated: npt.NDArray[np.bool_], prior: float) -> Knots:
    """Probability that a row is manipulated given its distance: isotonic regression over bins of distance.

    found : float64[rows], distances; manipulated : bool[rows]; prior : share of manipulated rows to which the result is
    weighted
    """
    from sklearn.isotonic import IsotonicRegression  # only who fits pays for it

    share = float(manipulated.mean())
    weight = np.where(manipulated, prior / share, (1.0 - prior) / (1.0 - share))
    edges = np.unique(np.quantile(found, _levels(len(found))))
    bins = np.clip(np.searchsorted(edges, found, side="right") - 1, 0, len(edges) - 2)
    mass = np.bincount(bins, weight, minlength=len(edges) - 1)
    hits = np.bincount(bins, weight * manipulated, minlength=len(edges) - 1)
    middle = np.bincount(bins, weight * found, minlength=len(edges) - 1)
    used = mass > 0.0
    at, rate = middle[used] / mass[used], hits[used] / mass[used]
    fitted = IsotonicRegression(y_min=0.0, y_max=_CEILING).fit_transform(at, rate, sample_weight=mass[used])
    return increasing(*_ends_of_steps(at, np.asarray(fitted)))


def _levels(rows: int) -> F8:
    """Quantile levels, ever finer towards 1, with at least about 50 rows between two."""
    tail: list[float] = []
    rest = 0.5
    while rest * rows > 50 and len(tail) < _BINS:
        tail.append(1.0 - rest)
        rest /= _TAIL_SHARE
    return np.array([*np.linspace(0.0, 0.5, 6)[:-1], *tail, 1.0])


def _ends_of_steps(at: F8, fitted: F8) -> tuple[F8, F8]:
    """First and last point of every run of equal values: between them nothing changes."""
    ends = np.ones(len(at), dtype=bool)
    ends[1:-1] = (fitted[1:-1] != fitted[:-2]) | (fitted[1:-1] != fitted[2:])
    return at[ends], fitted[ends]


def increasing(at: F8, probability: F8) -> Knots:
    """Knots with six significant digits, strictly increasing in distance and never falling in probability."""
    kept: list[tuple[float, float]] = []
    for x, p in zip(at, np.maximum.accumulate(probability), strict=True):
        point = (short(float(x)), short(float(p)))
        if not kept or point[0] > kept[-1][0]:
            kept.append(point)
    return tuple(kept)


def short(value: float) -> float:
    """Six significant digits: a model file is small, and the last bits of a sum do not change its hash."""
    return float(f"{value:.6g}")
