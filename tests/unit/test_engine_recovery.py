"""Recovery of a partition's state: which snapshot is taken, which part of the log is replayed, what is said of it."""

import hashlib
import io
import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.driver import Driver
from streams.engine import snapshots
from streams.engine.models import ModelStore
from streams.engine.recovery import PATIENCE_S, Progress, Rebuild, Recovery, feed, told_recovery
from streams.engine.snapshots import OPENING, Pointer, Pointers
from tapewatch import logs
from tapewatch.clock import NANOS
from tapewatch.errors import TapewatchError, UnansweredError
from tapewatch.market_log import generations
from tapewatch.market_log.admission import CLOSES
from tapewatch.market_log.generations import CLOSING, OPEN, Generation, Generations, InitialSnapshot
from tapewatch.runtime import kafka
from tapewatch.settings import LogSettings, Settings
from tests.unit.recovery_scene import COST_NS, PARTITION, TOPIC, Record, Scene, same

FOREVER_S = 1e6


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A log of 40 records from offset 0 on."""
    return Scene(monkeypatch)


@pytest.fixture
def said() -> "LogEvents":
    stream = io.StringIO()
    logs.configure(LogSettings(level="info", format="json"), stream)
    return LogEvents(stream)


class LogEvents:
    """Events of the log since it was last asked, without their time."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    def __call__(self) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self._stream.getvalue().splitlines()]
        self._stream.seek(0)
        self._stream.truncate()
        return [{name: value for name, value in line.items() if name != "component" and name != "at"} for line in lines]


def far(rebuild: Rebuild, start: int, offset: int, target: int, seconds_left: float) -> bool:
    """Whether a recovery says that it is so far."""
    now = rebuild.progress
    places = (now.topic, now.partition, now.start, now.offset, now.target)
    return places == (TOPIC, PARTITION, start, offset, target) and now.seconds_left == pytest.approx(
        seconds_left, nan_ok=True
    )


def passing(code: int = KafkaError._TRANSPORT) -> Record:
    return Record(-1, None, error=KafkaError(code))


# Which state it begins with


@pytest.mark.parametrize("target", [1, 6, 17, 40])
def test_without_a_snapshot_the_log_is_replayed_from_its_beginning(scene: Scene, target: int) -> None:
    rebuild = scene.to(target)
    assert rebuild.advance(FOREVER_S)
    assert same(rebuild.task, scene.at(target))
    assert scene.reader.assigned == [(TOPIC, PARTITION, 0)]
    assert far(rebuild, 0, target, target, 0.0)


@pytest.mark.parametrize(("target", "start"), [(9, 0), (10, 10), (11, 10), (29, 10), (30, 30), (40, 30)])
def test_newest_snapshot_that_is_not_ahead_of_the_committed_offset_is_taken(
    scene: Scene, target: int, start: int
) -> None:
    older, newer = scene.store(10, slot=0), scene.store(30, slot=1)
    rebuild = scene.to(target, newer, older)
    assert far(rebuild, start, start, target, 0.0 if start == target else math.nan)
    assert rebuild.advance(FOREVER_S)
    assert same(rebuild.task, scene.at(target))
    assert scene.reader.assigned == [(TOPIC, PARTITION, start)]
    read = [offset for batch in scene.registrations.batches for offset in batch]
    assert read[: target - start] == list(range(start, target))


def test_damaged_snapshot_gives_way_to_the_one_before(scene: Scene, said: LogEvents) -> None:
    older, newer = scene.store(10, slot=0), scene.store(30, slot=1, damage=True)
    rebuild = scene.to(35, newer, older)
    assert rebuild.advance(FOREVER_S)
    assert same(rebuild.task, scene.at(35))
    assert scene.reader.assigned == [(TOPIC, PARTITION, 10)]
    place = {"topic": TOPIC, "partition": PARTITION, "offset": 35}
    why = f"a snapshot of {TOPIC}[{PARTITION}] does not match its digest"
    assert said() == [
        {"level": "warning", "event": "snapshot cannot be used; trying the one before", **place, "why": why},
        {"level": "info", "event": "partition recovered", **place, "snapshot_offset": 10, "seconds": 2.5},
    ]


