"""Frames: one Arrow IPC stream with one record batch of rows of one type, written and opened without touching a row in
Python.

`encode` writes with pyarrow. `Decoder` opens what our writers send by reading the IPC metadata in place (a few
microseconds a frame); a frame of any other Arrow writer is read by pyarrow, brought to the contract's column order and
opened the same way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tapewatch.contract import ipc
from tapewatch.contract.rows import CONTRACT_MAJOR, OPTIONAL, REQUIRED, Column, Rows, RowType, numpy_dtype, schema
from tapewatch.errors import ContractError

MAX_ROWS = 65_536
MAX_FRAME_BYTES = 4 * 1024 * 1024
"""A larger record is refused as oversized, and so is a frame that is more, once read, than ipc.py allows."""

_OPENINGS = 8
"""Frames' beginnings that a decoder compares with; writers and row types of a partition, most of the time."""
_OPENING_BYTES = 262_144
"""A longer beginning is not kept: its names are those of its own rows, and it hardly comes again."""

_TYPES = {row_type.label: row_type for row_type in RowType}


def arrow_array(kind: pa.DataType, values: Column, dictionary: pa.Array | None = None) -> pa.Array:
    """An Arrow array over the numpy buffer, without a copy where the layout allows one."""
    rows = len(values)
    if dictionary is not None:
        codes = pa.Array.from_buffers(
            pa.int32(), rows, [None, pa.py_buffer(np.ascontiguousarray(values, dtype=np.int32))]
        )
        return pa.DictionaryArray.from_arrays(codes, dictionary, safe=False)
    if pa.types.is_fixed_size_list(kind):
        flat = np.ascontiguousarray(values, dtype=np.float64).reshape(-1)
        child = pa.Array.from_buffers(pa.float64(), flat.size, [None, pa.py_buffer(flat)])
        return pa.Array.from_buffers(kind, rows, [None], children=[child])
    if pa.types.is_string(kind):
        return pa.array(values, type=kind)
    return pa.Array.from_buffers(
        kind, rows, [None, pa.py_buffer(np.ascontiguousarray(values, dtype=numpy_dtype(kind)))]
    )


def write_stream(batch: pa.RecordBatch, compression: str | None = None) -> bytes:
    """One record batch as one Arrow IPC stream. compression : of its buffers, "lz4" or "zstd"."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())


def encode(rows: Rows) -> bytes:
    """Encode rows as a frame; the dictionary holds just the instruments that occur, in order of first code.

    Raises ContractError("too_many_rows") above 65,536 rows.
    """
    if len(rows) > MAX_ROWS:
        raise ContractError("too_many_rows", f"a frame holds at most {MAX_ROWS} rows, not {len(rows)}")
    codes, inverse = np.unique(rows.columns["instrument"], return_inverse=True)
    dictionary = pa.array([rows.instruments[code] for code in codes], type=pa.utf8())
    return encode_with(rows, dictionary, inverse.astype(np.int32))


def encode_with(rows: Rows, dictionary: pa.Array, codes: npt.NDArray[np.int32]) -> bytes:
    """Encode rows whose instruments are `codes` into a dictionary that the caller keeps, for readers to cache."""
    optional = [name for name, _ in OPTIONAL[rows.type] if name in rows.columns]
    layout = schema(rows.type, optional)
    arrays = [
        arrow_array(field.type, codes, dictionary)
        if field.name == "instrument"
        else arrow_array(field.type, rows.columns[field.name])
        for field in layout
    ]
    return write_stream(pa.RecordBatch.from_arrays(arrays, schema=layout))


def _ascii_texts(message: bytes) -> list[str] | None:
    """The texts of a dictionary's message; None where they are not plain ASCII laid out as our writers do."""
    info = np.empty(6, dtype=np.int64)
    if ipc.texts_at(np.frombuffer(message, dtype=np.uint8), info) != 0:
        return None
    count, offsets_at, data_at, _, _, end = info.tolist()
    offsets = np.frombuffer(message, dtype=np.int32, count=count + 1, offset=offsets_at)
    data = message[data_at:end]
    if not data.isascii() or offsets[0] < 0 or offsets[-1] > len(data) or (np.diff(offsets) < 0).any():
        return None
    text, places = data.decode("ascii"), offsets.tolist()
    return [text[start:stop] for start, stop in pairwise(places)]


