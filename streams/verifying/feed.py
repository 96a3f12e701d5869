"""A whole feed verified, one process a partition at a time, without holding more than a stretch of any log."""

import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

from confluent_kafka import Consumer, Message, TopicPartition

from streams.engine.build import build_hash
from streams.engine.recovery import Recovery
from streams.engine.shelf import KafkaModelStore
from streams.verifying.partition import Input, PartitionCheck, PartitionResult
from streams.verifying.report import Report, report
from streams.verifying.sent import SentReport, check_sent
from tapewatch import group_offsets, kafka, sent_record, topics
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError
from tapewatch.registry import Registry
from tapewatch.settings import Settings

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
