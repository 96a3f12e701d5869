"""The bridge on a real broker: every good message one row, every bad one a dead letter, once, over kill -9."""

import json
import os
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message, TopicPartition

from producers.base.state import AbortedError, FencedError, committed_position
from producers.feed import read_tail
from producers.venues.bridge.map import load_map
from producers.venues.bridge.process import Bridge, BridgeSummary
from tapewatch import cli
from tapewatch.clock import NANOS, WALL, ManualClock
from tapewatch.contract import topics
from tapewatch.contract.frames import to_rows
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import RowType
from tapewatch.contract.topics import TopicSpec
from tapewatch.errors import TapewatchError
from tapewatch.market_log.admission import Admission
from tapewatch.market_log.registry import Registry, register
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tests.eventually import eventually
from tests.integration.at_work import at_work

MAP = """
feed = "{feed}"
{more}
[instrument]
template = "{{code}}.XKRX"
register = {register}
currency = "KRW"
[[rows]]
type = "trade"
[rows.columns]
ts_event = {{ path = "@timestamp" }}
price = {{ path = "price", absolute = true }}
qty = "qty"
trade_id = "id"
"""
PARTITIONS = 3


class Place:
    """A topic of other people's, and a feed with its map."""

    def __init__(self, settings: Settings, folder: Path, more: str = "", register: str = "true") -> None:
        self.settings = settings
        name = uuid.uuid4().hex[:10]
        self.topic, self.feed = f"theirs-{name}", f"b-{name}"
        self.map = folder / f"{name}.toml"
        self.map.write_text(MAP.format(feed=self.feed, more=more, register=register))
        kafka.create_topics(settings, [TopicSpec(self.topic, PARTITIONS)])

    def put(self, values: list[tuple[int, bytes]], at_ns: int = 0) -> None:
        producer = kafka.producer(self.settings, linger_ms=5)
        for partition, value in values:
            producer.produce(self.topic, value, partition=partition, timestamp=at_ns // 1_000_000)
        assert producer.flush(30) == 0

    def run(self, **options: Any) -> BridgeSummary:
        bridge = Bridge(self.settings, load_map(self.map), self.topic, from_end=options.pop("from_end", False))
        return bridge.run(threading.Event(), until_end=True)

    def log(self, topic: str) -> list[Message]:
        found: list[Message] = []
        kafka.read_all(self.settings, topic, found.append)
        return found

    def ids(self) -> list[str]:
        """Ids of the trades that count, in the log's order."""
        registry = Registry(self.settings)
        admissions: dict[int, Admission] = {}
        found: list[str] = []
        for message in self.log(f"market.{self.feed}"):
            one = admissions.setdefault(message.partition(), Admission(registry))
            admitted = one.admit(message.value(), message.headers(), message.timestamp()[1] * 1_000_000)
            assert admitted is not None
            assert not admitted.refused
            rows = to_rows(message.value())
            if rows.type == RowType.TRADE:
                found += rows.columns["trade_id"].tolist()
        registry.close()
        return found

    def letters(self) -> list[dict[str, str]]:
        return [
            {name: value.decode() for name, value in message.headers()}
            for message in self.log(f"market.{self.feed}.dlq")
        ]


def message(number: int, at_ns: int | None = None, **changed: Any) -> bytes:
    at = WALL.now() if at_ns is None else at_ns
    fields = {
        "@timestamp": to_rfc3339(at),
        "code": f"00{number % 7:04d}",
        "price": f"-{number + 1}.25",
        "qty": 3,
        "id": number,
    }
    tree = {**fields, **changed}
    return json.dumps(tree).encode()


SMALL = """
import sys, threading
from pathlib import Path
from producers.venues.bridge.map import load_map
from producers.venues.bridge.process import Bridge
from tapewatch import settings
Bridge(settings.load(), load_map(Path(sys.argv[1])), sys.argv[2], batch=100).run(threading.Event())
"""
"""A bridge with so small transactions that there are many to be killed in."""


def test_kill_9_neither_loses_nor_repeats_a_row_or_a_dead_letter(settings: Settings, tmp_path: Path) -> None:
    # About 15 s: two processes are started and killed at work.
    place = Place(settings, tmp_path)
    count = 8_000
    bad = set(range(100, count, 997))
    place.put([(n % PARTITIONS, b"{broken %d" % n if n in bad else message(n)) for n in range(count)])
    environment = {**os.environ, "TAPEWATCH_KAFKA_BOOTSTRAP": settings.kafka.bootstrap}
    before = 0
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", SMALL, str(place.map), place.topic], env=environment)

        def is_at_work(goal: int = before + 60) -> bool:
            return _sent(place) >= goal

        eventually(is_at_work, what="60 more messages are sent", pause=0.005)
        process.kill()
        process.wait()
        before = _sent(place)
    left = place.run()
    assert 0 < left.messages < count
    good = [str(n) for n in range(count) if n not in bad]
    assert sorted(place.ids(), key=int) == good
    letters = place.letters()
    assert sorted((int(each["origin_partition"]), int(each["origin_offset"])) for each in letters) == sorted(
        (n % PARTITIONS, n // PARTITIONS) for n in bad
    )
    assert {each["reason"] for each in letters} == {"not_json"}
    assert {each["origin_topic"] for each in letters} == {place.topic}


def test_command_ends_with_a_summary_when_all_is_taken(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(settings, tmp_path)
    place.put([(0, message(1)), (0, b"none")])
    monkeypatch.setenv("TAPEWATCH_KAFKA_BOOTSTRAP", settings.kafka.bootstrap)
    words = ["produce", "kafka", "--topic", place.topic, "--map", str(place.map), "--until-end", "--json"]
    assert cli.main(words) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["messages"], summary["rows"], summary["refused"]) == (2, {"trade": 1}, {"not_json": 1})


def _sent(place: Place) -> int:
    """How far the output has come: records of the market topic, committed or not."""
    reader = kafka.consumer(place.settings, isolation_level="read_uncommitted")
    try:
        known = kafka.existing_topics(kafka.admin(place.settings)).get(f"market.{place.feed}", 0)
        heads = [kafka.watermarks(reader, f"market.{place.feed}", each)[1] for each in range(known)]
    finally:
        reader.close()
    return sum(heads)


def test_catching_up_keeps_the_times_of_receipt_and_goes_on_where_it_stopped(
    settings: Settings, tmp_path: Path
) -> None:
    place = Place(settings, tmp_path)
    hour_ago = WALL.now() - 3_600 * NANOS
    place.put([(0, message(n, hour_ago + n * NANOS)) for n in range(3)], at_ns=hour_ago + 3 * NANOS)
    first = place.run()
    assert first.rows == {"trade": 3}
    times = [to_rows(m.value()).ts_recv for m in place.log(f"market.{place.feed}")]
    assert min(times[0]) < hour_ago + 60 * NANOS
    place.put([(1, message(9))])
    assert place.run().rows == {"trade": 1}
    assert sorted(place.ids()) == ["0", "1", "2", "9"]


def test_only_registered_ids_are_taken_where_the_map_says_so(settings: Settings, tmp_path: Path) -> None:
    place = Place(settings, tmp_path, register="false")
    known = f"K{uuid.uuid4().hex[:8].upper()}"
    kafka.create_topics(settings, topics.shared_topics(settings.topics))
    register(settings, [Instrument(f"{known}.XKRX")])
    place.put([(0, message(1, code=known)), (0, message(2, code="NOBODY"))])
    summary = place.run()
    assert place.ids() == ["1"]
    assert summary.refused == {"unregistered_instrument": 1}
    assert summary.registered == 0


def test_ids_that_appear_are_registered_as_provisional_and_known_ones_are_left_alone(
    settings: Settings, tmp_path: Path
) -> None:
    place = Place(settings, tmp_path)
    known, fresh = (f"{letter}{uuid.uuid4().hex[:8].upper()}" for letter in "KF")
    kafka.create_topics(settings, topics.shared_topics(settings.topics))
    register(settings, [Instrument(f"{known}.XKRX", name="as the exchange has it", lot=10.0)])
    place.put([(0, message(1, code=known)), (1, message(2, code=fresh))])
    place.run()
    registry = Registry(settings)
    registry.refresh()
    registry.close()
    assert registry.instruments[f"{known}.XKRX"].name == "as the exchange has it"
    assert registry.instruments[f"{known}.XKRX"].provisional == ""
    assert registry.instruments[f"{fresh}.XKRX"].provisional == f"template of {place.feed}"


def test_from_now_leaves_out_what_lies_there_and_stays_there_over_a_restart(settings: Settings, tmp_path: Path) -> None:
    place = Place(settings, tmp_path)
    place.put([(n % PARTITIONS, message(n)) for n in range(9)])
    assert place.run(from_end=True).messages == 0
    place.put([(0, message(100))])
    assert place.run(from_end=True).messages == 1
    assert place.ids() == ["100"]


def test_position_of_a_topic_of_another_cluster_is_kept_in_ours(settings: Settings, tmp_path: Path) -> None:
    place = Place(settings, tmp_path, more=f'[input]\nbootstrap = "{settings.kafka.bootstrap}"')
    place.put([(0, message(1)), (1, message(2))])
    assert place.run().messages == 2
    assert place.run().messages == 0
    position = json.loads(committed_position(settings, f"bridge-{place.feed}") or b"")
    assert position == {"topic": place.topic, "offsets": {"0": 1, "1": 1, "2": 0}}


def test_idle_bridge_sends_a_heartbeat_a_second_to_every_partition(settings: Settings, tmp_path: Path) -> None:
    # Three seconds of the wall clock have to pass.
    place = Place(settings, tmp_path)
    stop = threading.Event()
    bridge = Bridge(settings, load_map(place.map), place.topic)
    worker = threading.Thread(target=bridge.run, args=(stop,))
    worker.start()
    wanted = 3 * settings.topics.market_partitions
    eventually(lambda: len(place.log(f"market.{place.feed}")) >= wanted, what="three heartbeats each", pause=0.2)
    stop.set()
    worker.join(600)
    beats = [(m.partition(), int(to_rows(m.value()).ts_recv[0]) // NANOS) for m in place.log(f"market.{place.feed}")]
    assert len(set(beats)) == len(beats) >= 3 * settings.topics.market_partitions
    assert {partition for partition, _ in beats} == set(range(settings.topics.market_partitions))


class FlakyBridge(Bridge):
    """A bridge whose second and fourth transaction fail when all has been sent."""

    calls = 0

    def _fill(self, one: Any, rows: Any, refused: Any) -> None:
        super()._fill(one, rows, refused)
        self.calls += 1
        if self.calls in (2, 4):
            raise AbortedError("as if the broker had not answered")


def test_failed_transactions_are_done_again_from_the_committed_position(settings: Settings, tmp_path: Path) -> None:
    place = Place(settings, tmp_path)
    place.put([(n % PARTITIONS, message(n) if n % 10 else b"none") for n in range(300)])
    bridge = FlakyBridge(settings, load_map(place.map), place.topic, batch=50)
    summary = bridge.run(threading.Event(), until_end=True)
    assert summary.aborted == 2
    assert sorted(place.ids(), key=int) == [str(n) for n in range(300) if n % 10]
    assert len(place.letters()) == 30


def test_second_bridge_of_a_feed_ends_the_first(settings: Settings, tmp_path: Path) -> None:
    place = Place(settings, tmp_path)
    place.put([(0, message(1))])
    first, failures = Bridge(settings, load_map(place.map), place.topic), list[BaseException]()

    def work() -> None:
        try:
            first.run(threading.Event())
        except FencedError as error:
            failures.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    eventually(lambda: first.summary.rows, what="the first bridge has sent a row")
    place.put([(0, message(2))])
    place.run()
    worker.join(600)
    assert len(failures) == 1
    assert place.ids() == ["1", "2"]


def test_missing_topic_and_market_topics_are_refused_with_what_to_do(settings: Settings, tmp_path: Path) -> None:
    place = Place(settings, tmp_path)
    bridge = load_map(place.map)
    with pytest.raises(TapewatchError, match="there is no topic"):
        Bridge(settings, bridge, "nobody-writes-this").run(threading.Event())
    with pytest.raises(TapewatchError, match="market topic of ours"):
        Bridge(settings, bridge, "market.twse")


def test_dry_run_prints_rows_and_refusals_and_sends_nothing(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(settings, tmp_path)
    place.put([(0, message(1)), (0, b"\x1b[2J not json"), (0, message(2))])
    monkeypatch.setenv("TAPEWATCH_KAFKA_BOOTSTRAP", settings.kafka.bootstrap)
    words = ["produce", "kafka", "--topic", place.topic, "--map", str(place.map), "--dry-run"]
    assert cli.main([*words, "--json"]) == 0
    tree = json.loads(capsys.readouterr().out)
    assert [(row["type"], row["trade_id"], row["price"]) for row in tree["rows"]] == [
        ("trade", "1", 2.25), ("trade", "2", 3.25),
    ]  # fmt: skip
    assert [each["refused"] for each in tree["refused"]] == ["not_json"]
    assert cli.main(words) == 0
    assert "\x1b" not in capsys.readouterr().out
    assert f"market.{place.feed}" not in kafka.existing_topics(kafka.admin(settings))


def test_input_that_lost_messages_gives_a_gap_row(settings: Settings, tmp_path: Path) -> None:
    place = Place(settings, tmp_path)
    place.put([(0, message(n)) for n in range(5)])
    place.run()
    place.put([(0, message(n)) for n in range(5, 10)])
    client, upto = kafka.admin(settings), TopicPartition(place.topic, 0, 8)
    client.delete_records([upto])[upto].result(timeout=15)
    place.run()
    assert sorted(place.ids(), key=int) == ["0", "1", "2", "3", "4", "8", "9"]
    statuses = [to_rows(m.value()) for m in place.log(f"market.{place.feed}")]
    details = [text for rows in statuses if rows.type == RowType.STATUS for text in rows.columns["detail"].tolist()]
    assert any(f"{place.topic}[0] offsets 5 to 7" in text for text in details)
    assert read_tail(settings, place.feed).newest_ns > 0


def test_silent_input_is_committed_again_every_hour(settings: Settings, tmp_path: Path) -> None:
    class FastClock(ManualClock):
        """Time of day as it is; an hour passes in a second."""

        def now(self) -> int:
            return WALL.now()

        def elapsed(self) -> int:
            return 3600 * WALL.elapsed()

    place = Place(settings, tmp_path, more='receipt = "event"')
    place.put([(0, message(1))])
    bridge = Bridge(settings, load_map(place.map), place.topic, clock=FastClock())
    with at_work(bridge.run):
        eventually(lambda: bridge.summary.messages == 1, what="the message is taken")
        taken = bridge.summary.transactions
        eventually(lambda: bridge.summary.transactions >= taken + 3, what="the offsets are committed again")
    assert place.ids() == ["1"]
