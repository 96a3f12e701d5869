"""Small frames that would be large once they are read, and `python -m tests.unit.hostile_frames FOLDER`, which reads
frames with little memory and says what came of each.
"""

import resource
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tapewatch.contract import frames
from tapewatch.contract.rows import RowType, schema
from tapewatch.errors import ContractError

ROOM = 512 * 1024 * 1024
"""Bytes that reading a frame may take before the process may have no more."""
MIB = 1024 * 1024


def written(batch: pa.RecordBatch, **options: Any) -> bytes:
    """One batch as a stream. options : Arrow's of writing"""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())


def columns_of(row_type: RowType, rows: int) -> dict[str, pa.Array]:
    """Columns of zeros and empty texts, as the contract has them."""
    found = {}
    for field in schema(row_type):
        if field.name == "instrument":
            found[field.name] = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["A.SIMX"]))
        elif pa.types.is_string(field.type):
            found[field.name] = pa.array([""] * rows)
        elif pa.types.is_fixed_size_list(field.type):
            found[field.name] = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(10 * rows)), 10)
        else:
            found[field.name] = pa.array(np.zeros(rows, np.int64)).cast(field.type)
    return found


def with_columns(row_type: RowType, rows: int, **more: pa.Array) -> pa.RecordBatch:
    """A batch that claims to be of the contract, with columns changed or added."""
    return pa.RecordBatch.from_pydict({**columns_of(row_type, rows), **more}, metadata=schema(row_type).metadata)


def _list_of_nothing(length: int) -> pa.Array:
    offsets = pa.array([0, length], type=pa.int64())
    return pa.LargeListArray.from_arrays(offsets, _nothing(length))


def _nothing(length: int) -> pa.Array:
    return pa.Array.from_buffers(pa.null(), length, [None])


def _messages(stream: bytes) -> list[bytes]:
    """The messages of a stream, one behind the other, its end among them."""
    found, at = [], 0
    while at < len(stream):
        end = at + 8 + int.from_bytes(stream[at + 4 : at + 8], "little")
        body = pa.ipc.read_message(pa.py_buffer(stream[at:])).body if end > at + 8 else None
        found.append(stream[at : end + (body.size if body is not None else 0)])
        at += len(found[-1])
    return found


def many_dictionaries() -> bytes:
    """One dictionary of 8 MiB, a hundred times."""
    texts = pa.array(["x" * (8 * MIB)])
    column = pa.DictionaryArray.from_arrays(pa.array([0], type=pa.int32()), texts)
    first, dictionary, *rest = _messages(written(pa.RecordBatch.from_pydict({"a": column}), compression="zstd"))
    return b"".join([first, *[dictionary] * 100, *rest])


class Flatbuffer:
    """A flatbuffer in which tables and texts are named as often as one likes."""

    def __init__(self) -> None:
        self.data = bytearray(8)

    def table(self, *fields: tuple[str, int] | None) -> tuple[int, list[int]]:
        """A table and where its fields stand. fields : format and value, a reference ("I") being 0 until it is set"""
        offsets = [0 if field is None else 8 + 8 * place for place, field in enumerate(fields)]
        vtable = len(self.data)
        self.data += struct.pack(f"<{2 + len(offsets)}H", 4 + 2 * len(offsets), 8 + 8 * len(offsets), *offsets)
        self._align()
        table = len(self.data)
        self.data += struct.pack("<iI", table - vtable, 0)
        for field in fields:
            self.data += (struct.pack(f"<{field[0]}", field[1]) if field else b"").ljust(8, b"\0")
        return table, [table + offset for offset in offsets]

    def vector(self, count: int) -> tuple[int, list[int]]:
        """A vector of references, and where they stand."""
        start = len(self.data)
        self.data += struct.pack("<I", count) + bytes(4 * count)
        self._align()
        return start, [start + 4 + 4 * place for place in range(count)]

    def text(self, content: bytes) -> int:
        """A text."""
        start = len(self.data)
        self.data += struct.pack("<I", len(content)) + content + b"\0"
        self._align()
        return start

    def refer(self, places: list[int], target: int) -> None:
        """Set references to what stands behind them."""
        for place in places:
            struct.pack_into("<I", self.data, place, target - place)

    def _align(self) -> None:
        self.data += bytes(-len(self.data) % 8)


def shared(columns: int, name: bytes, pairs: int = 0, depth: int = 0) -> bytes:
    """A stream's schema whose columns are one and the same column, with one name, and pairs that are one pair.

    depth : how often this column has as many columns of the same kind below it
    """
    flat = Flatbuffer()
    message, at = flat.table(("h", 4), ("B", 1), ("I", 0), ("q", 0))
    flat.refer([0], message)
    described, parts = flat.table(("h", 0), ("I", 0))
    flat.refer([at[2]], described)
    above = [parts[1]]
    for level in range(depth + 1):
        vector, places = flat.vector(columns)
        flat.refer(above, vector)
        kind = 13 if level < depth else 2
        column, parts = flat.table(
            ("I", 0), ("B", 1), ("B", kind), ("I", 0), None, ("I", 0), ("I", 0) if pairs else None
        )
        flat.refer(places, column)
        kind_table, _ = flat.table(("i", 64), ("B", 1)) if level == depth else flat.table()
        flat.refer([parts[3]], kind_table)
        flat.refer([parts[0]], flat.text(name))
        if pairs:
            vector, places = flat.vector(pairs)
            flat.refer([parts[6]], vector)
            pair, both = flat.table(("I", 0), ("I", 0))
            flat.refer(places, pair)
            flat.refer(both, flat.text(name))
        above = [parts[5]]
    flat.refer(above, flat.vector(0)[0])
    return struct.pack("<iI", -1, len(flat.data)) + bytes(flat.data) + struct.pack("<ii", -1, 0)


