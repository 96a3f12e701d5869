"""The rows of chosen records of the market log, cut out of a stream in PostgreSQL's binary COPY format."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sinks.postgres.tables import Table
from sinks.reconcile.rows.digests import Bytes, Longs, _number
from tapewatch.kernels import kernel


@kernel
def pick_rows(
    data: Bytes, fields: Longs, places: Longs, starts: Longs, wanted: npt.NDArray[np.bool_], out: Bytes
) -> int:
    """Copy whole rows of wanted records; returns the bytes copied.

    fields : int64[2], which fields hold the number of the log and the offset in it
    places : int64[logs], place of each log, -1 for others; starts : int64[places + 1], where its offsets begin
    wanted : bool[starts[-1]]; out : uint8[data.size]
    """
    at, used = 0, 0
    while at + 2 <= data.size:
        columns = _number(data, at, 2)
        position, log, offset = at + 2, -1, -1
        for column in range(columns):
            length = _number(data, position, 4)
            position += 4
            if column == fields[0]:
                log = _number(data, position, length)
            elif column == fields[1]:
                offset = _number(data, position, length)
            position += max(length, 0)
        if 0 <= log < places.size and places[log] >= 0:
            place = places[log]
            cell = starts[place] + offset
            if cell < starts[place + 1] and wanted[cell]:
                for byte in range(at, position):
                    out[used] = data[byte]
                    used += 1
        at = position
    return used


@dataclass(slots=True)
class PickedRows:
    """Rows of one table of the records whose cell is wanted. wanted : bool[starts[-1]]"""

    table: Table
    places: Longs
    starts: Longs
    wanted: npt.NDArray[np.bool_]
    parts: list[bytes] = field(default_factory=list)
    days: set[tuple[str, int]] = field(default_factory=set)

    def add(self, data: bytes, days: tuple[int, ...]) -> None:
        """Take up what is wanted of packed rows. days : that they touch"""
        names = self.table.columns
        fields = np.array([names.index("log_id"), names.index("log_offset")], dtype=np.int64)
        out = np.empty(len(data), dtype=np.uint8)
        rows = np.frombuffer(data, dtype=np.uint8)
        used = pick_rows(rows, fields, self.places, self.starts, self.wanted, out)
        if used:
            self.parts.append(out[:used].tobytes())
            self.days.update((self.table.name, day) for day in days)
