"""Walk-forward: each stretch of time is judged by what was fitted to the time before it, and by nothing else."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

I8 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Fold:
    """Which rows serve what, bool[rows] each; no row serves two.

    fit : learnt from; calibrate : newer, for early stopping, calibration and choices; test : newer still, judged
    """

    fit: Bools
    calibrate: Bools
    test: Bools


def folds(at: I8, known: I8, boundaries: I8, calibrated: float = 0.15) -> Iterator[Fold]:
    """A fold for each stretch between two boundaries that has rows before it and in it.

    at : int64[rows], when a row's inputs were known, any order, any number of instruments
    known : int64[rows], when its target was known, after `at`
    boundaries : int64[stretches + 1], increasing, in the same unit
    calibrated : newest share of the time before a stretch that is kept from fitting

    A row is learnt from only where its target was known when the stretch began (purged), and fitted to only where it
    was known when the calibrating stretch began: targets never reach over into what comes after.
    """
    for begin, end in pairwise(boundaries):
        fold = Fold(*before(at, known, int(begin), calibrated), (at >= begin) & (at < end))
        if fold.fit.any() and fold.calibrate.any() and fold.test.any():
            yield fold


def before(at: I8, known: I8, begin: int, calibrated: float = 0.15) -> tuple[Bools, Bools]:
    """Rows to fit and rows to calibrate to for what begins at a time, bool[rows] each; all as `folds` says."""
    older = known < begin
    if not older.any():
        return older, older
    times = np.unique(at[older])
    middle = times[int(len(times) * (1.0 - calibrated))]
    return known < middle, older & (at >= middle)


def years(at: I8, first: int) -> I8:
    """Boundaries at the begin of each calendar year (UTC) from `first` to the one after the newest row, ns."""
    last = int(str(np.datetime64(int(at.max()), "ns").astype("datetime64[Y]")))
    # Before the oldest row nothing is judged, and years far off are beyond nanoseconds.
    first = max(first, int(str(np.datetime64(int(at.min()), "ns").astype("datetime64[Y]"))))
    named = [np.datetime64(str(year), "Y") for year in range(first, last + 2)]
    found: I8 = np.array(named, dtype="datetime64[ns]").astype(np.int64)
    return found
