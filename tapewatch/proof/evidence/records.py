"""Kafka records as evidence keeps them: offset, time, key, headers and value, as an Arrow IPC stream."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pyarrow as pa
from confluent_kafka import Message

from tapewatch.errors import TapewatchError

_HEADER = pa.struct([("name", pa.utf8()), ("value", pa.binary())])
_SCHEMA = pa.schema(
    [
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("timestamp_ms", pa.int64()),
        ("key", pa.binary()),
        ("value", pa.large_binary()),
        ("headers", pa.list_(_HEADER)),
    ]
)


@dataclass(frozen=True, slots=True)
class EvidenceRecord:
    """One Kafka record. timestamp_ms : as the broker gives it, UTC milliseconds"""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]] = field(default_factory=list)


def kept(message: Message) -> EvidenceRecord:
    """A consumed message as a record."""
    return EvidenceRecord(
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        [(name, value if isinstance(value, bytes) else b"") for name, value in message.headers() or ()],
    )


def encode(records: Iterable[EvidenceRecord]) -> bytes:
    """Records as one Arrow IPC stream with one batch, its buffers compressed by zstd."""
    rows = [
        {
            "partition": record.partition,
            "offset": record.offset,
            "timestamp_ms": record.timestamp_ms,
            "key": record.key,
            "value": record.value,
            "headers": [{"name": name, "value": value} for name, value in record.headers],
        }
        for record in records
    ]
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, _SCHEMA, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=_SCHEMA))
    return bytes(stream.getvalue())


def decode(data: bytes) -> list[EvidenceRecord]:
    """The records of an encoded stream; TapewatchError where it is none."""
    try:
        rows = pa.ipc.open_stream(data).read_all().cast(_SCHEMA).to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise TapewatchError(f"archived records cannot be read: {error}") from error
    return [
        EvidenceRecord(
            row["partition"],
            row["offset"],
            row["timestamp_ms"],
            row["key"],
            row["value"],
            [(header["name"], header["value"]) for header in row["headers"]],
        )
        for row in rows
    ]