def test_where_every_snapshot_is_damaged_the_state_is_computed_from_the_log(scene: Scene, said: LogEvents) -> None:
    rebuild = scene.to(35, scene.store(30, slot=1, damage=True), Pointer(5, 99, 2, 10, 0))
    assert rebuild.advance(FOREVER_S)
    assert same(rebuild.task, scene.at(35))
    assert far(rebuild, 0, 35, 35, 0.0)
    events = said()
    assert [event.get("why") for event in events[:2]] == [
        f"a snapshot of {TOPIC}[{PARTITION}] does not match its digest",
        "2 of 2 chunks of a snapshot are gone",
    ]
    assert [event["event"] for event in events[2:]] == [
        "no snapshot can be used: the state is computed from the log",
        "partition recovered",
    ]


@pytest.mark.parametrize("committed", [-1001, 0])
def test_group_that_committed_nothing_begins_with_an_empty_state_where_the_log_does(
    monkeypatch: pytest.MonkeyPatch, said: LogEvents, committed: int
) -> None:
    scene = Scene(monkeypatch, first=700)
    rebuild = scene.to(committed, Pointer(5, 0, 2, 30, 0))
    with pytest.raises(RuntimeError):
        _ = rebuild.task
    assert rebuild.target == 0 and far(rebuild, 0, 0, 0, 0.0)
    assert rebuild.advance(FOREVER_S)
    assert rebuild.task.next_offset == 700 and far(rebuild, 0, 0, 0, 0.0)
    assert rebuild.task.admission.names == [] and said() == []


@pytest.mark.parametrize(("began", "start"), [(-1, 0), (0, 0), (705, 705)])
def test_group_goes_on_from_where_it_began_and_else_from_the_logs_first_record(
    monkeypatch: pytest.MonkeyPatch, began: int, start: int
) -> None:
    scene = Scene(monkeypatch, first=700 if began > 0 else 0)
    target = start + 20
    rebuild = scene.to(target, began=began)
    assert rebuild.advance(FOREVER_S)
    assert scene.reader.assigned == [(TOPIC, PARTITION, start)]
    assert far(rebuild, start, target, target, 0.0)
    assert rebuild.task.tally.frames == 0 and rebuild.task.next_offset == target


def test_offset_without_what_was_kept_beside_it_is_an_error_where_the_logs_beginning_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch, first=700)
    with pytest.raises(TapewatchError, match=r"what the group kept of market.scene\[2\] beside its offset is lost"):
        scene.to(720).advance(FOREVER_S)