@dataclass(slots=True)
class View:
    """An opened frame: its bytes and where each column's values lie in them.

    buffer : uint8[bytes]; offsets : int64[columns], byte position of each required column's values, in the contract's
    order
    dictionary : the raw dictionary bytes, a key for caches; `names()` decodes them
    data : the frame as our writers lay it out; size : bytes of the frame as it came
    """

    type: RowType
    rows: int
    buffer: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    dictionary: bytes
    data: bytes
    size: int

    def names(self) -> list[str]:
        """The dictionary's texts."""
        texts = _ascii_texts(self.dictionary)
        return texts if texts is not None else [str(text) for text in self.batch().column(0).dictionary.to_pylist()]

    def batch(self) -> pa.RecordBatch:
        """The frame as pyarrow reads it."""
        return read_stream(self.data)

    def column(self, name: str) -> Column:
        """One required fixed-width column as a numpy view (times int64, levels float64[rows, 10], instrument int32
        codes).
        """
        names = [column for column, _ in REQUIRED[self.type]]
        kind = REQUIRED[self.type][names.index(name)][1]
        start, dtype = int(self.offsets[names.index(name)]), numpy_dtype(kind)
        width = kind.list_size if pa.types.is_fixed_size_list(kind) else 1
        values = np.frombuffer(self.data, dtype=dtype, count=self.rows * width, offset=start)
        return values.reshape(self.rows, width) if width > 1 else values


def numbers(view: View, names: Sequence[str]) -> Rows:
    """An opened frame's required columns without its texts, as views of its bytes. names : the dictionary's texts"""
    fixed = (name for name, kind in REQUIRED[view.type] if not pa.types.is_string(kind))
    return Rows(view.type, names, {name: view.column(name) for name in fixed})


_UNBOUNDED = {
    ipc.TOO_MANY_ROWS: ("wrong_schema", f"a frame holds 1 to {MAX_ROWS} rows"),
    ipc.TOO_MUCH_DATA: ("oversized", f"unpacked, a frame has at most {ipc.MAX_DATA} bytes"),
    ipc.TOO_MANY_VALUES: ("oversized", f"a frame has at most {ipc.MAX_VALUES} values"),
    ipc.TOO_MUCH_METADATA: ("oversized", f"a frame's metadata says at most {ipc.MAX_METADATA} bytes"),
    ipc.FOREIGN_KIND: ("wrong_schema", "a column is a union, of views or runs, or a dictionary of nested values"),
    ipc.SEVERAL_BATCHES: ("unreadable", "a frame holds one record batch, not several"),
}


def check_size(value: bytes) -> int:
    """Refuse an IPC stream that would be more than a frame may be once it is read, before anything of it is unpacked.

    Returns the most bytes that its dictionaries' texts may be with one in each row.
    ContractError("oversized"), or "wrong_schema" or "unreadable" where its metadata does not tell.
    """
    weight, waiting = np.empty(6, dtype=np.int64), np.empty(1 + ipc.MAX_COLUMNS, dtype=np.int64)
    code = ipc.weigh(np.frombuffer(value, dtype=np.uint8), weight, waiting)
    if code != ipc.OK:
        raise ContractError(
            *_UNBOUNDED.get(code, ("unreadable", "not an Arrow IPC stream with one record batch: cut short"))
        )
    return int(weight[4]) * int(weight[5])


