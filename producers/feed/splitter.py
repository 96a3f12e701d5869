"""Which rows go to which partition: one look-up table per dictionary, then columns alone."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from tapewatch.contract.partitioner import partition_for
from tapewatch.contract.rows import EVERY_INSTRUMENT, Rows

Ints = npt.NDArray[np.int32]

_EVERYWHERE = -1
_KEPT = 64


class Splitter:
    """Splits rows over a topic's partitions by murmur2(instrument) % partitions; rows of `*` go to every partition."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        # By identity, which is cheap for large dictionaries; the sequence is kept, so that its id is not given again.
        self._tables: dict[int, tuple[Sequence[str], Ints]] = {}

    def split(self, rows: Rows) -> Iterator[tuple[int, Rows]]:
        """(partition, its rows in their order), by ascending partition, only those that get any."""
        if not len(rows):
            return
        if self.partitions == 1:
            yield 0, rows
            return
        where = self._table(rows.instruments)[rows.columns["instrument"]]
        if where.min() == _EVERYWHERE:
            yield from self._with_broadcast(rows, where)
            return
        first = int(where[0])
        if (where == first).all():
            yield first, rows
            return
        order = np.argsort(where, kind="stable")
        bounds = np.searchsorted(where[order], np.arange(self.partitions + 1))
        for partition in range(self.partitions):
            start, stop = int(bounds[partition]), int(bounds[partition + 1])
            if start < stop:
                yield partition, rows.take(order[start:stop])

    def _with_broadcast(self, rows: Rows, where: Ints) -> Iterator[tuple[int, Rows]]:
        for partition in range(self.partitions):
            yield partition, rows.take(np.flatnonzero((where == partition) | (where == _EVERYWHERE)))

    def _table(self, instruments: Sequence[str]) -> Ints:
        """int32[dictionary], the partition of each entry."""
        known = self._tables.get(id(instruments))
        if known is not None:
            return known[1]
        table = np.array(
            [_EVERYWHERE if name == EVERY_INSTRUMENT else partition_for(name, self.partitions) for name in instruments],
            dtype=np.int32,
        )
        if len(self._tables) >= _KEPT:
            self._tables.clear()
        self._tables[id(instruments)] = (instruments, table)
        return table
