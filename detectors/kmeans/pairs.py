"""The classic pair: price and volume change of one minute in percent, from minute bars or from trades."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.kmeans.model import PAIR
from detectors.kmeans.sample import Sample

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

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
