"""What a run of the engine's work has given, from wherever it lies, in a form that compares every bit of every row.

How far a long step of a benchmark is, told on standard error every 10 s.
"""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from time import perf_counter

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from confluent_kafka import Message

from streams.driver import TOPICS
from streams.engine.build import build_hash
from streams.engine.model_store import KafkaModelStore
from streams.engine.recovery import Recovery
from streams.engine.task import OutputRecord
from streams.evidence.gathering import BrokerLog
from streams.evidence.proving import feed_kept
from streams.spark.backfill import STEP_RECORDS, batches, folder
from streams.spark.sessions import Session
from streams.spark.tables import MESSAGE, Digest, rows_of
from tapewatch.contract import topics
from tapewatch.contract.frames import Headers
from tapewatch.market_log.registry import Registry
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

EVERY_S = 10.0


class Pace:
    """One step. what : its name; unit : what it counts"""

    def __init__(self, what: str, unit: str = "rows") -> None:
        self._what, self._unit = what, unit
        self._begun = self._told = perf_counter()

    def tell(self, done: int, share: float) -> None:
        """Say how much is done and how long the rest may take, unless that was said less than 10 s ago.

        share : of the whole, 0 to 1
        """
        now = perf_counter()
        if now - self._told >= EVERY_S:
            self._told = now
            left = f", about {(now - self._begun) * (1 / share - 1):,.0f} s left" if share else ""
            print(f"{self._what}: {done:,} {self._unit}, {share:.0%}{left}", file=sys.stderr, flush=True)