def read_stream(value: bytes) -> pa.RecordBatch:
    """The one record batch of an IPC stream, fully checked.

    ContractError("unreadable") where it is none; also as `check_size`.
    """
    written_out = check_size(value)
    try:
        with pa.ipc.open_stream(value) as reader:
            batch = reader.read_next_batch()
            batch.validate(full=True)
            if written_out > ipc.MAX_DATA:
                _check_texts(batch)
            try:
                reader.read_next_batch()
            except StopIteration:
                return batch
    except (pa.ArrowException, StopIteration, OSError, ValueError) as error:
        raise ContractError("unreadable", f"not an Arrow IPC stream with one record batch: {error}") from error
    raise ContractError("unreadable", "a frame holds one record batch, not several")


def _check_texts(batch: pa.RecordBatch) -> None:
    """Refuse a batch with dictionaries whose texts are more than a frame may be once each row has its own."""
    columns = [column for column in batch.columns if pa.types.is_dictionary(column.type)]
    texts = [(column.dictionary, column.indices) for column in columns if column.type.value_type.num_buffers == 3]
    if sum(pc.sum(pc.binary_length(known).take(rows)).as_py() or 0 for known, rows in texts) > ipc.MAX_DATA:
        raise ContractError("oversized", f"one in each row, a dictionary's texts have at most {ipc.MAX_DATA} bytes")


def to_rows(value: bytes) -> Rows:
    """A frame as `Rows`, optional columns included (text as object arrays)."""
    return rows_of(Decoder().open(value))


def rows_of(view: View) -> Rows:
    """An opened frame as `to_rows` has it; ContractError("unreadable") where a text is no UTF-8."""
    batch = view.batch()
    columns: dict[str, Column] = {}
    for field, array in zip(batch.schema, batch.columns, strict=True):
        if field.name == "instrument":
            columns[field.name] = array.indices.to_numpy(zero_copy_only=False).astype(np.int32)
        elif pa.types.is_string(field.type):
            columns[field.name] = np.array(array.to_pylist(), dtype=object)
        else:
            columns[field.name] = view.column(field.name)
    return Rows(view.type, view.names(), columns)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where a schema's required columns stand among the record batch's Arrow buffers.

    data : int64[columns], index of the values' buffer (text: of the offsets' buffer)
    width : int64[columns], bytes a row
    nodes : int64, number of field nodes; `required_nodes` of them must hold no null
    """

    type: RowType
    data: npt.NDArray[np.int64]
    width: npt.NDArray[np.int64]
    required_nodes: int


def _layout(row_type: RowType) -> _Layout:
    """The layout of a contract schema; optional columns come last and do not move the required ones."""
    data, width, buffers, nodes = [], [], 0, 0
    for _, kind in REQUIRED[row_type]:
        if pa.types.is_fixed_size_list(kind):
            data.append(buffers + 2)
            width.append(kind.list_size * 8)
            buffers, nodes = buffers + 3, nodes + 2
            continue
        data.append(buffers + 1)
        width.append(4 if pa.types.is_string(kind) else numpy_dtype(kind).itemsize)
        buffers, nodes = buffers + (3 if pa.types.is_string(kind) else 2), nodes + 1
    return _Layout(row_type, np.array(data, dtype=np.int64), np.array(width, dtype=np.int64), nodes)


_LAYOUTS = {row_type: _layout(row_type) for row_type in RowType}


@dataclass(frozen=True, slots=True)
class _FramePrefix:
    """What a frame begins with, schema and dictionary, and what it says: most frames begin as another one did.

    names : how many texts the dictionary holds
    """

    head: bytes
    layout: _Layout
    dictionary: bytes
    names: int

    @classmethod
    def of(cls, value: bytes, layout: _Layout, start: int) -> "_FramePrefix | None":
        """The opening of a frame whose schema message ends at `start`; None where it is not as our writers make it."""
        info = np.empty(6, dtype=np.int64)
        if ipc.scan_dictionary(np.frombuffer(value, dtype=np.uint8), start, info) != 0:
            return None
        names, begin, end = info[:3].tolist()
        return cls(value[:end], layout, value[begin:end], names)

    def view(self, value: bytes) -> View | None:
        """A frame that begins so; None where it does not go on as our writers do."""
        layout = self.layout
        buffer = np.frombuffer(value, dtype=np.uint8)
        offsets, info = np.empty(len(layout.data), dtype=np.int64), np.empty(6, dtype=np.int64)
        start, nodes = len(self.head), layout.required_nodes
        if ipc.scan(buffer, start, self.names, layout.data, layout.width, nodes, offsets, info) != 0:
            return None
        return View(layout.type, int(info[0]), buffer, offsets, self.dictionary, value, len(value))


class Decoder:
    """Opens frames. Keeps the schemas it has met, and how the last frames began: what is known is compared, not
    parsed.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, _Layout] = {}
        self._openings: list[_FramePrefix] = []

    def open(self, value: bytes) -> View:
        """Open a frame; ContractError with a dead-letter reason (unreadable, oversized, unsupported_version,
        wrong_schema, null_value) otherwise.
        """
        for opening in self._openings:
            if value.startswith(opening.head):
                return opening.view(value) or _read(value)
        end = 8 + int.from_bytes(value[4:8], "little") if len(value) >= 8 else 0
        layout = self._known.get(value[:end]) or self._meet(value[:end])
        met = _FramePrefix.of(value, layout, end) if layout else None
        if met is None:
            return _read(value)
        if len(met.head) <= _OPENING_BYTES:
            self._openings = [met, *self._openings[: _OPENINGS - 1]]
        return met.view(value) or _read(value)

    def _meet(self, message: bytes) -> _Layout | None:
        """The layout of a schema's message not met before, remembered; None where it is not the contract's own.

        Nothing else decides how a frame is read, so that a reader that was started anew takes what others take.
        """
        layout = _own_layout(message)
        if layout is not None and len(self._known) < 256:
            self._known[message] = layout
        return layout


