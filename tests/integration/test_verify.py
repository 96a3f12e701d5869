"""An alert made by the real engine is proved from the log; whatever was changed since is named."""

import json
import logging
from collections.abc import Iterator

import msgspec
import pytest
from confluent_kafka import TopicPartition

from streams.driver import TOPICS
from streams.engine.snapshots import Pointer, Pointers, chunk_headers, chunk_key
from streams.engine.task import Task
from streams.engine.verification import Proof, verify
from tapewatch import cli
from tapewatch.clock import WALL
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tapewatch.settings.stack import Addresses
from tests.integration.engine_feed import Feed, alert_of
from tests.integration.pumped_market import CALM_S, COIN, pumped_market
from tests.unit import engine_market as m


@pytest.fixture(scope="module")
def feed(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feed]:
    """A feed over which the engine has raised its alerts, with snapshots all along the way."""
    settings = Settings(
        data=str(tmp_path_factory.mktemp("verify")),
        kafka=msgspec.structs.replace(Settings().kafka, bootstrap=stack.bootstrap),
    )
    made = Feed(settings, [COIN], snapshot_seconds=0.001)
    with made.engine():
        for number, frame in enumerate(pumped_market()):
            made.send(frame)
            if number % 200 == 199:
                made.wait()
                WALL.sleep(0.6)
    yield made


@pytest.fixture(scope="module")
def pump(feed: Feed) -> str:
    """The id of the pump alert."""
    found = {alert_of(message)["id"] for message in feed.written(topics.ALERTS) if b"pump_and_dump" in message.value()}
    assert len(found) == 1
    return found.pop()


def records(feed: Feed, alert: str) -> list[bytes]:
    return [message.value() for message in feed.written(topics.ALERTS) if message.key() == alert.encode()]


