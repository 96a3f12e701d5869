"""Frames of one partition: a dictionary that stays the same, and for small frames a byte template to fill in."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tapewatch import frames
from tapewatch.rows import BOOK_LEVELS, EVERY_INSTRUMENT, REQUIRED, Column, Rows, RowType, heartbeat_rows, numpy_dtype

Ints = npt.NDArray[np.int32]
Times = npt.NDArray[np.int64]

DICTIONARY_LIMIT = 512
"""Instruments of a partition up to which its frames all carry the same dictionary, so that readers cache it."""
TEMPLATE_ROWS = 64
"""Rows up to which a frame is made from a template; above, Arrow's own writer costs little a row."""

_KEPT = 64
_FIXED = {row_type: all(not pa.types.is_string(kind) for _, kind in columns) for row_type, columns in REQUIRED.items()}


class FrameEncoder:
    """Encodes one partition's frames; the bytes are the ones that `tapewatch.frames.encode_with` gives.

    instruments : the partition's instruments; above 512 of them a frame carries the names of its own rows only
    """

    def __init__(self, instruments: Sequence[str]) -> None:
        self._shared = len(instruments) <= DICTIONARY_LIMIT
        names = [EVERY_INSTRUMENT, *instruments] if self._shared else [EVERY_INSTRUMENT]
        self._names = names
        self._place = {name: code for code, name in enumerate(names)}
        self._dictionary = pa.array(names, type=pa.utf8())
        self._codes: dict[int, tuple[Sequence[str], Ints]] = {}
        self._templates: dict[tuple[RowType, int], _Template] = {}
        self._beats: dict[int, _Template] = {}

    def encode(self, rows: Rows) -> bytes:
        """Rows of one type as a frame."""
        codes = self._local(rows.instruments)[rows.columns["instrument"]] if self._shared else None
        if codes is None or codes.min() < 0:
            return frames.encode(rows)
        count = len(rows)
        if count > TEMPLATE_ROWS or not _FIXED[rows.type] or len(rows.columns) > len(REQUIRED[rows.type]):
            return frames.encode_with(rows, self._dictionary, codes)
        template = self._templates.get((rows.type, count))
        if template is None:
            template = self._templates[rows.type, count] = self._template(rows.type, count)
        return template.filled({**rows.columns, "instrument": codes})

    def heartbeats(self, times: Times) -> bytes:
        """Heartbeat rows of `*` at the given times (ts_event = ts_recv, UTC nanoseconds) as a STATUS frame."""
        template = self._beats.get(len(times))
        if template is None:
            rows = heartbeat_rows(times)
            data = frames.encode_with(rows, self._dictionary, rows.columns["instrument"])
            template = self._beats[len(times)] = _Template(data, ("ts_event", "ts_recv"))
        return template.filled({"ts_event": times, "ts_recv": times})

    def _local(self, instruments: Sequence[str]) -> Ints:
        """int32[dictionary], codes in the partition's dictionary; -1 for instruments of other partitions."""
        known = self._codes.get(id(instruments))
        if known is not None:
            return known[1]
        codes = np.array([self._place.get(name, -1) for name in instruments], dtype=np.int32)
        if len(self._codes) >= _KEPT:
            self._codes.clear()
        self._codes[id(instruments)] = (instruments, codes)
        return codes

    def _template(self, row_type: RowType, count: int) -> "_Template":
        columns = {name: _zeros(kind, count) for name, kind in REQUIRED[row_type]}
        data = frames.encode_with(Rows(row_type, self._names, columns), self._dictionary, columns["instrument"])
        return _Template(data, tuple(columns))


class _Template:
    """A frame whose fixed-width columns are to be filled in; with its dictionary and row count nothing else differs."""

    def __init__(self, data: bytes, columns: tuple[str, ...]) -> None:
        view = frames.Decoder().open(data)
        names = [name for name, _ in REQUIRED[view.type]]
        places = sorted((int(view.offsets[names.index(name)]), name) for name in columns)
        self._columns: list[tuple[str, np.dtype[np.generic]]] = []
        self._between: list[bytes] = []
        done = 0
        for start, name in places:
            values = view.column(name)
            self._columns.append((name, values.dtype))
            self._between.append(data[done:start])
            done = start + values.nbytes
        self._end = data[done:]
        self._size, self._rows = len(data), view.rows

    def filled(self, columns: dict[str, Column]) -> bytes:
        """The frame with these values."""
        parts: list[bytes] = []
        for between, (name, dtype) in zip(self._between, self._columns, strict=True):
            parts += (between, columns[name].astype(dtype, copy=False).tobytes())
        parts.append(self._end)
        frame = b"".join(parts)
        if len(frame) != self._size:
            raise ValueError(f"columns of {self._rows} rows expected")
        return frame


def _zeros(kind: pa.DataType, count: int) -> Column:
    shape = (count, BOOK_LEVELS) if pa.types.is_fixed_size_list(kind) else (count,)
    return np.zeros(shape, dtype=numpy_dtype(kind))
