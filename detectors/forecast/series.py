"""What forecasts are made from: bars of one instrument, readings of slow series, and a panel of both."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Series:
    """Bars of one instrument, daily or by the minute, oldest first.

    instrument : id, or the file's name where there is none
    at : int64[rows], UTC nanoseconds, increasing; when the bar was complete, and so the first time it may be used
    open, high, low, close : float64[rows], price, positive; volume : float64[rows], not negative
    NaN where a source does not tell (a file of closes alone): what needs it is NaN too. close is never NaN.
    """

    instrument: str
    at: I8
    open: F8
    high: F8
    low: F8
    close: F8
    volume: F8

    def __len__(self) -> int:
        return len(self.at)

    def __getitem__(self, rows: slice) -> "Series":
        return Series(self.instrument, *(getattr(self, name)[rows] for name in self.__slots__[1:]))

    def until(self, at: int) -> "Series":
        """The bars that were complete at a time, int UTC nanoseconds."""
        return self[: int(np.searchsorted(self.at, at, side="right"))]


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of a slow series, such as institutions' net buying or a foreign index.

    series : name; instrument : id, empty for a series of the whole market; period : what it is of, sorts as text
    published : UTC nanoseconds, nothing uses it earlier; revision : one higher for each correction of a period
    """

    series: str
    instrument: str
    period: str
    published: int
    value: float
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Panel:
    """Everything known of some instruments. series : by instrument; readings : in any order"""

    series: Mapping[str, Series]
    readings: tuple[Reading, ...] = field(default=())

    def until(self, at: int) -> "Panel":
        """What was known at a time: bars complete and readings published by then; instruments without any are left out.

        at : UTC nanoseconds
        """
        cut = {name: series.until(at) for name, series in self.series.items()}
        return Panel(
            {name: series for name, series in cut.items() if len(series)},
            tuple(each for each in self.readings if each.published <= at),
        )


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a model says of one instrument.

    instrument : id; as_of : UTC nanoseconds, nothing later was used; horizon : a count and a unit, such as 1d or 60s
    target : close, return or direction; reference : last known close; value : point forecast, None for classes
    classes : calibrated probability by class name, empty for a point forecast
    """

    instrument: str
    as_of: int
    horizon: str
    target: str
    reference: float
    value: float | None = None
    classes: Mapping[str, float] = field(default_factory=dict)


def hash_of(panel: Panel) -> str:
    """First 16 hex digits of the sha256 over everything in a panel."""
    sha = hashlib.sha256()
    for name in sorted(panel.series):
        sha.update(name.encode() + b"\0")
        series = panel.series[name]
        for column in Series.__slots__[1:]:
            sha.update(np.ascontiguousarray(getattr(series, column)).tobytes())
    for one in sorted(msgspec.json.encode(each) for each in panel.readings):
        sha.update(one)
    return sha.hexdigest()[:16]