def _own_layout(message: bytes) -> _Layout | None:
    """The layout of a schema's message that is the contract's own; None for any other."""
    try:
        check_size(message)
        found = pa.ipc.read_schema(pa.py_buffer(message))
        row_type = _TYPES.get((found.metadata or {}).get(b"tapewatch.type", b"").decode())
        own = row_type is not None and found.equals(schema(row_type, found.names), check_metadata=True)
    except (ContractError, pa.ArrowException, OSError, ValueError):
        return None
    return _LAYOUTS[row_type] if own and row_type is not None else None


def _read(value: bytes) -> View:
    """Open a frame that is not laid out as our writers do."""
    return _scan_checked(_normalise(read_stream(value)), len(value))


def _scan_checked(batch: pa.RecordBatch, size: int) -> View:
    """Open a batch by writing it the contract's way. size : bytes of the frame that it came in"""
    value = write_stream(batch)
    row_type = _TYPES[batch.schema.metadata[b"tapewatch.type"].decode()]
    opening = _FramePrefix.of(value, _LAYOUTS[row_type], 8 + int.from_bytes(value[4:8], "little"))
    view = opening.view(value) if opening else None
    if view is None:
        raise ContractError("unreadable", "the frame's buffers do not hold its columns")
    view.size = size
    return view


