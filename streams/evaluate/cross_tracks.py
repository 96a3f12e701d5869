"""Returns and volumes of single instruments by second, out of a stored history, whatever partitions they lie in."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streams.evaluate import history_features
from streams.evaluate.history import History, Partition, Span
from streams.evaluate.replayed import silent
from tapewatch.clock import NANOS
from tapewatch.errors import TapewatchError

COLUMNS = ("ret_1s", "volume_1s", "signed_volume_1s")

Parts = dict[str, list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]]]


@dataclass(frozen=True, slots=True)
class Track:
    """One instrument. seconds : int64[n], of the epoch, increasing; rows : float64[n, 3], COLUMNS"""

    seconds: npt.NDArray[np.int64]
    rows: npt.NDArray[np.float64]


def read(
    history: History, span: Span, wanted: Collection[str], say: Callable[[int, int], None] = silent
) -> tuple[dict[str, Track], int]:
    """The tracks of the wanted instruments, and how many rows were read.

    An instrument of several feeds is taken from the first that has it. TapewatchError where one has no sealed second.
    """
    found: Parts = {}
    count = 0
    for partition in history.partitions(span):
        mine, rows = _read(partition, span, wanted, say, count)
        count += rows
        for name, parts in mine.items():
            found.setdefault(name, parts)
    missing = sorted(set(wanted) - set(found))
    if missing:
        raise TapewatchError(
            f"the history has no second of {', '.join(missing)}", "Name instruments that trade in it, as in `coverage`."
        )
    return {
        name: Track(*(np.concatenate([part[place] for part in parts]) for place in (0, 1)))
        for name, parts in found.items()
    }, count


def _read(
    partition: Partition, span: Span, wanted: Collection[str], say: Callable[[int, int], None], before: int
) -> tuple[Parts, int]:
    """One partition."""
    found: Parts = {}
    count = [0]

    def counted(rows: int, clock_ns: int) -> None:
        count[0] = rows
        say(before + rows, clock_ns)

    for columns in history_features.tables(partition, span, counted):
        for name in wanted:
            mine = columns["instrument"] == name
            if mine.any():
                rows = np.stack([columns[column][mine].astype(np.float64) for column in COLUMNS], axis=1)
                # A row is stamped with the end of its second.
                found.setdefault(name, []).append((columns["ts"][mine] // NANOS - 1, rows))
    return found, count[0]
