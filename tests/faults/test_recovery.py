"""What users of other stream processors complain of, each under its name, and what recovery rests on: snapshots that
are damaged, a log that has been cut, a replay longer than the group's patience.
"""

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import TopicPartition

from streams.engine import recovery
from streams.engine.process import Engine
from streams.engine.recovery import Progress
from streams.engine.snapshots import Pointer, Pointers, collect
from streams.engine.task import Task
from tapewatch.contract import topics
from tapewatch.contract.rows import StatusKind
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.settings import KafkaSettings, Settings
from tapewatch.settings.stack import Addresses
from tests.eventually import EndedError, eventually
from tests.faults import engine_runs as runs
from tests.integration.engine_feed import Feed
from tests.unit import engine_market as m

pytestmark = pytest.mark.slow  # engines over a real broker, and waits for its time-outs

A, B = "AAA.TEST", "BBB.TEST"
SECONDS = 120
HASTE_S = 7
"""max.poll.interval.ms of a test, in seconds; librdkafka takes none below the session's time-out of 6 s."""


def send_market(feed: Feed, first: int, seconds: int = SECONDS) -> None:
    """Quotes of two instruments, each second a heartbeat."""
    for second in range(first, first + seconds):
        feed.send([m.status(StatusKind.HEARTBEAT, second)])
        feed.send([m.quote(name, second + 0.25, 100.0 + second % 7, 100.5 + second % 7) for name in (A, B)])
    feed.flush()


def same_as_driven(feed: Feed) -> None:
    """What lies on the topics is what the brokerless driver makes of the log, row by row."""
    found: runs.Rows = {}
    wanted: runs.Rows = {}
    for topic in (topics.FEATURES, topics.SCORES, topics.BARS):
        for record in feed.rows(topic):
            runs.collect(found, topic, record.value, record.headers)
    for record in feed.driven():
        if record.topic in (topics.FEATURES, topics.SCORES, topics.BARS):
            runs.collect(wanted, record.topic, record.value, record.headers)
    runs.assert_same({0: found}, {0: wanted})


@pytest.fixture
def worked(settings: Settings) -> Feed:
    """A feed that an engine has worked on until there were two snapshots."""
    feed = Feed(settings, [A, B], snapshot_seconds=0.001)
    send_market(feed, 0)
    with feed.engine():
        two_newer(feed, 0)
    return feed


def two_newer(feed: Feed, offset: int) -> None:
    """Send on, a few seconds of market at a time, until there are two snapshots behind an offset of the log."""

    def are_there() -> bool:
        if sum(each.next_offset > offset for each in feed.pointers().snapshots) >= 2:
            return True
        go_on(feed, 2)
        feed.wait()
        return False

    eventually(are_there, what="two snapshots", seconds=120, pause=0.0)


