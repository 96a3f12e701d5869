"""Records of the topics as rows of tables: the frames' columns, the messages' texts; and every bit of them as a digest.

A table is named by what its rows are: `features`, `scores`, `bars`, `quote`, `trade`, or by the topic of its messages.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import msgspec
import pyarrow as pa

from tapewatch.contract import frames
from tapewatch.contract.frames import Headers

FRAME = b"\xff\xff\xff\xff"
"""How an Arrow IPC stream begins."""
MESSAGE = pa.schema([("instrument", pa.string()), ("key", pa.string()), ("message", pa.string())])
"""Of a JSON message: every byte of it as its text."""


class _MessageInstrument(msgspec.Struct):
    instrument: str = ""


def rows_of(topic: str, value: bytes, key: bytes | None, headers: Headers | None) -> tuple[str, pa.RecordBatch]:
    """A record's table and its rows; ContractError where a frame cannot be read.

    Times are int64, UTC ns; `instrument` is a text; scores have the model's version beside its detector. A message has
    the columns of MESSAGE; a value that is no text stands there as Latin-1.
    """
    if value.startswith(FRAME):
        return _frame(frames.read_stream(value), headers)
    message = _text(value)
    try:
        instrument = msgspec.json.decode(value, type=_MessageInstrument).instrument
    except (msgspec.DecodeError, UnicodeDecodeError):
        instrument = ""
    cells = [[instrument], [_text(key or b"")], [message]]
    return topic, pa.RecordBatch.from_arrays([pa.array(cell, pa.string()) for cell in cells], schema=MESSAGE)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _frame(batch: pa.RecordBatch, headers: Headers | None) -> tuple[str, pa.RecordBatch]:
    metadata = batch.schema.metadata or {}
    kind = metadata.get(b"tapewatch.type") or dict(headers or ()).get("type") or b"frame"
    columns = {name: _plain(column) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    if b"tapewatch.versions" in metadata:
        columns["model"] = _models(metadata, batch.column("detector"))
    table = bytes(kind).decode("utf-8", "replace")
    return table, pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _plain(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        return column.dictionary_decode()
    return column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column


def _models(metadata: dict[bytes, bytes], detectors: pa.Array) -> pa.Array:
    """`detector=version` of each row of scores, empty where its frame does not say."""
    versions = dict(each.partition("=")[::2] for each in metadata[b"tapewatch.versions"].decode().split(","))
    names = metadata.get(b"tapewatch.detectors", b"").decode().split(",")
    known = [f"{name}={versions[name]}" if name in versions else "" for name in names]
    return pa.array([known[code] if 0 <= code < len(known) else "" for code in detectors.to_pylist()], pa.string())


@dataclass(slots=True)
class Digest:
    """Running digests of tables, column by column, however their rows were cut into batches. rows : by table"""

    rows: dict[str, int] = field(default_factory=dict)
    _hashes: dict[tuple[str, str], Any] = field(default_factory=dict)

    def add(self, table: str, batch: pa.RecordBatch) -> None:
        """Take up rows."""
        self.rows[table] = self.rows.get(table, 0) + batch.num_rows
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            for part, data in enumerate(_buffers(column)):
                hashed = self._hashes.setdefault((table, f"{name}/{part}"), blake2b(digest_size=16))
                hashed.update(data)

    def of(self, table: str) -> str:
        """32 hex digits over every bit of a table's rows in their order; the names of its columns count."""
        whole = blake2b(digest_size=16)
        for (_, name), hashed in sorted((key, hashed) for key, hashed in self._hashes.items() if key[0] == table):
            whole.update(name.encode() + b"=" + hashed.digest())
        return whole.hexdigest()


def _buffers(column: pa.Array) -> Iterator[Any]:
    """The bytes of a column's values, and of what else they consist of."""
    if pa.types.is_string(column.type):
        yield "".join(column.to_pylist()).encode() if column.null_count == 0 else repr(column.to_pylist()).encode()
        yield pa.compute.utf8_length(column).to_numpy(zero_copy_only=False).tobytes()
        return
    if pa.types.is_fixed_size_list(column.type):
        yield from _buffers(column.flatten())
        return
    width = column.type.bit_width // 8
    data = memoryview(column.buffers()[1])
    yield data[column.offset * width : (column.offset + len(column)) * width]
