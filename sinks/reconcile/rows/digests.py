"""Rows in PostgreSQL's binary COPY format, counted and hashed by the record of the market log that caused them."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sinks.postgres.tables import Table
from tapewatch.kernels import kernel

Bytes = npt.NDArray[np.uint8]
Longs = npt.NDArray[np.int64]

ROWS, STRANGE = 0, 1


@kernel
def _number(data: Bytes, at: int, width: int) -> int:
    """A big-endian signed integer of 2, 4 or 8 bytes."""
    value = int(data[at])
    if value > 127:
        value -= 256
    for position in range(1, width):
        value = value * 256 + int(data[at + position])
    return value


@kernel
def _hash(data: Bytes, start: int, stop: int) -> np.uint64:
    """64 bits of a row: every byte counts, and its place."""
    state = np.uint64(stop - start)
    at = start
    while at < stop:
        word = np.uint64(0)
        last = min(at + 8, stop)
        for position in range(at, last):
            word = (word << np.uint64(8)) | np.uint64(data[position])
        state = (state ^ word) * np.uint64(0x9E3779B97F4A7C15)
        state = state ^ (state >> np.uint64(29))
        at = last
    return (state ^ (state >> np.uint64(32))) * np.uint64(0xBF58476D1CE4E5B9)


@kernel
def take_rows(
    data: Bytes, fields: Longs, places: Longs, starts: Longs, counts: Longs, sums: npt.NDArray[np.uint64], told: Longs
) -> int:
    """Count and hash whole rows; returns the bytes that were used.

    fields : int64[2], which fields hold the number of the log and the offset in it
    places : int64[logs], place of each log among the counted ones, -1 for others
    starts : int64[counted + 1], where a log's offsets begin in `counts` (rows) and `sums` (of hashes, modulo 2^64)
    told : int64[2], rows counted, and rows of an offset behind the log's end
    """
    at = 0
    while at + 2 <= data.size:
        columns = _number(data, at, 2)
        if columns < 0:
            return data.size
        position, log, offset, whole = at + 2, -1, -1, True
        for column in range(columns):
            if position + 4 > data.size:
                whole = False
                break
            length = _number(data, position, 4)
            position += 4
            if length > 0 and position + length > data.size:
                whole = False
                break
            if column == fields[0] and length == 4:
                log = _number(data, position, 4)
            elif column == fields[1] and length == 8:
                offset = _number(data, position, 8)
            position += max(length, 0)
        if not whole:
            return at
        if 0 <= log < places.size and places[log] >= 0:
            place = places[log]
            cell = starts[place] + offset
            if offset >= 0 and cell < starts[place + 1]:
                counts[cell] += 1
                sums[cell] += _hash(data, at, position)
                told[0] += 1
            else:
                told[1] += 1
        at = position
    return at


@dataclass(slots=True)
class TableDigest:
    """What one side holds of a table, by log and offset; 16 bytes an offset."""

    table: Table
    places: Longs
    starts: Longs
    counts: Longs = field(init=False)
    sums: npt.NDArray[np.uint64] = field(init=False)
    told: Longs = field(default_factory=lambda: np.zeros(2, dtype=np.int64))
    _rest: bytes = b""

    def __post_init__(self) -> None:
        self.counts = np.zeros(int(self.starts[-1]), dtype=np.int64)
        self.sums = np.zeros(int(self.starts[-1]), dtype=np.uint64)

    def add(self, data: bytes) -> None:
        """Take up rows; the last one may be cut, the next call brings its rest."""
        whole = self._rest + data if self._rest else data
        names = self.table.columns
        fields = np.array([names.index("log_id"), names.index("log_offset")], dtype=np.int64)
        used = take_rows(
            np.frombuffer(whole, dtype=np.uint8), fields, self.places, self.starts, self.counts, self.sums, self.told
        )
        self._rest = whole[used:]