def _normalise(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with the contract's columns in the contract's order; refuses wrong versions, schemas and nulls."""
    metadata = batch.schema.metadata or {}
    row_type = _TYPES.get(metadata.get(b"tapewatch.type", b"").decode("utf-8", "replace"))
    version = metadata.get(b"tapewatch.version", b"").decode("utf-8", "replace")
    check_version(version)
    if row_type is None:
        raise ContractError("wrong_schema", "the schema's metadata names no known row type (tapewatch.type)")
    if not 0 < batch.num_rows <= MAX_ROWS:
        raise ContractError("wrong_schema", f"a frame holds 1 to {MAX_ROWS} rows, not {batch.num_rows}")
    names = _names(batch)
    layout = schema(row_type, [name for name, _ in OPTIONAL[row_type] if name in names])
    arrays = [_cast(batch, names, field) for field in layout]
    return pa.RecordBatch.from_arrays(arrays, schema=layout)


def _names(batch: pa.RecordBatch) -> list[str]:
    """The columns' names; Arrow itself does not ask that they are UTF-8."""
    try:
        return list(batch.schema.names)
    except UnicodeDecodeError as error:
        raise ContractError("unreadable", f"a column's name is not UTF-8: {error}") from error


def _cast(batch: pa.RecordBatch, names: list[str], field: pa.Field) -> pa.Array:
    """One column in the contract's type, refused where it is missing, of another kind or holds a null it may not."""
    if names.count(field.name) != 1:
        raise ContractError("wrong_schema", f"column {field.name} is missing or doubled")
    array = batch.column(field.name)
    try:
        cast = array if array.type == field.type else array.cast(field.type)
    except (pa.ArrowException, NotImplementedError) as error:
        raise ContractError("wrong_schema", f"column {field.name} is {array.type}, not {field.type}") from error
    if not field.nullable and (cast.null_count or (pa.types.is_dictionary(cast.type) and cast.dictionary.null_count)):
        raise ContractError("null_value", f"column {field.name} holds a null")
    if pa.types.is_dictionary(cast.type) and len(cast.dictionary) > MAX_ROWS:
        raise ContractError("oversized", f"a frame names at most {MAX_ROWS} instruments")
    if pa.types.is_fixed_size_list(cast.type) and cast.values.null_count:
        raise ContractError("null_value", f"column {field.name} holds a null level; an absent level is NaN")
    return cast


def check_version(version: str) -> None:
    """Refuse a contract version whose major number is not ours."""
    if version.partition(".")[0] != str(CONTRACT_MAJOR):
        raise ContractError(
            "unsupported_version",
            f"contract version {version!r}; this build reads {CONTRACT_MAJOR}.x: upgrade the reader",
        )


Headers = Sequence[tuple[str, bytes]]


@dataclass(slots=True)
class FrameHeaders:
    """A market frame's Kafka headers. sequence counts per partition within an epoch; produced_at in UTC nanoseconds."""

    type: str
    source: str
    epoch: int
    sequence: int
    produced_at: int

    def to_kafka(self) -> list[tuple[str, bytes]]:
        """As Kafka headers, numbers in decimal."""
        return [
            ("type", self.type.encode()),
            ("version", str(CONTRACT_MAJOR).encode()),
            ("source", self.source.encode()),
            ("epoch", str(self.epoch).encode()),
            ("sequence", str(self.sequence).encode()),
            ("produced_at", str(self.produced_at).encode()),
        ]

    @classmethod
    def from_kafka(cls, headers: Headers | None) -> "FrameHeaders":
        """Read Kafka headers; ContractError("bad_headers" or "unsupported_version") where they do not follow the
        contract.
        """
        found: dict[str, Any] = dict(headers or ())
        try:
            label, source = _writer(found["type"], found["version"], found["source"])
            epoch, sequence = int(found["epoch"]), int(found["sequence"])
            produced_at = int(found.get("produced_at", b"0"))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ContractError("bad_headers", f"header missing or malformed: {error!r}") from error
        if not (0 <= epoch < 2**63 and 0 <= sequence < 2**63):
            raise ContractError("bad_headers", "epoch or sequence out of range")
        return cls(label, source, epoch, sequence, produced_at)


@lru_cache(4096)
def _writer(label: bytes, version: bytes, source: bytes) -> tuple[str, str]:
    """The headers that stay the same from frame to frame, checked: row type and source."""
    check_version(version.decode())
    if not 0 < len(source) <= 200:
        raise ContractError("bad_headers", "source is empty or longer than 200 bytes")
    return label.decode(), source.decode()
