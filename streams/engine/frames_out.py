"""Frames the engine writes: features, scores, bars and sealed-second markers as Arrow IPC streams.

A frame of a known shape is put together from the bytes that stood between the columns of the first one like it: the
metadata of an Arrow stream depends on shape and dictionary alone.
"""

from collections.abc import Sequence
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
_TEXT = pa.dictionary(pa.int8(), pa.utf8())


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


class FrameWriter:
    """Writes frames of one schema over one partition's instruments."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._names: tuple[str, ...] = ()
        self._dictionary = pa.array([], type=pa.utf8())
        self._dtypes = [numpy_dtype(field.type) for field in schema]
        self._templates: dict[tuple[int, tuple[str, ...]], list[bytes]] = {}

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
        pieces: list[Any] = []
        for between, dtype, values in zip(known, self._dtypes, columns, strict=False):
            pieces += (between, np.ascontiguousarray(values, dtype=dtype).data)
        return b"".join((*pieces, known[-1]))

    def _template(self, columns: Sequence[npt.NDArray[Any]], versions: tuple[str, ...]) -> list[bytes]:
        """What stands before, between and after the columns of a frame of this shape."""
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
        data = write_stream(pa.RecordBatch.from_arrays(arrays, schema=schema))
        buffer = np.frombuffer(data, dtype=np.uint8)
        width = np.array([numpy_dtype(field.type).itemsize for field in schema], dtype=np.int64)
        index = np.arange(len(schema), dtype=np.int64) * 2 + 1
        offsets, info = np.empty(len(schema), dtype=np.int64), np.empty(6, dtype=np.int64)
        start = 8 + int.from_bytes(data[4:8], "little")
        code = ipc.scan(buffer, start, index, width, len(schema), offsets, info)
        if code != ipc.OK:
            raise RuntimeError(f"an output frame is not laid out as expected ({code})")
        starts = [int(offset) for offset in offsets]
        ends = [start + len(columns[0]) * size for start, size in zip(starts, width.tolist(), strict=True)]
        return [data[end:start] for end, start in zip([0, *ends], [*starts, len(data)], strict=True)]