def test_recovery_is_never_less_far_than_where_it_hopes_to_begin(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker is away when the snapshot before the damaged one has been read."""
    rebuild = scene.to(35, scene.store(30, slot=1, damage=True), scene.store(10, slot=0))
    given = Scene.watermarks

    def away(*asked: Any) -> tuple[int, int]:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    monkeypatch.setattr(Scene, "watermarks", away)
    assert not rebuild.advance(FOREVER_S)
    assert far(rebuild, 30, 30, 35, math.nan)
    monkeypatch.setattr(Scene, "watermarks", given)
    assert rebuild.advance(FOREVER_S)
    assert far(rebuild, 10, 35, 35, 0.0)


def test_recovery_that_had_to_wait_for_its_turn_is_as_patient_as_any(scene: Scene, said: LogEvents) -> None:
    rebuild = scene.to(20)
    scene.clock.sleep(100.0)
    assert not rebuild.advance(0.0, PATIENCE_S)
    assert said() == []


def test_records_that_were_deleted_since_the_group_began_are_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, first=700)
    monkeypatch.setattr(generations, "read", lambda settings: Generations())
    with pytest.raises(TapewatchError, match="begins at offset 700, what is known of its state ends before 0"):
        scene.to(720, began=0).advance(FOREVER_S)


# The replay


def test_replay_is_silent_and_what_comes_behind_it_is_written(scene: Scene) -> None:
    rebuild = scene.to(20)
    assert rebuild.advance(FOREVER_S)
    task = rebuild.task
    assert task.take() == [] and not task.silent
    assert (task.tally.frames, task.tally.refused, task.tally.first_offset) == (0, {}, -1)
    feed(task, scene.log[20])
    assert [record.topic for record in task.take()] == [f"{TOPIC}.dlq"]


def test_replay_stops_at_its_time_and_goes_on_where_it_stopped(scene: Scene) -> None:
    """A record takes 0.1 s; ten are read at once."""
    rebuild = scene.to(40)
    assert not rebuild.advance(1.0)
    assert far(rebuild, 0, 10, 40, 3.0)
    assert not rebuild.advance(1.01)
    assert far(rebuild, 0, 30, 40, 1.0)
    assert rebuild.task.silent and rebuild.replay_ns == 3 * NANOS
    assert rebuild.advance(1.0)
    assert same(rebuild.task, scene.at(40))
    assert scene.reader.assigned == [(TOPIC, PARTITION, 0)]
    assert scene.registrations.batches == [list(range(first, first + 10)) for first in (0, 10, 20, 30)]
    assert scene.reader.place == -1 and rebuild.replay_ns == 4 * NANOS


def test_pace_counts_from_the_snapshot_on(scene: Scene) -> None:
    rebuild = scene.to(40, scene.store(30, slot=0))
    scene.reader.at_once = 4
    assert not rebuild.advance(0.1)
    assert far(rebuild, 30, 34, 40, 0.6)


def test_only_records_before_the_target_are_fed_however_many_were_read_at_once(scene: Scene) -> None:
    rebuild = scene.to(13)
    assert rebuild.advance(FOREVER_S)
    assert rebuild.task.next_offset == 13 and same(rebuild.task, scene.at(13))
    assert rebuild.replay_ns == 13 * COST_NS


def test_target_that_lies_in_a_gap_of_offsets_is_reached_by_the_record_behind_it(scene: Scene) -> None:
    """Transaction markers take offsets too."""
    del scene.log[12:15]
    rebuild = scene.to(14)
    assert rebuild.advance(FOREVER_S)
    assert rebuild.task.next_offset == 14 and same(rebuild.task, scene.at(14))


def test_target_behind_the_last_record_is_reached_by_the_readers_position(scene: Scene) -> None:
    scene.reader.markers, scene.high = 1, 41
    rebuild = scene.to(41)
    assert rebuild.advance(FOREVER_S)
    assert rebuild.task.next_offset == 41 and same(rebuild.task, scene.at(41))


def test_log_that_ends_in_the_readers_view_before_the_target_is_waited_for(scene: Scene) -> None:
    """Three polls bring nothing and take a second each."""
    scene.high = 41
    records, scene.reader.records = scene.reader.records, scene.reader.records[:10]
    polls: list[bool] = []

    def fetched(batch: Sequence[Any]) -> None:
        polls.append(bool(batch))
        scene.clock.sleep(0 if batch else 1)
        if polls == [True, False, False, False]:
            scene.reader.records, scene.reader.markers = records, 1

    scene.registrations.fetched = fetched  # type: ignore[assignment, method-assign]
    rebuild = scene.to(41)
    assert rebuild.advance(FOREVER_S)
    assert polls == [True, False, False, False, True, True, True, False]
    assert same(rebuild.task, scene.at(41)) and rebuild.replay_ns == 40 * COST_NS


def test_record_is_fed_with_the_nanoseconds_of_the_brokers_milliseconds() -> None:
    class FakeTask:
        def feed(self, *given: Any) -> None:
            self.given = given

    task, record = FakeTask(), Record(7, b"value", [("type", b"quote")])
    feed(task, record)  # type: ignore[arg-type]
    assert task.given == (7, b"value", [("type", b"quote")], 1_750_000_080_000_000_000)


# A log that is cut, short, or answers with errors


def test_log_that_begins_behind_what_is_known_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    monkeypatch.setattr(generations, "read", lambda settings: Generations())
    pointer = scene.store(10, slot=0)
    scene.low = 10
    assert scene.to(20, pointer).advance(FOREVER_S)
    scene.low = 11
    with pytest.raises(TapewatchError) as refusal:
        scene.to(20, pointer).advance(FOREVER_S)
    assert refusal.value.message == f"{TOPIC}[2] begins at offset 11, what is known of its state ends before 10"
    assert "topics.market_retention_hours" in refusal.value.hint


@pytest.mark.parametrize(("cut", "is_behind"), [(19, True), (20, False), (21, False)])
def test_state_behind_the_record_that_closed_the_partition_is_not_needed_any_more(
    monkeypatch: pytest.MonkeyPatch, cut: int, is_behind: bool
) -> None:
    scene = Scene(monkeypatch)
    after = Generation("scene", 2, f"{TOPIC}-g2", 1, OPEN, TOPIC, cut=[0, 0, cut])
    monkeypatch.setattr(generations, "read", lambda settings: Generations({after.topic: after}))
    pointer = scene.store(10, slot=0)
    scene.low = 25
    rebuild = scene.to(20, pointer)
    assert scene.is_behind_cut(TOPIC, PARTITION, 20) == is_behind
    if not is_behind:
        with pytest.raises(TapewatchError, match="begins at offset 25"):
            rebuild.advance(FOREVER_S)
    else:
        scene.low = 15
        assert rebuild.advance(FOREVER_S)
        assert rebuild.task.admission.sources[CLOSES] == (0, 0)
        assert rebuild.task.next_offset == 20 and scene.registrations.batches == []
        assert far(rebuild, 20, 20, 20, 0.0)
    closing = Generation("scene", 2, f"{TOPIC}-g2", 1, CLOSING, TOPIC, cut=[0, 0, cut])
    monkeypatch.setattr(generations, "read", lambda settings: Generations({closing.topic: closing}))
    assert not scene.is_behind_cut(TOPIC, PARTITION, 99)


def test_log_that_is_shorter_than_the_committed_offset_is_waited_for_and_then_an_error(scene: Scene) -> None:
    rebuild = scene.to(41)
    begun = scene.clock.now()
    assert not rebuild.advance(1.0)
    assert scene.clock.now() - begun == NANOS // 10
    assert scene.reader.assigned == []
    scene.clock.sleep(PATIENCE_S - 0.1)
    assert not rebuild.advance(1.0)
    with pytest.raises(TapewatchError) as refusal:
        rebuild.advance(1.0)
    assert refusal.value.message == f"{TOPIC}[2] ends at offset 40, before the committed offset 41"
    later = scene.to(41)
    assert not later.advance(1.0)
    scene.high, scene.reader.markers = 41, 1
    assert later.advance(FOREVER_S)


def test_passing_errors_are_passed_over_others_end_the_recovery(scene: Scene) -> None:
    scene.reader.errors = [passing(), KafkaException(KafkaError(KafkaError._TIMED_OUT)), passing()]
    rebuild = scene.to(20)
    assert not rebuild.advance(FOREVER_S)
    assert rebuild.advance(FOREVER_S)
    assert same(rebuild.task, scene.at(20))
    fatal = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    for error in (Record(-1, None, error=fatal), KafkaException(fatal)):
        scene.reader.errors = [error]
        with pytest.raises(KafkaException) as failure:
            scene.to(20).advance(FOREVER_S)
        assert failure.value.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_recovery_that_could_not_ask_begins_again_with_an_empty_task(
    scene: Scene, said: LogEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered, asked = scene.registrations.kind, list[int]()

    def kind(instrument: str, appended_ns: int) -> str | None:
        asked.append(appended_ns)
        if len(asked) in (2, 3):
            raise UnansweredError("no broker", "Start it.")
        return registered(instrument, appended_ns)

    monkeypatch.setattr(scene.registrations, "kind", kind)
    rebuild = scene.to(20)
    assert [rebuild.advance(60.0) for _ in range(3)] == [False, False, True]
    assert same(rebuild.task, scene.at(20))
    assert [line["why"] for line in said() if "why" in line] == ["no broker"] * 2


def test_log_that_is_deleted_during_the_replay_is_an_error(scene: Scene) -> None:
    rebuild = scene.to(20)
    assert not rebuild.advance(1.0)
    scene.reader.errors = [passing(KafkaError._AUTO_OFFSET_RESET)]
    with pytest.raises(TapewatchError) as refusal:
        rebuild.advance(FOREVER_S)
    assert refusal.value.message == f"{TOPIC}[2] was deleted at offset 10 while it was replayed"


# What is said of it


def test_long_recovery_says_every_two_seconds_how_far_it_is(scene: Scene, said: LogEvents) -> None:
    """A record takes 0.1 s; three are read at once."""
    scene.reader.at_once = 3
    rebuild = scene.to(40, scene.store(10, slot=0))
    found = []
    for _ in range(7):
        assert not rebuild.advance(0.3)
        found.append([(event["event"], event.get("reached"), event.get("seconds_left")) for event in said()])
    # 2.1 s have gone by with the seventh step, which is the first to be more than two.
    assert found == [[], [], [], [], [], [], [("recovering", 31, 0.9)]]
    assert not rebuild.advance(0.3) and said() == []


def test_log_that_stands_still_is_said_to_after_half_a_minute_and_waited_for(scene: Scene, said: LogEvents) -> None:
    scene.reader.records, scene.reader.at_once = scene.log[:10], 10
    rebuild = scene.to(20)
    assert not rebuild.advance(1.0)
    scene.registrations.fetched = lambda batch: scene.clock.sleep(15)  # type: ignore[assignment, method-assign]
    for _ in range(3):
        assert not rebuild.advance(15.0)
    place = {"topic": TOPIC, "partition": PARTITION, "offset": 20, "reached": 10}
    still = {"level": "warning", "event": "recovering; the log does not move", **place}
    going = {"level": "info", "event": "recovering", **place, "seconds_left": 1.0}
    # After 15 s and 30 s it may still move, after 45 s it does not.
    assert said() == [going, going, still]
    scene.reader.records = scene.log
    assert rebuild.advance(FOREVER_S)


def test_log_that_stands_still_for_longer_than_the_patience_ends_a_recovery(scene: Scene) -> None:
    scene.reader.records = scene.log[:10]
    rebuild = scene.to(20)
    assert not rebuild.advance(1.0, 30.0)
    scene.registrations.fetched = lambda batch: scene.clock.sleep(15)  # type: ignore[assignment, method-assign]
    assert not rebuild.advance(15.0, 30.0) and not rebuild.advance(15.0, 30.0)
    with pytest.raises(TapewatchError, match=r"market\.scene\[2\] does not move before offset 20"):
        rebuild.advance(15.0, 30.0)


def test_task_nearest_to_an_offset_waits_half_a_minute_for_its_log(scene: Scene) -> None:
    older, newer = scene.store(10, slot=0), scene.store(30, slot=1)
    task = scene.nearest(TOPIC, PARTITION, 25, Pointers((newer, older)))
    assert same(task, scene.at(25)) and not task.silent
    scene.reader.records, begun = scene.log[:20], scene.clock.now()
    scene.registrations.fetched = lambda batch: scene.clock.sleep(5)  # type: ignore[assignment, method-assign]
    with pytest.raises(TapewatchError, match="does not move before offset 25"):
        scene.nearest(TOPIC, PARTITION, 25, Pointers((newer, older)))
    # Ten records of 0.1 s behind 5 s of reading, then seven readings of nothing.
    assert scene.clock.now() - begun == 41 * NANOS


def progress(start: int, offset: int, target: int, seconds_left: float, partition: int = 0) -> Progress:
    return Progress("market.x", partition, start, offset, target, seconds_left)


@pytest.mark.parametrize(
    ("under_way", "line"),
    [
        ([progress(0, 0, 0, 0.0)], "recovering 0 % of 1 partitions (market.x[0] at 0 of 0)"),
        ([progress(1000, 1000, 5000, math.nan, 3)], "recovering 0 % of 1 partitions (market.x[3] at 1,000 of 5,000)"),
        ([progress(7, 107, 107, 0.0)], "recovering 100 % of 1 partitions (market.x[0] at 107 of 107)"),
        (
            [progress(1000, 2999, 5000, 2001.0)],
            "recovering 49 % of 1 partitions (market.x[0] at 2,999 of 5,000, about 2,001 s left)",
        ),
        (
            # 30 s for 150 records are 0.2 s each, of which 1,150 are left; 50 of 1,200 are done.
            [progress(100, 150, 300, 30.0, 3), progress(0, 0, 1000, math.nan, 4)],
            "recovering 4 % of 2 partitions (market.x[3] at 150 of 300, about 230 s left)",
        ),
        (
            [progress(0, 0, 100, math.nan), progress(0, 50, 150, 10.0, 1), progress(0, 50, 350, 30.0, 2)],
            "recovering 16 % of 3 partitions (market.x[0] at 0 of 100, about 50 s left)",
        ),
    ],
)
def test_line_for_people_says_what_share_is_done_and_how_long_the_rest_may_take(
    under_way: list[Progress], line: str
) -> None:
    assert told_recovery(under_way) == line


# A later generation of a feed


def later(scene: Scene, monkeypatch: pytest.MonkeyPatch, digest: str = "") -> tuple[str, bytes]:
    """The partition 0 of a second generation begins with a snapshot; its topic and the snapshot's bytes."""
    topic = f"{TOPIC}-g2"
    driver = Driver(scene.registrations, topic, 0, ModelStore())
    for record in scene.log[:5]:
        driver.task.feed(record.offset(), record.value(), record.headers(), record.timestamp()[1] * 1_000_000)
    driver.outgoing()
    task = driver.task
    task.next_offset = 0
    data = snapshots.dump(task)
    for index, part in enumerate((data[:500], data[500:])):
        headers, key = snapshots.chunk_headers(task, 2, index), snapshots.chunk_key(task, OPENING, index)
        scene.stored.append(Record(index, part, headers, key))
    opening = InitialSnapshot(5, 0, 2, digest or hashlib.sha256(data).hexdigest(), 1)
    found = Generation("scene", 2, topic, 1, OPEN, TOPIC, cut=[0], openings=[opening])
    monkeypatch.setattr(generations, "read", lambda settings: Generations({topic: found}))
    return topic, data


def test_later_generation_begins_with_the_state_that_the_one_before_ended_with(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, data = later(scene, monkeypatch)
    opened = scene.opened_task(topic, 0)
    assert opened is not None
    assert snapshots.dump(opened) == data
    assert opened.next_offset == 0 and opened.admission.sources == {"test": (0, 4)}
    assert scene.opened_task(topic, 1) is None
    assert scene.opened_task(TOPIC, 0) is None


def test_state_of_a_later_generation_is_not_replaced_by_the_logs_beginning(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, data = later(scene, monkeypatch)
    monkeypatch.setattr(Scene, "watermarks", lambda *given: (0, 0))
    rebuild = scene.begin(topic, 0, 0, Pointers())
    assert rebuild.advance(FOREVER_S)
    assert snapshots.dump(rebuild.task) == data
    # Where the log has lost what comes behind that state, it cannot go on.
    monkeypatch.setattr(Scene, "watermarks", lambda *given: (1, 1))
    with pytest.raises(TapewatchError, match="begins at offset 1, what is known of its state ends before 0"):
        scene.begin(topic, 0, 1, Pointers()).advance(FOREVER_S)


@pytest.mark.parametrize(("digest", "chunks", "why"), [("00", 2, "its bytes are others"), ("", 1, "1 of 2 chunks")])
def test_later_generation_without_its_first_state_does_not_begin(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, digest: str, chunks: int, why: str
) -> None:
    topic, _ = later(scene, monkeypatch, digest)
    del scene.stored[chunks:]
    with pytest.raises(TapewatchError) as refusal:
        scene.opened_task(topic, 0)
    assert refusal.value.message.startswith(f"the state with which {topic}[0] begins cannot be read: {why}")
    assert "backup" in refusal.value.hint


# The readers


def test_one_reader_is_set_anew_whenever_another_recovery_has_used_it(scene: Scene) -> None:
    first, second = scene.to(20), scene.to(40, scene.store(30, slot=0))
    assert not first.advance(1.0)
    assert second.advance(FOREVER_S)
    assert scene.reader.place == -1
    assert first.advance(FOREVER_S)
    assert [offset for *_, offset in scene.reader.assigned] == [0, 30, 10]
    assert same(first.task, scene.at(20)) and same(second.task, scene.at(40))


class Client:
    """A Kafka consumer of one partition with the offsets 10 to 14. properties : with which it was made"""

    def __init__(self, properties: dict[str, Any]) -> None:
        self.properties, self.place, self.is_open = properties, -1, True

    def get_watermark_offsets(self, place: Any, timeout: float) -> tuple[int, int]:
        return 10, 15

    def assign(self, places: Sequence[Any]) -> None:
        (self.place,) = (each.offset for each in places)

    def unassign(self) -> None:
        self.place = -1

    def consume(self, most: int, timeout: float) -> list[Record]:
        first, self.place = self.place, 15
        return [Record(offset, b"") for offset in range(first, 15)]

    def close(self) -> None:
        self.is_open = False


def test_snapshots_are_read_uncommitted_and_the_market_log_never_from_elsewhere(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Client] = []

    def consumer(settings: Settings, **properties: Any) -> Client:
        made.append(Client(properties))
        return made[-1]

    monkeypatch.setattr(kafka, "consumer", consumer)
    registry: Any = scene.registrations
    real = Recovery(Settings(), registry, ModelStore(), "build")
    for pointed, first in ((12, 12), (4, 10), (10, 10)):
        assert [each.offset() for each in real.snapshot_records(5, pointed)] == list(range(first, 15))
    assert real.watermarks(TOPIC, PARTITION) == (10, 15)
    rebuild = real.begin(TOPIC, PARTITION, 0, Pointers())
    assert real.reader_for(rebuild) is None
    assert real.read_from(rebuild, 13) is real.reader_for(rebuild) is made[1]
    assert real.reader_for(real.begin(TOPIC, PARTITION, 0, Pointers())) is None
    assert [each.properties for each in made] == [
        {"isolation_level": "read_uncommitted"},
        {"auto_offset_reset": "error"},
    ]
    assert made[1].place == 13
    real.release()
    assert made[1].place == -1 and real.reader_for(rebuild) is None
    made[1].place = 7
    real.release()
    assert made[1].place == 7
    real.close()
    assert [each.is_open for each in made] == [False, False]
    assert list(real.snapshot_records(5, 15)) == []
    assert len(made) == 3