def command(feed: Feed, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setenv("TAPEWATCH_KAFKA_BOOTSTRAP", feed.settings.kafka.bootstrap)
    monkeypatch.setenv("TAPEWATCH_ENGINE_GROUP", feed.settings.engine.group)
    monkeypatch.setattr(logging.getLogger("tapewatch"), "handlers", [])
    return cli.main(["--data", feed.settings.data, "verify", *words])


def put(feed: Feed, alert: str, value: bytes) -> None:
    """Append a record to the alerts."""
    producer = kafka.producer(feed.settings)
    producer.produce(topics.ALERTS, value, alert.encode(), partition=0, headers=[("type", b"alert"), ("version", b"1")])
    assert producer.flush(30) == 0


def copied(value: bytes, alert: str, old: bytes, new: bytes) -> bytes:
    """The record under another id, with one part changed."""
    assert value.count(old) >= 1
    return value.replace(alert.encode(), forged_id(alert).encode()).replace(old, new, 1)


def forged_id(alert: str) -> str:
    return alert[:-1] + ("0" if alert[-1] != "0" else "1")


def test_alert_is_proved_from_the_log(feed: Feed, pump: str) -> None:
    proof = verify(feed.settings, pump)
    assert proof.identical
    assert [finding.revision for finding in proof.findings] == [0, 1]
    assert all(finding.identical and finding.same_build for finding in proof.findings)
    assert proof.input == f"{feed.topic}[0]"


def test_every_alert_of_the_feed_is_proved(feed: Feed) -> None:
    for alert in {alert_of(message)["id"] for message in feed.written(topics.ALERTS)}:
        assert verify(feed.settings, alert).identical


def test_proof_begins_at_a_snapshot(feed: Feed, pump: str) -> None:
    assert feed.pointers().snapshots
    whole = msgspec.structs.replace(feed.settings.engine, group="nobody-yet")
    from_start = verify(msgspec.structs.replace(feed.settings, engine=whole), pump)
    assert from_start.identical


def test_command_proves_an_alert(
    feed: Feed, pump: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(feed, monkeypatch, pump, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["alert"] == pump
    assert found["identical"] is True
    assert command(feed, monkeypatch, pump) == 0
    assert "proved" in capsys.readouterr().out


def test_unknown_alert_is_a_clear_error(
    feed: Feed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(feed, monkeypatch, "0" * 32, "--json") == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "there is no alert 0000" in said.err
    assert "next:" in said.err


def test_alert_that_nobody_raised_is_not_proved(feed: Feed, pump: str) -> None:
    forged = records(feed, pump)[0].replace(pump.encode(), b"f" * 32)
    put(feed, "f" * 32, forged)
    proof = verify(feed.settings, "f" * 32)
    assert not proof.identical
    assert proof.findings[0].differences == ["the log does not give this alert"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("far behind the log's end", {"decided_offset": 10**12, "updated_offset": 10**12}),
        ("before the alert", {"decided_offset": 1, "updated_offset": 3}),
        ("after the alert", {"decided_offset": 10**6, "updated_offset": 10**6}),
    ],
)
def test_alert_whose_offsets_point_elsewhere_is_not_proved(
    feed: Feed, pump: str, name: str, change: dict[str, int]
) -> None:
    alert = msgspec.json.decode(records(feed, pump)[0])
    alert["provenance"] |= change
    alert["id"] = mine = f"{len(name):032x}"
    put(feed, mine, msgspec.json.encode(alert))
    assert not verify(feed.settings, mine).identical


@pytest.mark.parametrize("change", [{"topic": "market.gone"}, {"partition": 77}])
def test_alert_of_a_log_that_is_not_there_is_a_clear_error(feed: Feed, pump: str, change: dict[str, object]) -> None:
    alert = msgspec.json.decode(records(feed, pump)[0])
    alert["provenance"] |= change
    alert["id"] = mine = f"{sum(map(ord, str(change))):032x}"
    put(feed, mine, msgspec.json.encode(alert))
    with pytest.raises(TapewatchError, match="is not on this broker"):
        verify(feed.settings, mine)


def hand_over(feed: Feed, pointers: Pointers) -> None:
    """Let a new group go on where the old one stands, with these pointers; the old group still has its member."""
    place = TopicPartition(feed.topic, 0, feed.committed().offset, metadata=pointers.encoded())
    feed.join(f"{feed.name}-next")
    reader = kafka.consumer(feed.settings, feed.settings.engine.group)
    reader.commit(offsets=[place], asynchronous=False)
    reader.close()


def garbage(feed: Feed, newest: Pointer, value: bytes) -> Pointer:
    """A record in the place of the newest snapshot's first chunk."""
    task = Task.__new__(Task)
    task.topic, task.partition, task.next_offset = feed.topic, 0, newest.next_offset
    producer, offsets = kafka.producer(feed.settings), []
    producer.produce(
        topics.SNAPSHOTS, value, chunk_key(task, newest.slot, 0), newest.partition,
        headers=chunk_headers(task, 1, 0), on_delivery=lambda error, message: offsets.append(message.offset()),
    )  # fmt: skip
    assert producer.flush(30) == 0
    return msgspec.structs.replace(newest, offset=offsets[0], chunks=1)


@pytest.mark.parametrize("damage", ["newest damaged", "newest gone", "both damaged"])
def test_engine_falls_back_from_a_damaged_snapshot_and_goes_on_as_if_it_were_whole(
    settings: Settings, damage: str
) -> None:
    coin = f"{damage.replace(' ', '-').upper()}.XPMP"
    feed = Feed(settings, [coin], snapshot_seconds=0.001)
    frames = pumped_market(coin)
    before = next(place for place, frame in enumerate(frames) if frame[0].second - m.START >= CALM_S - 20)
    for part in (frames[: before // 2], frames[before // 2 : before]):
        with feed.engine():
            for frame in part:
                feed.send(frame)
    newest, older = feed.pointers().snapshots
    assert newest.next_offset > older.next_offset
    if damage == "newest gone":
        pointers = Pointers((msgspec.structs.replace(newest, offset=10**9), older))
    else:
        bad = [garbage(feed, each, b"\x05\x00\x00\x00{no snapshot") for each in (newest, older)]
        pointers = Pointers((bad[0], bad[1] if damage == "both damaged" else older))
    hand_over(feed, pointers)
    with feed.engine():
        for frame in frames[before:]:
            feed.send(frame)
    written, wanted = m.bits([row for topic in TOPICS for row in feed.rows(topic)]), m.bits(feed.driven())
    assert len(written["features"]["ts"]) > 0
    assert b"pump_and_dump" in b"".join(written[topics.ALERTS])
    assert written == wanted


def test_changed_byte_of_the_evidence_is_named(
    feed: Feed, pump: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = records(feed, pump)[0]
    place = original.index(b'"value":') + len(b'"value":') + 2
    changed = bytearray(original)
    changed[place] = ord("7") if changed[place] != ord("7") else ord("8")
    put(feed, pump, bytes(changed))
    proof: Proof = verify(feed.settings, pump)
    assert not proof.identical
    (wrong,) = [finding for finding in proof.findings if not finding.identical]
    assert wrong.revision == 0
    assert [line.partition(":")[0] for line in wrong.differences] == ["evidence[0].value"]
    assert command(feed, monkeypatch, pump, "--json") == 1
    assert json.loads(capsys.readouterr().out)["identical"] is False
    assert command(feed, monkeypatch, pump) == 1
    said = capsys.readouterr()
    assert "DIFFERENT" in said.out
    assert "NOT proved" in said.err


def test_changed_space_that_no_field_shows_is_noticed(feed: Feed, pump: str) -> None:
    put(feed, pump, records(feed, pump)[1].replace(b'"version":', b'"version": '))
    assert ["the bytes differ, the content does not"] in [
        found.differences for found in verify(feed.settings, pump).findings
    ]


def test_unreadable_copy_is_noticed(feed: Feed, pump: str) -> None:
    put(feed, pump, records(feed, pump)[0][:-2])
    assert ["the record is no readable alert"] in [found.differences for found in verify(feed.settings, pump).findings]