def packed_as_arrow_0_17(batch: pa.RecordBatch) -> bytes:
    """A stream that says of its batch alone that it is packed, in the pairs of its message, as Arrow 0.17 did."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd", metadata_version=pa.ipc.MetadataVersion.V4)
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch, custom_metadata={"ARROW:experimental_compression": "zstd"})
    *before, last, end = _messages(bytes(sink.getvalue().to_pybytes()))
    data = bytearray(last)
    message = 8 + int.from_bytes(data[8:12], "little")
    header_at = message + _offset(data, message, 2)
    header = header_at + int.from_bytes(data[header_at : header_at + 4], "little")
    # The record batch's own word that it is packed goes.
    vtable = header - int.from_bytes(data[header : header + 4], "little", signed=True)
    data[vtable + 4 + 2 * 3 : vtable + 6 + 2 * 3] = bytes(2)
    return b"".join([*before, bytes(data), end])


def _offset(data: bytearray, table: int, index: int) -> int:
    vtable = table - int.from_bytes(data[table : table + 4], "little", signed=True)
    return int.from_bytes(data[vtable + 4 + 2 * index : vtable + 6 + 2 * index], "little")


def _wide(codec: str) -> bytes:
    zeros = pa.array(np.zeros(65_536))
    return written(with_columns(RowType.QUOTE, 65_536, **{f"x{n}": zeros for n in range(900)}), compression=codec)


def _many_names(count: int, codec: str | None) -> bytes:
    texts = pa.StringArray.from_buffers(count, pa.py_buffer(bytes(4 * count + 4)), pa.py_buffer(b""))
    instrument = pa.DictionaryArray.from_arrays(pa.array([0], type=pa.int32()), texts)
    return written(with_columns(RowType.QUOTE, 1, instrument=instrument), compression=codec)


def _long_text(rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["x" * MIB]))


def _views(rows: int) -> pa.Array:
    view = pa.py_buffer(struct.pack("<i4sii", MIB, b"xxxx", 0, 0) * rows)
    return pa.Array.from_buffers(pa.string_view(), rows, [None, view, pa.py_buffer(b"x" * MIB)])


def _plain(**columns: pa.Array) -> bytes:
    return written(pa.RecordBatch.from_pydict(columns), allow_64bit=True)


HOSTILE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "many columns, lz4": ("oversized", lambda: _wide("lz4")),
    "many columns, zstd": ("oversized", lambda: _wide("zstd")),
    "many rows": ("wrong_schema", lambda: written(with_columns(RowType.QUOTE, 2**21), compression="zstd")),
    "one long text": (
        "oversized",
        lambda: written(with_columns(RowType.STATUS, 1, detail=pa.array(["x" * 64 * MIB])), compression="zstd"),
    ),
    "one long list": (
        "oversized",
        lambda: written(with_columns(RowType.QUOTE, 1, x=pa.array([np.zeros(64 * MIB, np.int8)])), compression="zstd"),
    ),
    "rows of no bytes": ("wrong_schema", lambda: _plain(x=_nothing(2**40))),
    "lists of no bytes": ("oversized", lambda: _plain(x=_list_of_nothing(2**40))),
    "a dictionary of 8 million texts": ("oversized", lambda: _many_names(2**23, "zstd")),
    "a dictionary of a million texts": ("oversized", lambda: _many_names(2**20, "zstd")),
    "a dictionary of 65,537 texts that are not packed": ("oversized", lambda: _many_names(65_537, None)),
    "many dictionaries": ("oversized", many_dictionaries),
    "a long text in each row, by a dictionary": (
        "oversized",
        lambda: written(with_columns(RowType.STATUS, 2_000, detail=_long_text(2_000))),
    ),
    "a dictionary of lists": (
        "wrong_schema",
        lambda: _plain(
            x=pa.DictionaryArray.from_arrays(pa.array(np.zeros(60_000, np.int32)), pa.array([[1.0] * 100_000]))
        ),
    ),
    "a long text in each row, by views": (
        "wrong_schema",
        lambda: written(with_columns(RowType.STATUS, 2_000, detail=_views(2_000))),
    ),
    "a long list in each row, by views": (
        "wrong_schema",
        lambda: _plain(
            x=pa.ListViewArray.from_arrays(
                pa.array(np.zeros(60_000, np.int32)), pa.array(np.full(60_000, 100_000, np.int32)), np.zeros(100_000)
            )
        ),
    ),
    "runs": (
        "wrong_schema",
        lambda: _plain(x=pa.RunEndEncodedArray.from_arrays(pa.array([2**31 - 1], type=pa.int32()), pa.array([1.0]))),
    ),
    "one long name of many columns": ("oversized", lambda: shared(8_000, b"x" * MIB)),
    "columns below columns": ("oversized", lambda: shared(32, b"x", depth=5)),
    "one pair many times": ("oversized", lambda: shared(1, b"x" * MIB, pairs=8_000)),
    "packed as Arrow 0.17 did": (
        "unreadable",
        lambda: packed_as_arrow_0_17(
            pa.RecordBatch.from_pydict({f"x{n}": pa.array(np.zeros(65_536)) for n in range(900)})
        ),
    ),
}
"""Frames by name, and the reason for which they are refused."""


def main(folder: Path) -> None:
    """Print each file's name, why its frame was refused and the bytes by which reading it raised the process's peak;
    the process may have ROOM more memory than it has.
    """
    frames.Decoder().open(written(with_columns(RowType.QUOTE, 1)))
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    for file in sorted(folder.iterdir()):
        value, before = file.read_bytes(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        reason = ""
        try:
            frames.to_rows(value)
        except ContractError as error:
            reason = error.reason
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(f"{file.name}\t{reason}\t{1024 * grown}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
