"""What goes on at its own pace when the machine's clock is set back an hour in the middle of it."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from sinks.elasticsearch import lane
from sinks.elasticsearch.bulk import Tally
from sinks.postgres import sink
from streams.engine.process import Engine
from streams.engine.recovery import PATIENCE_S
from streams.engine.snapshots import Pointers
from tapewatch.clock import NANOS, ManualClock
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.runtime.idling import IdleDetector
from tapewatch.settings import Settings
from tests.unit import engine_market as m
from tests.unit.recovery_scene import Scene

AN_HOUR_BACK_S = -3600.0


class QuietLog:
    """A log read to its end: every look at it takes half a second, and the fifth one sees the clock set back.

    looks : how often topics that appeared were looked for
    """

    def __init__(self, clock: ManualClock) -> None:
        self._clock, self._polls, self.looks = clock, 0, 0

    def poll(self) -> tuple[list[Any], bool]:
        self._polls += 1
        self._clock.sleep(0.5)
        if self._polls == 5:
            self._clock.set(AN_HOUR_BACK_S)
        if self._polls > 100:
            raise RuntimeError("it never ends")
        return [], False

    def discover(self, positions: object) -> None:
        self.looks += 1

    def restart(self, positions: object, ids: object) -> None:
        """It is at its end anyhow."""

    def is_at_end(self) -> bool:
        return True

    def kept(self) -> tuple[dict[Any, int], dict[str, str]]:
        return {}, {}

    def keep(self, positions: object) -> None:
        """Nothing is new to the group."""

    def lag(self) -> int:
        return 0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_790_000_000 * NANOS)


def test_engine_goes_on_writing_snapshots(clock: ManualClock) -> None:
    engine, place = Engine(Settings(), clock), ("market.x", 0)
    task = m.run([m.quote("A.SIMX", 0, 99, 101)]).task
    whole: Any = SimpleNamespace(task=task, pointers=Pointers(), target=1, replay_ns=0, advance=lambda _: True)
    engine._rebuilding.under_way[place] = whole
    touched = engine._rebuilding.step()
    clock.set(AN_HOUR_BACK_S)
    assert engine._due(touched) is None
    clock.sleep(engine._settings.engine.snapshot_seconds)
    assert engine._due(touched) is touched[place]


def test_recovery_is_no_more_patient_with_a_log_that_lacks_records(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    rebuild = scene.to(41)
    assert not rebuild.advance(1.0)
    scene.clock.set(AN_HOUR_BACK_S)
    scene.clock.sleep(PATIENCE_S)
    with pytest.raises(TapewatchError, match="ends at offset 40, before the committed offset 41"):
        rebuild.advance(1.0)


def test_elasticsearch_sink_goes_on_looking_around_and_ends_when_idle(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "WALL", clock)
    quiet = QuietLog(clock)
    log: Any = quiet
    nothing: Any = SimpleNamespace(take=None)
    lane.PartitionWriter("docs", log, lambda _: None, lambda: nothing, nothing, nothing, Tally(), 1).run(
        threading.Event(), 8.0
    )
    assert quiet.looks == 3


def test_elasticsearch_sink_commits_offsets_that_do_not_move_again_every_hour(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "WALL", clock)
    stood, kept = {("alerts", 0): 7, ("cases", 0): 3}, []

    class Slow(QuietLog):
        """Every look takes a third of an hour longer."""

        def poll(self) -> tuple[list[Any], bool]:
            clock.sleep(1200)
            return super().poll()

        def kept(self) -> tuple[dict[Any, int], dict[str, str]]:
            return stood, {}

        def keep(self, positions: object) -> None:
            kept.append(positions)

    log: Any = Slow(clock)
    nothing: Any = SimpleNamespace(take=None)
    begun = lane.PartitionWriter("docs", log, lambda _: None, lambda: nothing, nothing, nothing, Tally(), 1)
    begun.run(threading.Event(), 3 * 3600.0)
    # At the first of nine looks, and then at every third.
    assert kept == [stood] * 3


def test_postgres_sink_goes_on_reporting_and_ends_when_idle(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "WALL", clock)
    for name in ("check_revision", "Keys", "FeatureColumns", "Refusals", "Intake", "Writer"):
        monkeypatch.setattr(sink, name, lambda *_: None)
    positions = SimpleNamespace(next_offsets={}, topic_ids={}, take_up_ids=lambda _: None)
    monkeypatch.setattr(sink, "Positions", lambda *_: positions)
    monkeypatch.setattr(sink, "AuditCopy", lambda _: SimpleNamespace(refresh=lambda _: None))
    told: list[Any] = []
    made = sink.PostgresSink(Settings())
    made._report, made._last_input_ns = told.append, clock.now()
    log: Any = QuietLog(clock)
    session: Any = SimpleNamespace(fetched=lambda _: None)
    made._one_session(session, log, session, session, threading.Event(), 8.0)
    assert len(told) >= 4


def test_reader_that_ends_when_idle_ends(clock: ManualClock) -> None:
    idling = IdleDetector(8.0, clock)
    end: Any = SimpleNamespace(
        error=lambda: KafkaError(KafkaError._PARTITION_EOF), topic=lambda: "market.x", partition=lambda: 0
    )
    idling.read([end])
    clock.set(AN_HOUR_BACK_S)
    clock.sleep(9)
    assert idling.is_over([("market.x", 0)])


def test_question_that_is_not_answered_is_given_up(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "WALL", clock)
    asked: list[int] = []

    def ask() -> None:
        asked.append(len(asked))
        if len(asked) == 3:
            clock.set(AN_HOUR_BACK_S)
        if len(asked) < 1_000:
            raise KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION))

    with pytest.raises(KafkaException):
        kafka.answered(ask, kafka._is_not_ready, 15.0)
    assert len(asked) == 302
