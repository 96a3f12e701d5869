"""The engine over a tape without a broker: transaction by transaction, as its process writes them; and taken up again
in the middle.
"""

import hashlib
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal

import msgspec
import pyarrow as pa

from streams.engine import snapshots
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import EVER, ActiveModels, ModelStore
from streams.engine.process import commit_record
from streams.engine.task import OutputRecord, Task
from tapewatch.contract import frames, messages, topics
from tapewatch.market_log.registry import FixedRegistry
from tests.golden.tape import Tape

BUILD = "golden"
PARTITION = 3
Row = dict[str, Any]
Recovery = Literal["", "snapshot", "replay"]
"""Whether the engine dies at the tape's snapshot, and by what it comes back: its snapshot, or the log so far."""


def topic_of(name: str) -> str:
    """The market topic of a tape."""
    return topics.market(name)


def written(name: str, tape: Tape, recovery: Recovery = "") -> list[OutputRecord]:
    """All records that the engine writes over a tape, its commits and the head of its snapshot among them."""
    shelf = ModelStore(tape.models)
    task, found = _new(name, tape, shelf), list[OutputRecord]()
    bounds = [0, *tape.cuts, len(tape.records)]
    for first, end in pairwise(bounds):
        _feed(task, tape, first, end)
        dumped = snapshots.dump(task) if end == tape.snapshot else b""
        if dumped:
            found.append(OutputRecord(topics.SNAPSHOTS, dumped))
        found += task.take()
        found.append(OutputRecord(topics.COMMITS, messages.encode(commit_record(task, "a", "")), task.topic.encode()))
        task.restart_tally()
        if dumped and recovery:
            task = _new(name, tape, shelf)
            if recovery == "snapshot":
                snapshots.restore(task, dumped, shelf)
            else:
                task.silent = True
                _feed(task, tape, 0, end)
                task.end_replay()
    return found


def _new(name: str, tape: Tape, shelf: ModelStore) -> Task:
    force = ActiveModels.default(shelf).after(tape.begins, EVER)
    return Task(topic_of(name), PARTITION, FixedRegistry(tape.instruments), force, BUILD)


def _feed(task: Task, tape: Tape, first: int, end: int) -> None:
    for offset, record in enumerate(tape.records[first:end], first):
        task.feed(offset, record.value, record.headers, record.appended)


def outputs(records: list[OutputRecord]) -> dict[str, list[Row]]:
    """What lies on each topic, a row a line: frames by row type, and every record with its key and headers."""
    found: dict[str, list[Row]] = {"records": []}
    for record in records:
        headers = {name: value.decode() for name, value in record.headers}
        kind = headers.get("type", "")
        rows = list(_rows(record, headers))
        is_frame = record.topic in (topics.FEATURES, topics.SCORES, topics.BARS)
        found.setdefault(f"{record.topic}/{kind}" if is_frame else record.topic, []).extend(rows)
        if not record.topic.endswith(".dlq"):
            key = (record.key or b"").decode()
            sent = {"topic": record.topic, "key": key, "placed by": record.instrument, "rows": len(rows)}
            found["records"].append(sent | headers)
    return found


def _rows(record: OutputRecord, headers: dict[str, str]) -> Iterator[Row]:
    """The rows of a record."""
    if record.topic == topics.SNAPSHOTS:
        yield _head(record.value)
    elif record.topic.endswith(".dlq"):
        yield letter(headers, record.value)
    elif record.value.startswith(b"{"):
        yield msgspec.json.decode(record.value)
    else:
        yield from frame_rows(record.value)


def letter(headers: dict[str, str], value: bytes) -> Row:
    """A dead letter: its headers, and the rows that it keeps; of a whole record they hold size and hash. What a library
    said stands in a detail behind a colon, and may be put otherwise by its next release.
    """
    if headers["kind"] == "row":
        return headers | {"kept": next(iter(frame_rows(value)))}
    if headers["kind"] == "rows":
        return headers | {"kept": list(frame_rows(value))}
    return headers | {"detail": headers["detail"].partition(": ")[0]}


def frame_rows(value: bytes) -> Iterator[Row]:
    """The rows of a frame; what its metadata says of models stands in each."""
    batch = frames.read_stream(value)
    metadata = batch.schema.metadata or {}
    models = {"models": metadata[b"tapewatch.versions"].decode()} if b"tapewatch.versions" in metadata else {}
    columns = {field.name: _values(column) for field, column in zip(batch.schema, batch.columns, strict=True)}
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True)) | models


def _values(column: pa.Array) -> list[Any]:
    """A column's values; times as nanoseconds."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    values: list[Any] = column.to_pylist()
    return [single(value) for value in values] if pa.types.is_float32(column.type) else values


def single(value: float) -> float:
    """A float32 as a number that is short to read: nine digits tell all of them apart."""
    return float(f"{value:.9g}")


def _head(dumped: bytes) -> Row:
    """What a snapshot says of itself, without the state's bytes: that they are whole, the recovery shows."""
    length = int.from_bytes(dumped[32:36], "little")
    told: Row = msgspec.json.decode(dumped[36 : 36 + length])
    config = msgspec.convert(told["config"], DetectorConfig)
    layout = hashlib.sha256(msgspec.json.encode(told["layout"])).hexdigest()
    told |= {"config": config.hash, "layout": layout}
    del told["digest"]
    return told
