"""From scores to probabilities and p-values that hold out of sample, and how well they do; the rate of false
discoveries held while they arrive.

All of it is pure: what is fitted comes back as short tuples that a model file keeps, what is remembered lies in arrays.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.kmeans.calibration import increasing, short

F8 = npt.NDArray[np.float64]
B1 = npt.NDArray[np.bool_]
Knots = tuple[tuple[float, float], ...]

BINS = 15
_LEVELS_A_DECADE = 12
_CEILING = 0.999


def isotonic(found: F8, positive: B1, weight: F8 | None = None) -> Knots:
    """Isotonic regression of the label on the score, as knots: linear between them, flat beyond.

    found : float64[rows], without NaN; positive : bool[rows]; weight : float64[rows], 1 by default
    Pool adjacent violators (Ayer et al. 1955; Zadrozny & Elkan 2002 for classifiers). Every pool is one knot at its
    weighted mean score and its share: steps at pool borders would make two equal alerts of unequal probability.
    """
    from sklearn.isotonic import IsotonicRegression  # only who fits pays for it

    used = np.ones(len(found)) if weight is None else weight
    order = np.argsort(found, kind="stable")
    at, mass, hits = found[order], used[order], positive[order] * used[order]
    fitted = np.asarray(
        IsotonicRegression(y_min=0.0, y_max=_CEILING, out_of_bounds="clip").fit_transform(
            at, positive[order].astype(np.float64), sample_weight=mass
        )
    )
    starts = np.concatenate([[0], np.flatnonzero(np.diff(fitted) != 0.0) + 1])
    weights = np.add.reduceat(mass, starts)
    centres = np.add.reduceat(at * mass, starts) / weights
    return increasing(centres, np.minimum(np.add.reduceat(hits, starts) / weights, _CEILING))


def probabilities(found: F8, knots: Knots) -> F8:
    """Calibrated probability of each score, float64[rows]; NaN for NaN."""
    at, chance = np.array(knots).reshape(-1, 2).T
    return np.where(np.isnan(found), np.nan, np.interp(found, at, chance))


def prior_weights(positive: B1, prior: float) -> F8:
    """Weights under which a share of `prior` of the rows is positive, float64[rows]; they sum to the rows' number."""
    share = float(positive.mean())
    return np.where(positive, prior / share, (1.0 - prior) / (1.0 - share))


@dataclass(frozen=True, slots=True)
class Reliability:
    """What a reliability diagram draws: of each bin with rows its mean probability, its share of positives, its weight.

    Expected calibration error is the weighted mean of their absolute difference (Naeini et al. 2015).
    """

    chance: tuple[float, ...]
    share: tuple[float, ...]
    weight: tuple[float, ...]

    @property
    def error(self) -> float:
        """Expected calibration error."""
        return float(sum(w * abs(c - s) for c, s, w in zip(self.chance, self.share, self.weight, strict=True)))


def reliability(
    chance: F8, positive: B1, weight: F8 | None = None, bins: int = BINS, equal_mass: bool = False
) -> Reliability:
    """Probabilities against what happened, in bins of equal width, or of equal numbers of rows.

    chance : float64[rows], without NaN; positive : bool[rows]; weight : float64[rows], 1 by default
    Equal width is the usual form; where positives are rare nearly all rows fall into its first bin, and equal mass
    tells more.
    """
    used = np.ones(len(chance)) if weight is None else weight
    if equal_mass:
        edges = np.unique(np.quantile(chance, np.linspace(0.0, 1.0, bins + 1)))
        place = np.clip(np.searchsorted(edges, chance, side="right") - 1, 0, max(len(edges) - 2, 0))
    else:
        place = np.minimum((chance * bins).astype(np.int64), bins - 1)
    mass = np.bincount(place, used, minlength=bins)
    there = mass > 0.0
    mean = np.bincount(place, used * chance, minlength=bins)[there] / mass[there]
    share = np.bincount(place, used * positive, minlength=bins)[there] / mass[there]
    return Reliability(*(tuple(float(x) for x in each) for each in (mean, share, mass[there] / mass.sum())))


