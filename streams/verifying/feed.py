"""A whole feed verified, one process a partition at a time, without holding more than a stretch of any log.

What a whole-feed verification tells.
"""

import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import msgspec
from confluent_kafka import Consumer, Message, TopicPartition

from streams.engine.build import build_hash
from streams.engine.model_store import KafkaModelStore
from streams.engine.recovery import Recovery
from streams.verifying.aligning import DIFFERENT, DUPLICATED, LOST, ComparisonResult, Place
from streams.verifying.partition import Input, PartitionCheck, PartitionResult
from streams.verifying.sent import SentReport, check_sent
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.logs import printable
from tapewatch.market_log import sent_record
from tapewatch.market_log.registry import Registry
from tapewatch.runtime import group_offsets, kafka
from tapewatch.settings import Settings

KINDS = (LOST, DUPLICATED, DIFFERENT)


class Table(msgspec.Struct, frozen=True):
    """One row type of an output topic, of one input partition.

    rows : that the log gives; found : that lie on the topic; places : the first few of each kind of difference
    """

    topic: str
    type: str
    partition: int
    rows: int
    found: int
    lost: int
    duplicated: int
    different: int
    places: list[Place]


class Report(msgspec.Struct, frozen=True):
    """A feed, verified.

    rows_in : accepted input rows by type; refused : rows and records by dead-letter reason; repeats : frames dropped as
    seen before
    waiting : input frames that no engine has processed
    other_builds : alerts and signals that name another build of the program; its name is left out of the comparison
    lost, duplicated, different : rows out; where a record was given, rows in too
    seconds : wall time, s; rows_per_s : input rows; sent : the log beside its simulator's record
    """

    feed: str
    partitions: int
    frames: int
    rows: int
    rows_in: dict[str, int]
    refused: dict[str, int]
    repeats: int
    waiting: int
    rows_out: int
    lost: int
    duplicated: int
    different: int
    other_builds: int
    seconds: float
    rows_per_s: float
    tables: list[Table]
    sent: SentReport | None = None

    def beside(self, sent: SentReport) -> "Report":
        """With what a record says of the log."""
        sums = {kind: getattr(self, kind) + getattr(sent, kind) for kind in KINDS}
        return msgspec.structs.replace(self, sent=sent, **sums)

    @property
    def sound(self) -> bool:
        """Whether all is as it must be."""
        return not (self.lost or self.duplicated or self.different or self.waiting)

    def lines(self) -> list[str]:
        """For people: totals of each row type, then every table in which something is wrong."""
        by_type = ", ".join(f"{count:,} {name}" for name, count in sorted(self.rows_in.items())) or "none"
        lines = [f"rows in   {self.rows:,} in {self.frames:,} frames of {self.partitions} partitions: {by_type}"]
        if self.refused or self.repeats:
            refused = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.refused.items()))
            lines.append(f"          refused: {refused or 'none'}; frames seen before: {self.repeats:,}")
        lines += [f"  {_line(topic, kind, found)}" for (topic, kind), found in _by_stream(self.tables).items()]
        for table in self.tables:
            if table.lost or table.duplicated or table.different:
                lines.append(_told(table))
                lines += [f"    {_at(place)}" for place in table.places]
        if self.waiting:
            lines.append(f"WAITING   {self.waiting:,} input frames that no engine has processed")
        if self.other_builds:
            lines.append(f"          {self.other_builds:,} messages name another build of the program")
        lines += self.sent.lines() if self.sent is not None else []
        lines.append(
            f"{'proved' if self.sound else 'NOT proved'}: {self.lost:,} lost, {self.duplicated:,} duplicated, "
            f"{self.different:,} different of {self.rows_out:,} rows out ({self.seconds:.1f} s, "
            f"{self.rows_per_s:,.0f} rows in a second)"
        )
        return lines


def report(feed: str, checked: Sequence[PartitionResult], waiting: int, seconds: float) -> Report:
    """Put together what came out of all partitions."""
    tables = [
        Table(topic, kind, each.partition, found.rows, found.found, *_counts(found), found.places)
        for each in sorted(checked, key=lambda one: one.partition)
        for (topic, kind), found in sorted(each.streams.items())
        if found.rows or found.found
    ]
    rows_in, refused = Counter[str](), Counter[str]()
    for each in checked:
        rows_in.update(each.rows)
        refused.update(each.refused)
    return Report(
        feed=feed,
        partitions=len(checked),
        frames=sum(each.frames for each in checked),
        rows=rows_in.total(),
        rows_in=dict(sorted(rows_in.items())),
        refused=dict(sorted(refused.items())),
        repeats=sum(each.duplicates for each in checked),
        waiting=waiting,
        rows_out=sum(table.rows for table in tables),
        lost=sum(table.lost for table in tables),
        duplicated=sum(table.duplicated for table in tables),
        different=sum(table.different for table in tables),
        other_builds=sum(each.other_builds for each in checked),
        seconds=round(seconds, 3),
        rows_per_s=round(rows_in.total() / max(seconds, 1e-9), 1),
        tables=tables,
    )


