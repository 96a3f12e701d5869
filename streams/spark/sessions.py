"""Sessions of a feed: stretches of a market partition's log that can be computed by themselves, from the state that the
engine kept as a day of the partition's clock began, from that with which a later generation of the feed was opened, or
from the log's own beginning.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import msgspec

from streams.engine import opening_snapshots
from streams.engine.build import build_hash
from streams.engine.model_store import KafkaModelStore
from streams.engine.models import ModelSource, ModelStore
from streams.engine.recovery import Recovery
from streams.engine.snapshots import Pointer, collect, restore
from streams.engine.task import ReferenceData, Task
from streams.evidence.gathering import BrokerLog, MarketLog, Where
from streams.evidence.proving import new_task
from streams.spark.stored_log import ExportModelStore, StoredLog, StoredRegistry
from tapewatch.contract import frames, topics
from tapewatch.errors import ContractError, TapewatchError
from tapewatch.market_log import generations
from tapewatch.market_log.registry import FixedRegistry, Registry
from tapewatch.proof.evidence.records import EvidenceRecord
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

_PEEKED = 1000
"""Records that are looked at for the first one with a time."""


class Session(msgspec.Struct, frozen=True):
    """A stretch of a partition's log. day : its first, 2026-01-31; first, end : offsets, `end` is not in it

    opening : whether its state was kept, else it begins with the log; pointer : where, on the broker
    """

    topic: str
    partition: int
    day: str
    first: int
    end: int
    opening: bool = False
    pointer: Pointer | None = None

    @property
    def where(self) -> Where:
        """Its partition."""
        return self.topic, self.partition


class Source:
    """Where a feed's history is read: the broker, or an exported log.

    folder : of the export, empty for the broker
    """

    def __init__(self, settings: Settings, folder: str = "") -> None:
        self._settings = settings
        self._stored = StoredLog(Path(folder)) if folder else None
        self._reader = None if folder else kafka.consumer(settings, auto_offset_reset="error")
        self.log: MarketLog = self._stored or BrokerLog(self._reader)

    def partitions(self, topic: str) -> int:
        """How many there are."""
        if self._stored is not None:
            return self._stored.partitions(topic)
        return kafka.existing_topics(kafka.admin(self._settings)).get(topic, 0)

    def openings(self, where: Where) -> list[tuple[str, int, Pointer | None]]:
        """Day, offset and place of each opening of a partition, by offset."""
        if self._stored is not None:
            return [(day, offset, None) for day, offset in self._stored.openings(where)]
        task = new_task(where, FixedRegistry([]), ModelStore())
        found = opening_snapshots.stored(self._settings, self._reader, task)
        return [(opening_snapshots.name_of(each.day), each.pointer.next_offset, each.pointer) for each in found]

    def refuse_lost_beginning(self, where: Where) -> None:
        """TapewatchError where an export lacks the state with which a partition of a later generation begins."""
        log = self._stored
        if log is None or generations.named(topics.feed_of(where[0])) is None:
            return
        if not log.has(topics.GENERATIONS) or opening_snapshots.beginning(log.generations(), *where) is not None:
            raise TapewatchError(
                f"{where[0]} may go on where another topic ended, and the state that {where[0]}[{where[1]}] begins "
                f"with is not in {log.folder}",
                f"Export it once more: tapewatch export {where[0]} --as records --out {log.folder}",
            )

    def task(self, session: Session) -> Task:
        """The task as it is before the session's first record."""
        registry, shelf = self._reference()
        task = new_task(session.where, registry, shelf)
        if session.opening:
            restore(task, self._state(session, task), shelf)
        return task

    def _reference(self) -> tuple[ReferenceData, ModelSource]:
        if self._stored is not None:
            return StoredRegistry(self._stored), ExportModelStore(self._stored)
        registry = Registry(self._settings)
        registry.read_whole()
        registry.close()
        return registry, KafkaModelStore(self._settings)

    def _state(self, session: Session, task: Task) -> bytes:
        if self._stored is not None:
            return self._stored.opening(session.where, session.day)
        if session.pointer is None:
            raise TapewatchError(f"the opening of {session.day} has no place on the broker", "Plan the backfill again.")
        recovery = Recovery(self._settings, Registry(self._settings), ModelStore(), build_hash())
        try:
            return collect(session.pointer, task, recovery.snapshot_records)
        finally:
            recovery.close()

    def close(self) -> None:
        """Give the reader back."""
        if self._reader is not None:
            self._reader.close()


def plan(source: Source, feed: str, since: str = "", until: str = "", only: Sequence[int] = ()) -> list[Session]:
    """The sessions of a feed, by partition and offset, as the log stands now.

    since, until : first and last day; only : partitions, all where none is named
    """
    topic = topics.market(feed)
    count = source.partitions(topic)
    if not count:
        raise TapewatchError(f"there is no feed {feed}", "See `tapewatch status`, or export it first.")
    wrong = [each for each in only if not 0 <= each < count]
    if wrong:
        raise TapewatchError(f"{topic} has partitions 0 to {count - 1}, not {wrong[0]}", "Name another.")
    found = [session for partition in only or range(count) for session in _of_partition(source, (topic, partition))]
    return [each for each in found if (not since or each.day >= since) and (not until or each.day <= until)]


def _of_partition(source: Source, where: Where) -> list[Session]:
    low, high = source.log.bounds(where)
    known = [each for each in source.openings(where) if low <= each[1] < high]
    starts: list[tuple[str, int, Pointer | None, bool]] = [(*each, True) for each in known]
    if low == 0 and (not known or known[0][1] > 0):
        source.refuse_lost_beginning(where)
        starts.insert(0, (first_day(source.log, where, low, high), low, None, False))
    if low < high and not starts:
        raise TapewatchError(
            f"{where[0]}[{where[1]}] begins at offset {low}, and no state of that place is kept",
            "Its beginning is deleted: raise topics.market_retention_hours, or work from an export that has it.",
        )
    ends = [start[1] for start in starts[1:]] + [high]
    return [
        Session(*where, day, first, end, opening, pointer)
        for (day, first, pointer, opening), end in zip(starts, ends, strict=True)
        if first < end
    ]


def first_day(log: MarketLog, where: Where, low: int, high: int) -> str:
    """The UTC day of the first row of a log; that of the first record's append time where it holds none."""
    appended = 0
    for record in log.read(where, low, min(high, low + _PEEKED) - 1):
        appended = appended or record.timestamp_ms * 1_000_000
        if (time := time_of(record)) is not None:
            return opening_snapshots.name_of(time // opening_snapshots.DAY_NS)
    return opening_snapshots.name_of(appended // opening_snapshots.DAY_NS)


def time_of(record: EvidenceRecord) -> int | None:
    """`ts_recv` of the first row of a market frame, UTC ns; None where the record is none."""
    try:
        view = frames.Decoder().open(record.value or b"")
        return int(view.column("ts_recv")[0]) if view.rows else None
    except ContractError:
        return None


def touching(sessions: Sequence[Session]) -> bool:
    """Whether each session of a partition ends where the next one begins."""
    return all(a.end == b.first for a, b in pairwise(sessions) if a.where == b.where)
