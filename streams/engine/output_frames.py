"""Frames the engine writes: features, scores, bars and sealed-second markers as Arrow IPC streams.

A frame of a known shape is put together from the metadata of the first one like it, which depends on shape and
dictionary alone. Arrow's compression works buffer by buffer: columns of long runs (keys) and columns of one value (a
feature that a feed's data does not allow) leave packed, the others as they are.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streams.engine.features import NAMES
from streams.engine.scenario_evaluation import DETECTORS
from tapewatch.contract import ipc
from tapewatch.contract.frames import arrow_array, write_stream
from tapewatch.contract.rows import CONTRACT_VERSION, numpy_dtype
from tapewatch.kernels import kernel

MAX_ROWS = 4096
_TIME = pa.timestamp("ns", tz="UTC")
_INSTRUMENT = pa.dictionary(pa.int32(), pa.utf8())


def _schema(kind: str, fields: Sequence[tuple[str, pa.DataType]]) -> pa.Schema:
    named = [pa.field(name, kind_, nullable=False) for name, kind_ in fields]
    return pa.schema(named, metadata={"tapewatch.type": kind, "tapewatch.version": CONTRACT_VERSION})


_KEYS = (("instrument", _INSTRUMENT), ("ts", _TIME), ("offset", pa.int64()))
FEATURES = _schema("features", (*_KEYS, *((name, pa.float32()) for name in NAMES)))
SCORES = _schema("scores", (*_KEYS, ("detector", pa.int8()), ("raw", pa.float32()), ("probability", pa.float32())))
BARS = _schema(
    "bars",
    (
        *_KEYS,
        ("interval_s", pa.int32()),
        *((name, pa.float64()) for name in ("open", "high", "low", "close", "volume", "trades", "buys", "sells")),
    ),
)
SEALED = _schema("sealed", (*_KEYS, ("instruments", pa.int64())))
SEALED_MINUTES = _schema("sealed-minutes", (*_KEYS, ("instruments", pa.int64())))

_PACKED_FROM = 64
"""Rows from which columns are packed: below, the work outweighs the bytes."""
_CODEC = "lz4"
_AS_IT_IS = (-1).to_bytes(8, "little", signed=True)
"""Stands before a buffer that is not packed; before a packed one stands its length unpacked, in bytes."""
_PADDING = tuple(bytes(-length % 8) for length in range(8))

Buffer = tuple[int, tuple[Any, ...]]
"""A column's buffer in a frame's body: its bytes with Arrow's eight before them, and the pieces it is made of."""


def _pack(data: bytes | memoryview) -> bytes:
    """A buffer as Arrow's body compression writes it."""
    size = memoryview(data).nbytes
    return size.to_bytes(8, "little") + bytes(pa.compress(data, codec=_CODEC, asbytes=True))


@lru_cache(maxsize=1024)
def _steady(value: bytes, rows: int) -> bytes:
    """A column of one value, packed."""
    return _pack(value * rows)


@kernel
def _find_steady(bits: npt.NDArray[Any], start: int, stop: int, found: npt.NDArray[np.uint8]) -> None:
    """Which rows of a table hold one value only, bit for bit. bits : whole numbers [rows, columns], from column `start`
    to `stop`; found : uint8[rows]
    """
    for row in range(bits.shape[0]):
        first, differs, at = bits[row, start], bits[row, start] ^ bits[row, start], start
        while at < stop and differs == 0:
            # In strides, so that one instruction compares many.
            for column in range(at, min(at + 256, stop)):
                differs |= bits[row, column] ^ first
            at += 256
        found[row] = differs == 0


def _key_buffer(values: npt.NDArray[Any]) -> Buffer:
    """The buffer of a column of long runs."""
    if len(values) < _PACKED_FROM:
        return 8 + values.nbytes, (_AS_IT_IS, values.data)
    packed = _pack(values.data)
    return len(packed), (packed,)


