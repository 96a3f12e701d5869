"""Rows in PostgreSQL's binary COPY format, made column by column: a structured big-endian array, texts by a kernel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sinks.postgres.tables import DAY, Table
from tapewatch.errors import ContractError
from tapewatch.kernels import kernel

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
MAX_DAYS = 1000
"""Days that one frame may touch: each is a partition to lock."""

Bytes = npt.NDArray[np.uint8]
Longs = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PackedRows:
    """Rows ready for COPY, without header and trailer. days : days since 1970 that they touch."""

    table: Table
    rows: int
    data: bytes
    days: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StringColumn:
    """A column of texts.

    lengths : int64[rows], bytes, -1 for NULL; starts : int64[rows] into data; data : UTF-8 without NUL
    """

    lengths: Longs
    starts: Longs
    data: Bytes

    def take(self, index: Any) -> "StringColumn":
        """The texts at `index`."""
        return StringColumn(self.lengths[index], self.starts[index], self.data)


def absent(rows: int, length: int = -1) -> StringColumn:
    """A column of NULL (length -1) or empty texts (length 0)."""
    return StringColumn(
        np.full(rows, length, dtype=np.int64), np.zeros(rows, dtype=np.int64), np.zeros(0, dtype=np.uint8)
    )


def texts_of(array: pa.Array) -> StringColumn:
    """An Arrow string array's texts. PostgreSQL knows no NUL character: it becomes `?`."""
    rows = len(array)
    _, offsets_buffer, data_buffer = array.buffers()
    # A writer may end a buffer anywhere behind what is needed of it.
    offsets = np.frombuffer(offsets_buffer, dtype=np.int32, count=array.offset + rows + 1)[array.offset :].astype(
        np.int64
    )
    data = np.frombuffer(data_buffer, dtype=np.uint8) if data_buffer is not None else np.zeros(0, dtype=np.uint8)
    if not data.all():
        data = np.where(data == 0, np.uint8(ord("?")), data)
    lengths = np.diff(offsets)
    if array.null_count:
        lengths[array.is_null().to_numpy(zero_copy_only=False)] = -1
    return StringColumn(lengths, offsets[:-1], data)


def pack(table: Table, columns: Mapping[str, Any], texts: Sequence[StringColumn] = ()) -> PackedRows:
    """Rows of `table` from its columns and its texts, both under the table's names and in its order.

    columns : arrays of one length, or a number that all rows have
    ContractError("too_many_days") where they touch more than MAX_DAYS days.
    """
    times = columns[table.time]
    rows = len(times)
    array = np.empty(rows, dtype=table.dtype)
    array.view(np.uint8).reshape(rows, table.dtype.itemsize)[:] = table.template
    for name, _ in table.fixed:
        array[name] = columns[name]
    days = _days(times)
    if len(days) > MAX_DAYS:
        raise ContractError("too_many_days", f"a frame may touch {MAX_DAYS} days, not {len(days)}")
    if not table.texts:
        return PackedRows(table, rows, array.tobytes(), days)
    return PackedRows(table, rows, _with_texts(array, texts), days)


def _days(times: Longs) -> tuple[int, ...]:
    """Days since 1970 that the times lie in."""
    first, last = int(times.min()) // DAY, int(times.max()) // DAY
    return (first,) if first == last else tuple(int(day) for day in np.unique(times // DAY))


def _with_texts(array: np.ndarray[Any, Any], texts: Sequence[StringColumn]) -> bytes:
    """The rows with their texts behind the fixed fields."""
    rows, width = len(array), array.dtype.itemsize
    bases = np.cumsum([0, *(text.data.size for text in texts)])
    lengths = np.stack([text.lengths for text in texts])
    starts = np.stack([text.starts + base for text, base in zip(texts, bases[:-1], strict=True)])
    size = rows * (width + 4 * len(texts)) + int(np.maximum(lengths, 0).sum())
    out = np.empty(size, dtype=np.uint8)
    interleave(
        array.view(np.uint8).reshape(rows, width), lengths, starts, np.concatenate([text.data for text in texts]), out
    )
    return out.tobytes()


@kernel
def interleave(fixed: Bytes, lengths: Longs, starts: Longs, data: Bytes, out: Bytes) -> None:
    """Write each row's fixed bytes, then each text's length (big-endian int32) and bytes.

    fixed : uint8[rows, width]; lengths, starts : int64[texts, rows]; data : uint8[bytes]
    out : uint8[total], exactly filled
    """
    at = 0
    for row in range(fixed.shape[0]):
        for position in range(fixed.shape[1]):
            out[at + position] = fixed[row, position]
        at += fixed.shape[1]
        for column in range(lengths.shape[0]):
            length = lengths[column, row]
            for position in range(4):
                out[at + position] = (length >> (24 - 8 * position)) & 0xFF
            at += 4
            start = starts[column, row]
            for position in range(length):
                out[at + position] = data[start + position]
            at += max(length, 0)