def _counts(found: ComparisonResult) -> tuple[int, int, int]:
    return found.lost, found.duplicated, found.different


def _by_stream(tables: Sequence[Table]) -> dict[tuple[str, str], Counter[str]]:
    """Sums over partitions, by topic and row type."""
    sums: dict[tuple[str, str], Counter[str]] = {}
    for table in tables:
        mine = sums.setdefault((table.topic, table.type), Counter())
        mine.update({name: getattr(table, name) for name in ("rows", *KINDS)})
    return sums


def _line(topic: str, kind: str, found: Counter[str]) -> str:
    wrong = ", ".join(f"{found[name]:,} {name}" for name in KINDS if found[name])
    return f"{topic} {kind}: {found['rows']:,} rows, {wrong or 'all there, once, the same'}"


def _told(table: Table) -> str:
    wrong = ", ".join(f"{getattr(table, name):,} {name}" for name in KINDS if getattr(table, name))
    return f"WRONG     {table.topic} {table.type} of input partition {table.partition}: {wrong} of {table.rows:,} rows"


def _at(place: Place) -> str:
    where = f"input offset {place.offset}" if place.offset >= 0 else ""
    told = ", ".join(part for part in (where, place.instrument, place.second) if part)
    return printable(f"{place.kind}: {place.what}{': ' if told else ''}{told}")


TELL_NS = 5 * NANOS
"""Time between two lines of progress."""
_QUEUED_KB = 16_384
"""What a reader holds of a log ahead of its use."""