def _table_buffers(table: npt.NDArray[Any], start: int, stop: int) -> list[Buffer]:
    """The buffers of a table's rows, each a column of the frame, from `start` to `stop`."""
    width, (count, room) = table.itemsize, table.shape
    plain = 8 + (stop - start) * width
    data = table.data.cast("B")
    found = np.zeros(count, dtype=np.uint8)
    if stop - start >= _PACKED_FROM:
        _find_steady(table.view(f"u{width}"), start, stop, found)
    buffers: list[Buffer] = []
    for row, steady in enumerate(found.tolist()):
        first = (row * room + start) * width
        if steady:
            packed = _steady(bytes(data[first : first + width]), stop - start)
            buffers.append((len(packed), (packed,)))
        else:
            buffers.append((plain, (_AS_IT_IS, data[first : first + plain - 8])))
    return buffers


@dataclass(frozen=True, slots=True)
class _Template:
    """What frames of one shape have in common.

    head : schema and dictionary; message : the record batch's metadata; places : where in it the body's length and the
    first of the buffers' positions stand
    """

    head: bytes
    message: bytes
    places: tuple[int, int]
    end: bytes

    def frame(self, buffers: Sequence[Buffer]) -> bytes:
        """A frame with these buffers."""
        message = bytearray(self.message)
        body_at, buffers_at = self.places
        pieces: list[Any] = [self.head, message]
        entries: list[int] = []
        position = 0
        for length, parts in buffers:
            # Two entries a column, offset and length: no validity, then the values.
            entries += (position, 0, position, length)
            pieces += parts
            pieces.append(_PADDING[length % 8])
            position += length + -length % 8
        struct.pack_into(f"<{len(entries)}q", message, buffers_at, *entries)
        struct.pack_into("<q", message, body_at, position)
        pieces.append(self.end)
        return b"".join(pieces)


class FrameWriter:
    """Writes frames of one schema over one partition's instruments."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._names: tuple[str, ...] = ()
        self._dictionary = pa.array([], type=pa.utf8())
        self._dtypes = [numpy_dtype(field.type) for field in schema]
        self._templates: dict[tuple[int, tuple[str, ...]], _Template] = {}

    def write(
        self,
        names: Sequence[str],
        keys: Sequence[npt.NDArray[Any]],
        table: npt.NDArray[Any],
        start: int,
        stop: int,
        versions: tuple[str, ...] = (),
    ) -> bytes:
        """A frame of the rows from `start` to `stop`.

        keys : the schema's first columns, the very first one codes into `names`; table : the others, [columns, rows] in
        C order, of their dtype
        versions : for scores, `detector=version` texts that stand in the schema's metadata
        """
        if len(names) != len(self._names):
            self._names, self._dictionary = tuple(names), pa.array(names, type=pa.utf8())
            self._templates.clear()
        cut = [
            np.ascontiguousarray(values[start:stop], dtype=dtype)
            for dtype, values in zip(self._dtypes, keys, strict=False)
        ]
        known = self._templates.get((stop - start, versions))
        if known is None:
            known = self._template([*cut, *table[:, start:stop]], versions)
            if len(self._templates) >= 64:
                self._templates.clear()
            self._templates[stop - start, versions] = known
        return known.frame([*map(_key_buffer, cut), *_table_buffers(table, start, stop)])

    def _template(self, columns: Sequence[npt.NDArray[Any]], versions: tuple[str, ...]) -> _Template:
        """What frames of this shape have in common."""
        schema = self._schema
        if versions:
            described = {"tapewatch.versions": ",".join(versions), "tapewatch.detectors": ",".join(DETECTORS)}
            schema = schema.with_metadata({**schema.metadata, **described})
        arrays = [
            arrow_array(
                field.type,
                values,
                self._dictionary if field.name == "instrument" else None,
            )
            for field, values in zip(schema, columns, strict=True)
        ]
        data = write_stream(pa.RecordBatch.from_arrays(arrays, schema=schema), compression=_CODEC)
        info = np.empty(6, dtype=np.int64)
        code = ipc.batch_places(np.frombuffer(data, dtype=np.uint8), 8 + int.from_bytes(data[4:8], "little"), info)
        if code != ipc.OK or info[4] != 2 * len(columns):
            raise RuntimeError(f"an output frame is not laid out as expected ({code})")
        start, body, body_end, body_at, _, buffers = (int(place) for place in info)
        return _Template(data[:start], data[start:body], (body_at - start, buffers - start), data[body_end:])