def go_on(feed: Feed, seconds: int = SECONDS) -> None:
    """Send the market's next seconds; each is two records."""
    send_market(feed, feed.sequence // 2, seconds)


def commit(feed: Feed, offset: int, pointers: Pointers) -> None:
    """Put a new group where an engine would have left the old one, which still waits for its member to come back."""
    feed.join(f"{feed.name}-{uuid.uuid4().hex[:6]}")
    client = kafka.consumer(feed.settings, feed.settings.engine.group)
    try:
        place = TopicPartition(feed.topic, 0, offset, metadata=pointers.encoded())
        client.commit(offsets=[place], asynchronous=False)
    finally:
        client.close()


def damaged(feed: Feed, pointer: Pointer) -> Pointer:
    """The snapshot once more on its topic, one byte of its first chunk another."""
    reader = kafka.consumer(feed.settings)
    low, high = kafka.watermarks(reader, topics.SNAPSHOTS, pointer.partition)
    start = max(low, pointer.offset)
    records = list(kafka.read_range(reader, topics.SNAPSHOTS, pointer.partition, start, high))[: pointer.chunks]
    reader.close()
    offsets: list[int] = []
    producer = kafka.producer(feed.settings)
    for number, record in enumerate(records):
        value = bytearray(record.value() or b"")
        value[len(value) // 2] ^= 0xFF if number == 0 else 0
        producer.produce(
            topics.SNAPSHOTS,
            bytes(value),
            record.key(),
            pointer.partition,
            headers=record.headers(),
            on_delivery=lambda error, message: offsets.append(message.offset()),
        )
    assert producer.flush(30) == 0
    return msgspec.structs.replace(pointer, offset=min(offsets))


@contextmanager
def running(engine: Engine) -> Iterator[tuple[threading.Event, list[BaseException]]]:
    """An engine in a thread; what it ended with."""
    stop, failures = threading.Event(), list[BaseException]()

    def work() -> None:
        try:
            engine.run(stop)
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield stop, failures
    finally:
        stop.set()
        thread.join(600)
        assert not thread.is_alive()


def refused(feed: Feed) -> TapewatchError:
    """What an engine says that must not start to work."""
    engine = Engine(feed.settings)
    with running(engine) as (_, failures):
        eventually(lambda: failures, what="the engine refuses", seconds=90)
    assert isinstance(failures[0], TapewatchError)
    return failures[0]


def test_damaged_snapshot_falls_back_to_the_one_before(worked: Feed, caplog: pytest.LogCaptureFixture) -> None:
    newest, before = worked.pointers().snapshots
    began = worked.pointers().began
    commit(worked, worked.end(), Pointers((damaged(worked, newest), before), began))
    go_on(worked)
    with caplog.at_level("WARNING", "tapewatch"), worked.engine():
        pass
    assert sum("snapshot cannot be used" in record.message for record in caplog.records) == 1
    same_as_driven(worked)


def test_without_a_readable_snapshot_the_log_is_computed_from_its_beginning(
    worked: Feed, caplog: pytest.LogCaptureFixture
) -> None:
    held = worked.pointers()
    commit(worked, worked.end(), Pointers(tuple(damaged(worked, each) for each in held.snapshots), held.began))
    go_on(worked)
    with caplog.at_level("WARNING", "tapewatch"), worked.engine() as engine:
        pass
    assert engine.totals.recovered == 1
    assert sum("the state is computed from the log" in record.message for record in caplog.records) == 1
    same_as_driven(worked)


def test_without_snapshots_and_the_beginning_of_the_log_the_engine_ends_and_says_so(worked: Feed) -> None:
    held = worked.pointers()
    commit(worked, worked.end(), Pointers(tuple(damaged(worked, each) for each in held.snapshots), held.began))
    before = worked.committed().offset
    cut(worked, 10)
    error = refused(worked)
    assert f"{worked.topic}[0] begins at offset 10" in error.message
    assert "market_retention_hours" in error.hint
    assert worked.committed().offset == before


def cut(feed: Feed, offset: int) -> None:
    """Delete the log before an offset, as retention does."""
    place = TopicPartition(feed.topic, 0, offset)
    client = kafka.admin(feed.settings)  # held, or its answer never comes
    client.delete_records([place])[place].result(30)


def test_offsets_lost_silently(worked: Feed) -> None:
    """Records deleted before they were read, a group's offset behind the log's end: an engine that meets either says so
    and ends; it neither passes over the hole nor begins anew.
    """
    stands, pointers = worked.committed().offset, worked.pointers()
    commit(worked, worked.end() + 1_000, pointers)
    recovery_patience, recovery.PATIENCE_S = recovery.PATIENCE_S, 1.0
    try:
        error = refused(worked)
    finally:
        recovery.PATIENCE_S = recovery_patience
    assert f"before the committed offset {worked.end() + 1_000}" in error.message
    commit(worked, stands, pointers)
    go_on(worked)
    cut(worked, stands + 5)
    error = refused(worked)
    assert f"{worked.topic}[0] begins at offset {stands + 5}" in error.message
    assert worked.committed().offset == stands


def test_snapshot_behind_another_engines_open_transaction_is_read(worked: Feed, settings: Settings) -> None:
    pointer, stands = worked.pointers().snapshots[0], worked.end()
    other = kafka.producer(settings, transactional_id=f"other-{worked.name}", transaction_timeout_ms=30_000)
    other.init_transactions(30)
    other.begin_transaction()
    other.produce(topics.SNAPSHOTS, b"half", f"{worked.name}|half".encode(), pointer.partition)
    other.flush(30)
    try:
        with worked.engine():
            two_newer(worked, stands)
        newest = worked.pointers().snapshots[0]
        assert newest.offset > pointer.offset
        reader = recovery.Recovery(worked.settings, None, None, "")  # type: ignore[arg-type]  # reads only
        task = Task.__new__(Task)
        task.topic, task.partition = worked.topic, 0
        assert collect(newest, task, reader.snapshot_records)
        reader.close()
    finally:
        other.abort_transaction(30)


def test_recovery_that_hangs(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay longer than the group waits for a member's poll: the member is not thrown out, says how far it is, ends
    when it is told to, and the next one comes to the end.
    """
    feed = Feed(settings, [A, B], snapshot_seconds=3_600.0)
    send_market(feed, 0)
    with feed.engine():
        pass
    hasty = msgspec.structs.replace(
        settings.kafka, client={"max.poll.interval.ms": str(HASTE_S * 1000), "session.timeout.ms": "6000"}
    )
    feed.settings = msgspec.structs.replace(feed.settings, kafka=hasty)
    pause_s, quick = (HASTE_S + 2) / feed.end(), recovery.feed

    def slow(task: Task, message: object) -> None:
        time.sleep(pause_s)
        quick(task, message)

    monkeypatch.setattr(recovery, "feed", slow)
    monkeypatch.setattr(recovery, "READ_AT_ONCE", 20)
    engine = Engine(feed.settings)
    seen: list[Progress] = []
    with running(engine) as (stop, failures):
        until_share(engine, seen, 0.2, failures)
        stop.set()
    assert engine.totals.recovered == 0  # told to end in the middle, it ended there
    engine, seen = Engine(feed.settings), []
    with running(engine) as (_, failures):
        until_share(engine, seen, 1.0, failures)
        monkeypatch.setattr(recovery, "feed", quick)
        go_on(feed)
        feed.wait()
    assert engine.totals.recovered == 1
    assert engine.totals.aborted == 0
    offsets = [each.offset for each in seen]
    assert offsets == sorted(offsets)
    assert len(set(offsets)) > 5
    assert any(0 < each.seconds_left < 10 * HASTE_S for each in seen)
    same_as_driven(feed)


def until_share(engine: Engine, seen: list[Progress], share: float, failures: list[BaseException]) -> None:
    """Watch a recovery until so much of the log is replayed, or until it is done."""

    def is_so_far() -> bool:
        if failures:
            raise EndedError(failures)
        seen.extend(engine.recovering)
        there = bool(seen) and share < 1.0 and seen[-1].offset >= share * seen[-1].target > 0
        return there or engine.totals.recovered > 0

    eventually(is_so_far, what="the recovery", seconds=120)


def test_duplicates_under_exactly_once(stack: Addresses, tmp_path: Path) -> None:
    """The answer to a commit is lost and the process dies: what was committed is not written again, as it would be by
    whoever takes "no answer" for "not committed"; and a writer that sends its frames again is not counted twice.
    """
    settings = Settings(data=str(tmp_path), kafka=KafkaSettings(bootstrap=stack.bootstrap))
    feed = "no-duplicates"
    runs.write_market(settings, feed, seconds=90, partitions=1, instruments=6, flushes=1)
    total = runs.write_market(settings, feed, seconds=90, partitions=1, instruments=6, flushes=1)
    engines = runs.Engines(settings, feed, "group-no-duplicates", batch_frames=10)
    words = engines.die("a", "committed", after=2)
    engines.start("a")
    try:
        engines.wait(total)
    finally:
        engines.stop()
    assert words.next
    found, wanted = runs.written(settings, feed), runs.expected(settings, feed)
    runs.assert_same(found, wanted)
    keys = [row[:3] for row in found[0][f"{topics.FEATURES}/features"]]
    assert len(keys) == len(set(keys)) > 0