@contextmanager
def watched(what: str, unit: str, look: Callable[[], tuple[int, float]]) -> Iterator[None]:
    """Tell how far something is that cannot tell it itself. look : what is done, and its share; another thread asks"""
    pace, ended = Pace(what, unit), threading.Event()

    def ask() -> None:
        while not ended.wait(EVERY_S):
            pace.tell(*look())

    thread = threading.Thread(target=ask, name=f"pace of {what}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


Facts = dict[str, tuple[int, str]]
"""Rows and digest of each table."""


class _Cause(msgspec.Struct):
    topic: str
    partition: int


class _MessageOrigin(msgspec.Struct):
    """Of an alert or a signal: which input it names."""

    provenance: _Cause | None = None
    cause: _Cause | None = None


@dataclass(slots=True)
class PartitionOutputs:
    """One input partition's outputs.

    Rows of frames are compared in their order; messages lie on their topics by instrument, and are compared as a set.
    """

    digest: Digest = field(default_factory=Digest)
    messages: dict[str, list[str]] = field(default_factory=dict)

    def add(self, table: str, batch: pa.RecordBatch) -> None:
        """Take up rows."""
        if batch.schema.names == MESSAGE.names:
            rows = zip(*(column.to_pylist() for column in batch.columns), strict=True)
            self.messages.setdefault(table, []).extend(map(repr, rows))
        else:
            self.digest.add(table, batch)

    def record(self, topic: str, value: bytes, key: bytes | None, headers: Headers) -> None:
        """Take up a record of an output topic."""
        self.add(*rows_of(topic, value, key, headers))

    def facts(self) -> Facts:
        """What there is."""
        found = {table: (rows, self.digest.of(table)) for table, rows in self.digest.rows.items()}
        for table, texts in self.messages.items():
            found[table] = len(texts), blake2b("\n".join(sorted(texts)).encode(), digest_size=16).hexdigest()
        return dict(sorted(found.items()))


def driven(settings: Settings, feed: str, partition: int) -> Facts:
    """What the brokerless task makes of a partition's log, from the state that it began with."""
    registry, reader = Registry(settings), kafka.consumer(settings)
    registry.read_whole()
    where, told = (topics.market(feed), partition), PartitionOutputs()
    recovery = Recovery(settings, registry, KafkaModelStore(settings), build_hash())
    task = recovery.opened_task(*where) or recovery.empty_task(*where)
    log = BrokerLog(reader)
    low, high = log.bounds(where)
    pace = Pace(f"driver {feed}[{partition}]")
    try:
        for count, record in enumerate(log.read(where, low, high - 1), 1):
            feed_kept(task, record)
            if count % STEP_RECORDS == 0:
                _take(told, task.take())
                pace.tell(sum(task.tally.rows.values()), (record.offset + 1 - low) / (high - low))
        _take(told, task.take())
    finally:
        reader.close()
        recovery.close()
        registry.close()
    return told.facts()


def _take(told: PartitionOutputs, records: Iterable[OutputRecord]) -> None:
    for record in records:
        if record.topic in TOPICS:
            told.record(record.topic, record.value, record.key, record.headers)


def on_topics(settings: Settings, feed: str, partitions: int) -> list[Facts]:
    """What lies on the output topics for a feed, read committed, by input partition."""
    return joined([on_topic(settings, feed, partitions, topic) for topic in TOPICS])


def joined(topics_facts: Sequence[Sequence[Facts]]) -> list[Facts]:
    """What lies on several topics, by input partition; none of them has a table of another's."""
    found: list[Facts] = [{} for _ in topics_facts[0]]
    for facts in topics_facts:
        for whole, part in zip(found, facts, strict=True):
            whole.update(part)
    return found


def on_topic(settings: Settings, feed: str, partitions: int, topic: str) -> list[Facts]:
    """What lies on one of them."""
    told = [PartitionOutputs() for _ in range(partitions)]
    pace, records, seen = Pace(f"reading {topic}", "records"), _records(settings, topic), 0

    def keep(message: Message) -> None:
        nonlocal seen
        seen += 1
        pace.tell(seen, seen / records)
        value, headers = message.value() or b"", message.headers() or []
        origin = _origin(topic, feed, value, headers)
        if origin is not None:
            told[origin].record(topic, value, message.key(), headers)

    kafka.read_all(settings, topic, keep)
    return [each.facts() for each in told]


def _records(settings: Settings, topic: str) -> int:
    """About how many a topic holds: the markers of transactions count too."""
    reader = kafka.consumer(settings)
    try:
        count = kafka.existing_topics(reader).get(topic, 0)
        ends = [kafka.watermarks(reader, topic, partition) for partition in range(count)]
    finally:
        reader.close()
    return sum(high - low for low, high in ends)


def _origin(topic: str, feed: str, value: bytes, headers: Headers) -> int | None:
    """The input partition of a record, if its input is this feed."""
    if topic in (topics.ALERTS, topics.SIGNALS):
        try:
            said = msgspec.json.decode(value, type=_MessageOrigin)
        except msgspec.MsgspecError:
            return None
        cause = said.provenance or said.cause
        return cause.partition if cause is not None and cause.topic == topics.market(feed) else None
    named = dict(headers)
    return int(named["partition"]) if named.get("feed") == feed.encode() else None


def in_folder(out: Path, sessions: Iterable[Session]) -> list[Facts]:
    """What a backfill has written, by input partition. sessions : of one feed, by partition and offset"""
    return [in_partition(out, mine) for mine in by_partition(sessions)]


def by_partition(sessions: Iterable[Session]) -> list[list[Session]]:
    """The sessions of each partition."""
    return [list(mine) for _, mine in groupby(sessions, key=lambda session: session.where)]


def in_partition(out: Path, sessions: Sequence[Session]) -> Facts:
    """What a backfill has written for one partition."""
    places = [
        (path.relative_to(out).parts[0], path)
        for session in sessions
        for path in sorted(out.glob(f"*/feed=*/partition=*/session={session.day}/*.parquet"))
        if path.parent == folder(out, session, path.relative_to(out).parts[0])
    ]
    rows, seen, told = sum(pq.read_metadata(path).num_rows for _, path in places), 0, PartitionOutputs()
    pace = Pace(f"reading Parquet [{sessions[0].partition}]")
    for table, path in places:
        for batch in batches([path]):
            told.add(table, batch)
            seen += batch.num_rows
            pace.tell(seen, seen / rows)
    return told.facts()
