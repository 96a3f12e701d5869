"""Rows to train and judge a K-means model on: inputs in columns, instrument by instrument, each in time order.

The classic pair: price and volume change of one minute in percent, from minute bars or from trades.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from detectors.kmeans.model import PAIR

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """Rows of several instruments.

    names : of the columns; values : float64[rows, names], NaN where not warm or not assessable
    steps : int64[rows], the sealed second (or minute) of each row; starts : int64[instruments + 1], where each
    instrument's rows begin
    step_s : seconds of one step; labels : int8[rows], 1 manipulated, 0 normal, -1 uncertain; None where nobody knows
    """

    names: tuple[str, ...]
    values: F8
    steps: I8
    starts: I8
    step_s: int = 1
    labels: npt.NDArray[np.int8] | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def normal(self) -> npt.NDArray[np.bool_]:
        """bool[rows]: rows that are not known to be manipulated or uncertain."""
        return np.ones(len(self), dtype=bool) if self.labels is None else self.labels == 0

    def masked(self, missing: Sequence[str]) -> "Sample":
        """The same rows as a feed without these inputs would give them."""
        values = self.values.copy()
        values[:, [self.names.index(name) for name in missing if name in self.names]] = np.nan
        return replace(self, values=values)

    def split(self, share: float) -> tuple["Sample", "Sample"]:
        """The rows before and after the moment at which a share of all steps has passed."""
        at = np.quantile(self.steps, 1.0 - share)
        return self.where(self.steps <= at), self.where(self.steps > at)

    def where(self, keep: npt.NDArray[np.bool_]) -> "Sample":
        """Only the rows that `keep`, bool[rows], names."""
        owner = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))[keep]
        starts = np.searchsorted(owner, np.arange(len(self.starts)), side="left").astype(np.int64)
        labels = None if self.labels is None else self.labels[keep]
        return replace(self, values=self.values[keep], steps=self.steps[keep], starts=starts, labels=labels)


def build(
    instruments: npt.NDArray[np.object_],
    steps: I8,
    names: Sequence[str],
    values: F8,
    step_s: int = 1,
    labels: npt.NDArray[np.int8] | None = None,
) -> Sample:
    """A sample from rows in any order; instruments : object[rows] of texts."""
    known, owner = np.unique(instruments.astype(str), return_inverse=True)
    order = np.lexsort((steps, owner))
    starts = np.searchsorted(owner[order], np.arange(len(known) + 1), side="left").astype(np.int64)
    return Sample(
        tuple(names),
        np.ascontiguousarray(values[order], dtype=np.float64),
        steps[order].astype(np.int64),
        starts,
        step_s,
        None if labels is None else labels[order].astype(np.int8),
    )


def concatenated(parts: Sequence[Sample]) -> Sample:
    """Samples of the same columns one behind the other; instruments of two parts are different ones."""
    first = parts[0]
    counts = np.cumsum([0, *(len(part) for part in parts)])
    starts = np.concatenate([[0], *(part.starts[1:] + count for part, count in zip(parts, counts, strict=False))])
    labels = [part.labels for part in parts if part.labels is not None]
    return Sample(
        first.names,
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.steps for part in parts]),
        starts.astype(np.int64),
        first.step_s,
        np.concatenate(labels) if len(labels) == len(parts) else None,
    )


MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class Bars:
    """Minute bars. instruments : object[rows] of texts; minutes : int64[rows], opening minute since the epoch; close,
    volume : float64[rows].
    """

    instruments: npt.NDArray[np.object_]
    minutes: I8
    close: F8
    volume: F8


@dataclass(frozen=True, slots=True)
class PairCounts:
    """What became of the bars.

    bars : in all; pairs : both changes known; first : an instrument's first bar, or the first after minutes that are
    not there
    null_volume : the minute before had no volume, so that its change is null
    """

    bars: int
    pairs: int
    first: int
    null_volume: int


def pairs(bars: Bars) -> tuple[Sample, PairCounts]:
    """The pair of every bar whose predecessor by one minute is there.

    A volume change against a minute without volume is null: the row is left out and counted. So are bars without a
    predecessor.
    """
    known, owner = np.unique(bars.instruments.astype(str), return_inverse=True)
    order = np.lexsort((bars.minutes, owner))
    owner, minutes, close, volume = owner[order], bars.minutes[order], bars.close[order], bars.volume[order]
    follows = np.zeros(len(order), dtype=bool)
    follows[1:] = (owner[1:] == owner[:-1]) & (minutes[1:] - minutes[:-1] == 1)
    before = np.roll(volume, 1)
    used = follows & (before > 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.column_stack([(close / np.roll(close, 1) - 1.0) * 100.0, (volume / before - 1.0) * 100.0])
    starts = np.searchsorted(owner[used], np.arange(len(known) + 1), side="left").astype(np.int64)
    sample = Sample(PAIR, np.ascontiguousarray(values[used]), minutes[used], starts, MINUTE_S)
    counts = PairCounts(len(order), int(used.sum()), int((~follows).sum()), int((follows & ~used).sum()))
    return sample, counts


def bars_of_trades(instruments: npt.NDArray[np.object_], ts: I8, price: F8, qty: F8) -> Bars:
    """Minute bars of trades in any order; minutes without a trade between an instrument's first and last are flat,
    without volume.

    instruments : object[rows]; ts : int64[rows], UTC ns; price, qty : float64[rows]
    """
    known, owner = np.unique(instruments.astype(str), return_inverse=True)
    order = np.lexsort((ts, owner))
    minute = ts // (MINUTE_S * 1_000_000_000)
    names, minutes, closes, volumes = [], [], [], []
    for code, rows in enumerate(np.split(order, np.searchsorted(owner[order], np.arange(1, len(known))))):
        first, last = int(minute[rows[0]]), int(minute[rows[-1]])
        at = minute[rows] - first
        volume = np.bincount(at, qty[rows], minlength=last - first + 1)
        newest = np.searchsorted(at, np.arange(last - first + 1), side="right") - 1
        names.append(np.full(len(volume), known[code], dtype=object))
        minutes.append(first + np.arange(len(volume), dtype=np.int64))
        closes.append(price[rows][newest])
        volumes.append(volume)
    return Bars(np.concatenate(names), np.concatenate(minutes), np.concatenate(closes), np.concatenate(volumes))
