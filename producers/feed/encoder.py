"""Frames of one partition: a dictionary that stays the same, and for small frames a byte template to fill in."""

import struct
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tapewatch.contract import frames, ipc
from tapewatch.contract.rows import (
    BOOK_LEVELS,
    EVERY_INSTRUMENT,
    OPTIONAL,
    REQUIRED,
    Column,
    Rows,
    RowType,
    heartbeat_rows,
    numpy_dtype,
)

Ints = npt.NDArray[np.int32]
Times = npt.NDArray[np.int64]

DICTIONARY_LIMIT = 512
"""Instruments of a partition up to which its frames all carry the same dictionary, so that readers cache it."""
TEMPLATE_ROWS = 64
"""Rows up to which a frame is made from a template; above, Arrow's own writer costs little a row."""

_KEPT = 64
_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
"""Arrow's end-of-stream marker."""
_FIXED = {row_type: all(not pa.types.is_string(kind) for _, kind in columns) for row_type, columns in REQUIRED.items()}

_OPTIONAL_TEXTS = {
    row_type: {name for name, kind in columns if pa.types.is_string(kind)} for row_type, columns in OPTIONAL.items()
}


class FrameEncoder:
    """Encodes one partition's frames; the bytes are the ones that `tapewatch.contract.frames.encode_with` gives.

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
        self._texts: dict[tuple[RowType, int, str], _TextTemplate] = {}
        self._beats: dict[int, _Template] = {}

    def encode(self, rows: Rows) -> bytes:
        """Rows of one type as a frame."""
        codes = self._local(rows.instruments)[rows.columns["instrument"]] if self._shared else None
        if codes is None or codes.min() < 0:
            return frames.encode(rows)
        count = len(rows)
        more = len(rows.columns) - len(REQUIRED[rows.type])
        if count > TEMPLATE_ROWS or not _FIXED[rows.type] or more > 1:
            return frames.encode_with(rows, self._dictionary, codes)
        if more:
            return self._with_text(rows, codes)
        template = self._templates.get((rows.type, count))
        if template is None:
            template = self._templates[rows.type, count] = self._template(rows.type, count)
        return template.filled({**rows.columns, "instrument": codes})

    def _with_text(self, rows: Rows, codes: Ints) -> bytes:
        """Rows with one optional column of texts; those without nulls and beyond-ASCII texts by a template."""
        name = next(reversed(rows.columns))
        texts = rows.columns[name].tolist()
        joined = "".join(texts) if None not in texts else ""
        if not joined.isascii() or not joined or name not in _OPTIONAL_TEXTS[rows.type]:
            return frames.encode_with(rows, self._dictionary, codes)
        key = (rows.type, len(texts), name)
        template = self._texts.get(key)
        if template is None:
            columns = {each: _zeros(kind, len(texts)) for each, kind in REQUIRED[rows.type]}
            sample = np.array(["x", *[""] * (len(texts) - 1)], dtype=object)
            own = Rows(rows.type, self._names, {**columns, name: sample})
            data = frames.encode_with(own, self._dictionary, columns["instrument"])
            template = self._texts[key] = _TextTemplate(data, tuple(columns), name)
        return template.filled_with({**rows.columns, "instrument": codes}, texts, joined.encode())

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
        parts = self._parts(columns)
        parts.append(self._end)
        frame = b"".join(parts)
        if len(frame) != self._size:
            raise ValueError(f"columns of {self._rows} rows expected")
        return frame

    def _parts(self, columns: dict[str, Column]) -> list[bytes]:
        """Everything up to the end of the last column."""
        parts: list[bytes] = []
        for between, (name, dtype) in zip(self._between, self._columns, strict=True):
            parts += (between, columns[name].astype(dtype, copy=False).tobytes())
        return parts


class _TextTemplate(_Template):
    """A frame that ends with a column of texts: what is behind the fixed columns changes in length.

    data : a frame whose texts together are one byte long
    """

    def __init__(self, data: bytes, columns: tuple[str, ...], name: str) -> None:
        super().__init__(data, columns)
        buffer = pa.py_buffer(data)
        _, offsets, text = pa.ipc.open_stream(buffer).read_next_batch().column(name).buffers()
        info = np.empty(6, dtype=np.int64)
        code = ipc.batch_places(np.frombuffer(data, dtype=np.uint8), 8 + int.from_bytes(data[4:8], "little"), info)
        begin, end = offsets.address - buffer.address, text.address - buffer.address
        if code != ipc.OK or data[end : end + 1] != b"x" or len(data) - end != 8 + len(_END):
            raise RuntimeError(f"a frame with texts is not laid out as expected ({code})")
        self._body = int(info[2] - info[1]) - 8
        # The frame's parts are joined from these: lengths, which differ, stand in the first one.
        first = bytearray(self._between[0])
        self._body_at, self._length_at = int(info[3]), int(info[5]) + 16 * (int(info[4]) - 1) + 8
        if self._length_at + 8 > len(first):
            raise RuntimeError("a frame with texts is not laid out as expected")
        self._head = first
        before = data[len(data) - len(self._end) : begin]
        self._before, self._behind = before, data[begin + 4 * (self._rows + 1) : end]

    def filled_with(self, columns: dict[str, Column], texts: list[str], joined: bytes) -> bytes:
        """The frame with these values and texts, which `joined` has one after another."""
        padded = -(-len(joined) // 8) * 8
        struct.pack_into("<q", self._head, self._body_at, self._body + padded)
        struct.pack_into("<q", self._head, self._length_at, len(joined))
        parts = self._parts(columns)
        parts[0] = bytes(self._head)
        ends = np.fromiter(accumulate(map(len, texts), initial=0), np.int32, len(texts) + 1)
        parts += (self._before, ends.tobytes(), self._behind, joined, bytes(padded - len(joined)), _END)
        return b"".join(parts)


def _zeros(kind: pa.DataType, count: int) -> Column:
    shape = (count, BOOK_LEVELS) if pa.types.is_fixed_size_list(kind) else (count,)
    return np.zeros(shape, dtype=numpy_dtype(kind))