class KafkaLog:
    """The broker's logs, as far as they are written when they are first asked for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.partitions: Mapping[str, int] = kafka.existing_topics(kafka.admin(settings))
        self._open: list[tuple[Consumer, Generator[Message, None, None]]] = []

    def records(self, topic: str, partition: int) -> Iterator[Message]:
        """The committed records of a partition, in order; a transaction that is still open is waited for."""
        low, high = extent(self._settings, topic, partition)
        if low and topics.is_market(topic):
            raise TapewatchError(
                f"{topic}[{partition}] begins at offset {low}: its beginning is deleted",
                "A whole feed is verified from its first record on: raise topics.market_retention_hours.",
            )
        reader = kafka.consumer(
            self._settings,
            queued_max_messages_kbytes=_QUEUED_KB,
            queued_min_messages=2000,
            fetch_queue_backoff_ms=kafka.FULL_QUEUE_MS,
        )
        records = kafka.read_range(reader, topic, partition, low, high)
        self._open.append((reader, records))
        return records

    def close(self) -> None:
        """Give the consumers back."""
        for reader, records in self._open:
            records.close()
            reader.close()


def extent(settings: Settings, topic: str, partition: int) -> tuple[int, int]:
    """First and next offset of a partition, open transactions included."""
    reader = kafka.consumer(settings, isolation_level="read_uncommitted")
    try:
        return kafka.watermarks(reader, topic, partition)
    finally:
        reader.close()


def verify_feed(
    settings: Settings,
    feed: str,
    chosen: Sequence[int] = (),
    workers: int = 1,
    wait_s: float = 30.0,
    quiet: bool = False,
) -> Report:
    """Verify a feed's partitions, all where none are chosen. workers : processes at once

    What lies in the log now is verified once the engine's group has processed it; after `wait_s` seconds, what it has.
    """
    begun = WALL.elapsed()
    count = kafka.existing_topics(kafka.admin(settings)).get(topics.market(feed), 0)
    if not count:
        raise TapewatchError(f"there is no feed {feed}", "See `tapewatch status` for the topics there are.")
    wrong = [partition for partition in chosen if not 0 <= partition < count]
    if wrong:
        raise TapewatchError(f"{topics.market(feed)} has partitions 0 to {count - 1}, not {wrong[0]}", "Name another.")
    partitions = list(chosen) or list(range(count))
    ends, waiting = await_engine(settings, feed, partitions, wait_s)
    inputs = [Input(feed, partition, count, ends[partition]) for partition in partitions]
    if workers == 1 or len(inputs) == 1:
        checked = [check(settings, given, quiet) for given in inputs]
    else:
        with ProcessPoolExecutor(min(workers, len(inputs)), mp_context=get_context("spawn")) as pool:
            checked = list(pool.map(check, [settings] * len(inputs), inputs, [quiet] * len(inputs)))
    return report(feed, checked, waiting, (WALL.elapsed() - begun) / NANOS)


def verify_sent(settings: Settings, feed: str, path: Path) -> SentReport:
    """Hold a feed's market log against its simulator's record."""
    answered = sent_record.read(path)
    if not answered:
        raise TapewatchError(f"{path} holds no record", "Name the file given to `produce synthetic --record`.")
    run = answered[-1].run
    if run.feed != feed:
        raise TapewatchError(f"{path} is the record of feed {run.feed}", "Name that feed.")
    log, topic = KafkaLog(settings), topics.market(feed)
    if log.partitions.get(topic, 0) < run.partitions:
        raise TapewatchError(f"{topic} is not on this broker", "Connect to the broker that the record was sent to.")
    try:
        # The feed may go on: what was acknowledged before the log's ends were asked for must lie there, and what lies
        # there must be known to the record as it is after that.
        logs = [(each, log.records(topic, each)) for each in range(run.partitions)]
        return check_sent(sent_record.as_answered(sent_record.read(path), answered), logs)
    finally:
        log.close()


def check(settings: Settings, given: Input, quiet: bool) -> PartitionResult:
    """Verify one partition; lines of progress go to stderr."""
    log, registry = KafkaLog(settings), Registry(settings)
    recovery = Recovery(settings, registry, KafkaModelStore(settings), build_hash())
    try:
        registry.read_whole()
        begins = recovery.opened_task(given.topic, given.partition)
        return PartitionCheck(log, given, registry, recovery.shelf, _silent if quiet else progress(), begins).run()
    finally:
        recovery.close()
        registry.close()
        log.close()


def _silent(check: PartitionCheck) -> None:
    """Say nothing."""


def progress() -> Callable[[PartitionCheck], None]:
    """Says every few seconds how far a check has come."""
    said = WALL.elapsed()

    def tell(check: PartitionCheck) -> None:
        nonlocal said
        now = WALL.elapsed()
        if now - said < TELL_NS:
            return
        said = now
        found = check.found().values()
        lost, doubled = sum(each.lost for each in found), sum(each.duplicated for each in found)
        different = sum(each.different for each in found)
        print(
            f"{check.given.topic}[{check.given.partition}] offset {check.offset:,} of {check.given.end:,}: "
            f"{check.rows.total():,} rows in, {lost:,} lost, {doubled:,} duplicated, {different:,} different",
            file=sys.stderr,
            flush=True,
        )

    return tell


def await_engine(settings: Settings, feed: str, partitions: Sequence[int], wait_s: float) -> tuple[dict[int, int], int]:
    """Up to which offset the engine has processed what lies in the log now, by partition; and how many frames it has
    not, after having waited for it.
    """
    topic = topics.market(feed)
    ends = {partition: extent(settings, topic, partition)[1] for partition in partitions}
    last = dict(ends)
    group = kafka.consumer(settings, settings.engine.group)
    deadline = WALL.elapsed() + int(wait_s * NANOS)
    try:
        while True:
            asked = [TopicPartition(topic, partition) for partition in partitions]
            done = {place.partition: max(place.offset, 0) for place in group_offsets.committed(group, asked)}
            left = [partition for partition in partitions if _waits(settings, topic, partition, done, ends)]
            if not left:
                return ends, 0
            if WALL.elapsed() >= deadline:
                ends |= {partition: done[partition] for partition in left}
                return ends, sum(_frames(settings, topic, each, done[each], last[each]) for each in left)
            WALL.sleep(0.5)
    finally:
        group.close()


def _waits(settings: Settings, topic: str, partition: int, done: Mapping[int, int], ends: Mapping[int, int]) -> bool:
    """Whether a frame waits for an engine. Transaction markers take offsets too, and no engine comes to stand behind
    one that ends the log.
    """
    reader = kafka.consumer(settings)
    try:
        with closing(kafka.read_range(reader, topic, partition, done[partition], ends[partition])) as waiting:
            return next(waiting, None) is not None
    finally:
        reader.close()


def _frames(settings: Settings, topic: str, partition: int, start: int, end: int) -> int:
    """Committed records in a range of the log."""
    reader = kafka.consumer(settings)
    try:
        return sum(1 for _ in kafka.read_range(reader, topic, partition, start, end))
    finally:
        reader.close()
