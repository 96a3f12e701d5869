"""Frames the engine writes: features, scores, bars and sealed-second markers as Arrow IPC streams.

A frame of a known shape is put together from the metadata of the first one like it, which depends on shape and
dictionary alone. Arrow's compression works buffer by buffer: columns of long runs (keys) and columns of one value (a
feature that a feed's data does not allow) leave packed, the others as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streams.engine.features import NAMES
from streams.engine.judging import DETECTORS
from tapewatch import ipc
from tapewatch.frames import arrow_array, write_stream
from tapewatch.rows import CONTRACT_VERSION, numpy_dtype

MAX_ROWS = 4096
_TIME = pa.timestamp("ns", tz="UTC")
_INSTRUMENT = pa.dictionary(pa.int32(), pa.utf8())
_RUNS = {"instrument", "ts", "offset", "detector", "interval_s"}
"""Columns of long runs: of keys that many rows share, or that repeat from second to second."""


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
        *((name, pa.float64()) for name in ("open", "high", "low", "close", "volume", "trades")),
    ),
)
SEALED = _schema("sealed", (*_KEYS, ("instruments", pa.int64())))


_PACKED_FROM = 64
"""Rows from which columns are packed: below, the work outweighs the bytes."""
_CODEC = "lz4"
_AS_IT_IS = (-1).to_bytes(8, "little", signed=True)
"""Stands before a buffer that is not packed; before a packed one stands its length unpacked, in bytes."""


def _pack(data: bytes | memoryview) -> bytes:
    """A buffer as Arrow's body compression writes it."""
    size = memoryview(data).nbytes
    return size.to_bytes(8, "little") + bytes(pa.compress(data, codec=_CODEC, asbytes=True))


@lru_cache(maxsize=1024)
def _steady(value: bytes, rows: int) -> tuple[bytes, bytes]:
    """A column of one value: as it is, and packed."""
    data = value * rows
    return data, _pack(data)


def _buffer(values: npt.NDArray[Any], runs: bool) -> tuple[int, tuple[Any, ...]]:
    """A column's buffer for a frame's body: its bytes with what Arrow wants before them, and the pieces.

    runs : whether the column is known for long runs of one value
    """
    size = values.nbytes
    if len(values) >= _PACKED_FROM:
        if runs:
            packed = _pack(values.data)
            return len(packed), (packed,)
        if values[0].tobytes() == values[-1].tobytes():
            data, packed = _steady(values[0].tobytes(), len(values))
            if values.tobytes() == data:
                return len(packed), (packed,)
    return 8 + size, (_AS_IT_IS, values.data)


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

    def frame(self, columns: Sequence[tuple[int, tuple[Any, ...]]]) -> bytes:
        """A frame with these buffers."""
        message = bytearray(self.message)
        body_at, buffers_at = self.places
        # Of each column two entries of offset and length: no validity, then the values.
        entries = np.frombuffer(message, dtype=np.int64, count=4 * len(columns), offset=buffers_at).reshape(-1, 4)
        pieces: list[Any] = [self.head, message]
        position = 0
        for entry, (length, parts) in zip(entries, columns, strict=True):
            entry[:] = position, 0, position, length
            padding = -length % 8
            pieces += (*parts, bytes(padding))
            position += length + padding
        message[body_at : body_at + 8] = position.to_bytes(8, "little")
        return b"".join((*pieces, self.end))


class FrameWriter:
    """Writes frames of one schema over one partition's instruments."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._names: tuple[str, ...] = ()
        self._dictionary = pa.array([], type=pa.utf8())
        self._dtypes = [numpy_dtype(field.type) for field in schema]
        self._runs = [field.name in _RUNS for field in schema]
        self._templates: dict[tuple[int, tuple[str, ...]], _Template] = {}

    def write(self, names: Sequence[str], columns: Sequence[npt.NDArray[Any]], versions: tuple[str, ...] = ()) -> bytes:
        """A frame; `columns` in the schema's order, the first one int32 codes into `names`.

        versions : for scores, `detector=version` texts that stand in the schema's metadata
        """
        if len(names) != len(self._names):
            self._names, self._dictionary = tuple(names), pa.array(names, type=pa.utf8())
            self._templates.clear()
        rows = len(columns[0])
        known = self._templates.get((rows, versions))
        if known is None:
            known = self._template(columns, versions)
            if len(self._templates) >= 64:
                self._templates.clear()
            self._templates[rows, versions] = known
        return known.frame(
            [
                _buffer(np.ascontiguousarray(values, dtype=dtype), runs)
                for dtype, runs, values in zip(self._dtypes, self._runs, columns, strict=True)
            ]
        )

    def _template(self, columns: Sequence[npt.NDArray[Any]], versions: tuple[str, ...]) -> _Template:
        """What frames of this shape have in common."""
        schema = self._schema
        if versions:
            described = {"tapewatch.versions": ",".join(versions), "tapewatch.detectors": ",".join(DETECTORS)}
            schema = schema.with_metadata({**schema.metadata, **described})
        arrays = [
            arrow_array(
                field.type,
                values.astype(numpy_dtype(field.type)),
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
