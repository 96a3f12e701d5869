"""Outside series as they were known: institutions' flows, margin, foreign indices, futures, currencies, sentiment.

Classes by rank: where today's value stands among the last five, and how often the last five days rose.
"""

from bisect import insort
from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from detectors.forecast.series import Reading
from tapewatch.contract.messages import Factor
from tapewatch.rfc3339 import from_rfc3339

F8 = npt.NDArray[np.float64]

DAYS = 5
OF = ("close", "high", "low")
NAMES = tuple(f"{column}_{kind}_{DAYS}" for column in OF for kind in ("rank", "increase"))
"""Ranks of a bar's own columns; those of an outside series are named after it."""


def rank(values: F8) -> F8:
    """Rank of each value among the last five, itself included: 1 for the highest, ties share the better rank.

    values : float64[rows]; float64[rows] comes back, 1 to 5, NaN in the first four rows and where one of the five is
    """
    found = np.full(len(values), np.nan)
    if len(values) >= DAYS:
        five = np.lib.stride_tricks.sliding_window_view(values, DAYS)
        higher = np.count_nonzero(five > five[:, -1:], axis=1)
        found[DAYS - 1 :] = np.where(np.isnan(five).any(axis=1), np.nan, 1.0 + higher)
    return found


def increase(values: F8) -> F8:
    """6 minus the number of strict rises among the last five changes: 1 where all rose, 6 where none did.

    values : float64[rows]; float64[rows] comes back, NaN in the first five rows and where one of the six values is
    """
    found = np.full(len(values), np.nan)
    if len(values) > DAYS:
        six = np.lib.stride_tricks.sliding_window_view(values, DAYS + 1)
        rises = np.count_nonzero(six[:, 1:] > six[:, :-1], axis=1)
        found[DAYS:] = np.where(np.isnan(six).any(axis=1), np.nan, DAYS + 1.0 - rises)
    return found


I8 = npt.NDArray[np.int64]

MARKET = "market"
"""Stands for the instrument in the name of a series that has none."""
KINDS = ("", "_change", f"_rank_{DAYS}", f"_increase_{DAYS}")
"""A series gives its value, its change by one period, and the ranks of its last periods."""


def names(series: Iterable[str]) -> tuple[str, ...]:
    """Columns of some series."""
    return tuple(f"{one}{kind}" for one in series for kind in KINDS)


def known(readings: Sequence[Reading], series: str, instrument: str, at: I8) -> F8:
    """What was known of a series, float64[rows, 4] in the order of KINDS.

    instrument : readings of this one, or of the whole market; at : int64[rows], UTC nanoseconds, increasing
    A reading counts from the moment it was published; the newest period counts, in its newest revision published by
    then, and the periods before it likewise as they were known then. NaN where nothing, or too little, was known.
    """
    mine = [one for one in readings if one.series == series and one.instrument in ("", instrument)]
    mine.sort(key=lambda one: (one.published, one.period, one.revision, one.value))
    states = np.full((len(mine) + 1, len(KINDS)), np.nan)
    for row, state in enumerate(_states(mine), 1):
        states[row] = state
    published = np.array([one.published for one in mine], dtype=np.int64)
    found: F8 = states[np.searchsorted(published, at, side="right")]
    return found


def _states(readings: Sequence[Reading]) -> Iterator[tuple[float, float, float, float]]:
    """What is known after each reading, readings in the order they were published."""
    values: dict[str, tuple[int, float]] = {}
    periods: list[str] = []
    for one in readings:
        if one.period not in values:
            insort(periods, one.period)
        if one.period not in values or one.revision >= values[one.period][0]:
            values[one.period] = (one.revision, one.value)
        last = np.array([values[period][1] for period in periods[-DAYS - 1 :]])
        change = float(last[-1] - last[-2]) if len(last) > 1 else np.nan
        yield float(last[-1]), change, float(rank(last)[-1]), float(increase(last)[-1])


def named(series: str, instrument: str, instruments: Collection[str]) -> tuple[str, str]:
    """Name and owner of a series in a panel of these instruments.

    A factor of one of them is its own; any other's, such as a foreign index's or a currency's close, is the whole
    market's (owner empty), as the series `instrument:series`, and that of no instrument `market:series`: a market's
    margin balance is another number than an instrument's, though their source names them alike.
    """
    return (series, instrument) if instrument in instruments else (f"{instrument or MARKET}:{series}", "")


def reading(factor: Factor, instruments: Collection[str]) -> Reading:
    """A message of the topic `factors` as a reading, named for a panel of these instruments."""
    series, instrument = named(factor.series, factor.instrument, instruments)
    return Reading(series, instrument, factor.period, from_rfc3339(factor.published_at), factor.value, factor.revision)