def log_loss(chance: F8, positive: B1, weight: F8 | None = None) -> float:
    """Mean negative log likelihood; probabilities are held within 1e-6 of 0 and 1."""
    held = np.clip(chance, 1e-6, 1.0 - 1e-6)
    return float(np.average(-np.where(positive, np.log(held), np.log1p(-held)), weights=weight))


def conformal_levels(usual: F8) -> tuple[float, ...]:
    """Scores that usual rows reach less and less often, few enough for a model file: see `p_values`.

    usual : float64[rows], scores of calibration rows, without NaN
    Level m is reached by a share of 10^(-m/12) of the rows, down to a single one.
    """
    ordered = np.sort(usual)
    return tuple(float(ordered[len(ordered) - beyond]) for beyond in _beyond(len(ordered)))


def _beyond(rows: int) -> list[int]:
    """How many of the calibration rows reach each level."""
    counts = [int(rows * 10.0 ** (-m / _LEVELS_A_DECADE)) for m in range(12 * _LEVELS_A_DECADE)]
    return [count for count in counts if count >= 1]


def p_values(found: F8, levels: tuple[float, ...], rows: int) -> F8:
    """Split-conformal p-values, float64[rows]: (1 + usual rows at least as far out) / (1 + usual rows), rounded up to
    the level below; NaN for NaN.

    levels, rows : of `conformal_levels`, and how many scores it was given
    For exchangeable rows the chance of a p-value of at most u is at most u, whatever the detector (Vovk et al. 2005;
    Bates et al. 2023, Testing for outliers with conformal p-values). Rows of a market are not quite exchangeable:
    neighbouring seconds share their windows, and days differ.
    """
    reached = np.searchsorted(np.array(levels), found, side="right")
    shares = np.array([rows, *_beyond(rows)], dtype=np.float64)
    return np.where(np.isnan(found), np.nan, (1.0 + shares[reached]) / (1.0 + rows))


# LORD's state: float64[LORD_FIELDS] of one stream of tests, zeros at birth.
_STARTED, _WEALTH, _AT_DISCOVERY, _SINCE = range(4)
LORD_FIELDS = 4


def lord(state: F8, p: float, rate: float) -> bool:
    """One test of a stream: whether its p-value is a discovery, the false discovery rate held at `rate`.

    state : float64[LORD_FIELDS], changed in place
    LORD 3 (Javanmard & Montanari 2018, Online rules for control of false discovery rate and false discovery
    exceedance): the level is the wealth at the last discovery times gamma of the tests since. It needs no more state
    than this, where SAFFRON and ADDIS remember every discovery. It holds for independent p-values: test one row an
    episode (the peak of ten minutes, say), not overlapping windows. NaN is no test.
    """
    if np.isnan(p):
        return False
    if state[_STARTED] == 0.0:
        state[_STARTED], state[_WEALTH], state[_AT_DISCOVERY] = 1.0, rate / 2.0, rate / 2.0
    state[_SINCE] += 1.0
    level = _gamma(state[_SINCE]) * state[_AT_DISCOVERY]
    state[_WEALTH] -= level
    if p > level:
        return False
    state[_WEALTH] += rate / 2.0
    state[_AT_DISCOVERY], state[_SINCE] = state[_WEALTH], 0.0
    return True


def _gamma(number: float) -> float:
    """Share of the wealth that the number-th test after a discovery gets: 1 / (j log^2(j + 1)), which sums to 1."""
    return float(1.0 / (_GAMMA_SUM * number * np.log(number + 1.0) ** 2))


_J = np.arange(1.0, 200_001.0)
# The tail beyond 200,000 by its integral.
_GAMMA_SUM = float(np.sum(1.0 / (_J * np.log(_J + 1.0) ** 2)) + 1.0 / np.log(_J[-1]))


def rounded(values: F8) -> tuple[float, ...]:
    """Numbers as a model file keeps them: six significant digits."""
    return tuple(short(float(value)) for value in values)
