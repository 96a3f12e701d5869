"""Rows of the seven-class problem: one a bar, instrument after instrument, each with what came after it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NEVER = np.iinfo(np.int64).max
"""When the target of an instrument's newest bar is known."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Bars of a panel as learners take them: those of one instrument stand together, oldest first.

    names : of the inputs; instruments : in the order of their rows
    starts : int64[instruments + 1], where each one's rows begin, and their end
    at : int64[rows], UTC ns, when the inputs were known; known : int64[rows], when the target was, NEVER for the newest
    values : float64[rows, inputs], pure numbers that do not depend on the price's unit; NaN where not known
    scale : float64[rows], deviation of the instrument's daily returns as known at `at`; NaN until warm
    returns : float64[rows], log return from this bar's close to the next one's; NaN for the newest, and before a stop
        of trading of weeks
    """

    names: tuple[str, ...]
    instruments: tuple[str, ...]
    starts: I8
    at: I8
    known: I8
    values: F8
    scale: F8
    returns: F8

    def __len__(self) -> int:
        return len(self.at)

    def instrument(self) -> I8:
        """Place of each row's instrument, int64[rows]."""
        return np.repeat(np.arange(len(self.instruments)), np.diff(self.starts))

    def usable(self) -> Bools:
        """Rows warm enough to be learnt from and judged, bool[rows]; a row before may stand in a window."""
        return np.isfinite(self.scale)
