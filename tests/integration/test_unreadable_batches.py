"""A batch that the Kafka client cannot unpack is passed over by every reader, and nothing beside it is."""

import argparse
import hashlib
import json
import uuid
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from infra.chaos.faults.stranger import append_bomb_batch
from streams.driver import Driver
from streams.engine.task import OutputRecord
from streams.verifying.feed import verify_feed
from tapewatch import subscribe
from tapewatch.commands import tail
from tapewatch.contract import topics
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.topics import TopicSpec
from tapewatch.dlq import letter
from tapewatch.dlq.routes import Routes
from tapewatch.market_log.registry import FixedRegistry
from tapewatch.runtime import batches, group_offsets, kafka
from tapewatch.runtime.batches import UnreadableBatch
from tapewatch.settings import Settings
from tests.integration.engine_feed import Feed
from tests.integration.postgres_kept import Sender, counted, keep, query
from tests.unit import engine_market as m
from tests.unit.engine_market import heartbeats, quote

A, B = "AAA.XBMB", "BBB.XBMB"


@pytest.fixture
def topic(settings: Settings) -> str:
    name = f"packed-{uuid.uuid4().hex[:8]}"
    kafka.create_topics(settings, [TopicSpec(name, 1)])
    return name


def put(settings: Settings, topic: str, *values: bytes) -> None:
    sent = kafka.Deliveries(kafka.producer(settings, linger_ms=0))
    for value in values:
        sent.send(topic, value, partition=0)
    sent.settle()


def read(settings: Settings, topic: str) -> list[tuple[int, bytes | str]]:
    """Offset and value of every record; of what cannot be unpacked, the reason."""
    found: list[tuple[int, bytes | str]] = []

    def keep(message: batches.Record) -> None:
        reason = dict(message.headers() or ()).get("reason", b"").decode()
        found.append((message.offset(), reason or message.value() or b""))

    kafka.read_all(settings, topic, keep)
    return found


def test_two_bombs_beside_good_records_lose_none_of_them(settings: Settings, topic: str) -> None:
    put(settings, topic, b"a", b"b")
    append_bomb_batch(settings, topic)
    put(settings, topic, b"c")
    append_bomb_batch(settings, topic)
    append_bomb_batch(settings, topic)
    put(settings, topic, b"d")
    unreadable = "unreadable_batch"
    assert read(settings, topic) == [
        (0, b"a"), (1, b"b"), (4, unreadable), (5, b"c"), (8, unreadable), (11, unreadable), (12, b"d"),
    ]  # fmt: skip


def test_a_range_that_ends_with_a_bomb_ends(settings: Settings, topic: str) -> None:
    put(settings, topic, b"a")
    append_bomb_batch(settings, topic)
    assert read(settings, topic) == [(0, b"a"), (3, "unreadable_batch")]


def test_what_lies_there_is_told_whole(settings: Settings, topic: str) -> None:
    put(settings, topic, b"a")
    append_bomb_batch(settings, topic)
    reader = kafka.consumer(settings)
    (batch,) = kafka.read_range(reader, topic, 0, 2, 4)
    reader.close()
    assert isinstance(batch, UnreadableBatch)
    assert (batch.topic(), batch.partition(), batch.first, batch.last, batch.codec) == (topic, 0, 1, 3, "zstd")
    assert batch.size == len(batch.head)
    assert batch.sha256 == hashlib.sha256(batch.head).hexdigest()
    assert batch.head[:8] == (1).to_bytes(8)
    assert batch.time[0] == 1


def test_tail_shows_it_and_goes_on(settings: Settings, topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    put(settings, topic, b'{"n": 1}')
    append_bomb_batch(settings, topic)
    put(settings, topic, b'{"n": 2}')
    parser = argparse.ArgumentParser()
    tail.configure(parser)
    assert tail.run(parser.parse_args([topic, "--from", "beginning", "--json"]), settings) == 0
    shown = json.loads(capsys.readouterr().out)["records"]
    assert [each["offset"] for each in shown] == [0, 3, 4]
    assert shown[1]["headers"]["reason"] == "unreadable_batch"


def test_topic_that_packs_by_zstd_spares_its_readers_a_gzip_bomb(settings: Settings) -> None:
    name = f"packing-{uuid.uuid4().hex[:8]}"
    kafka.create_topics(settings, [TopicSpec(name, 1, {"compression.type": "zstd"})])
    append_bomb_batch(settings, name, codec="gzip")
    put(settings, name, b"a")
    assert read(settings, name) == [(2, "unreadable_batch"), (3, b"a")]


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_a_batch_whose_bytes_were_damaged_on_disk_is_passed_over(
    codec: str, settings: Settings, topic: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    put(settings, topic, b"a")
    sent = kafka.Deliveries(kafka.producer(settings, compression_type=codec, linger_ms=60_000))
    for number in range(4):
        sent.send(topic, b"victim %d " % number * 100, partition=0)
    sent.settle()
    put(settings, topic, b"z")
    (log,) = tmp_path_factory.getbasetemp().glob(f"stack[0-9]*/**/{topic}-0/*.log")
    damage(log)
    assert read(settings, topic) == [(0, b"a"), (4, "unreadable_batch"), (5, b"z")]


def damage(log: Path) -> None:
    """Write over the first packed bytes of the second batch of a partition's file."""
    with log.open("r+b") as file:
        second = 12 + int.from_bytes(file.read(12)[8:])
        file.seek(second + 61)
        file.write(b"\xff" * 12)


def test_subscriber_of_a_group_goes_on_behind_it(settings: Settings) -> None:
    kafka.create_topics(settings, topics.case_topics(settings.topics))
    first, group = append_bomb_batch(settings, topics.LABELS), f"g-{uuid.uuid4().hex[:8]}"
    with subscribe("labels", group=group, since="beginning", until_idle=0.0, settings=settings) as labels:
        # Others' labels may lie before it.
        assert len(list(labels)) <= first
    reader = kafka.consumer(settings, group)
    assert group_offsets.committed(reader, [TopicPartition(topics.LABELS, 0)])[0].offset == first + 3
    reader.close()


def test_store_keeps_all_around_it_with_a_letter_where_nobody_else_has_one(ours: Settings, feed: str) -> None:
    sender, market = Sender(ours, feed), topics.market(feed)
    sent = sender.quotes(4, 10)
    append_bomb_batch(ours, market)
    kafka.create_topics(ours, topics.source_topics(ours.topics))
    first = append_bomb_batch(ours, topics.FACTORS)
    sent += sender.quotes(4, 10)
    summary = keep(ours)
    assert counted(ours, "quotes", feed) == sent == 80
    assert (summary.refused["unreadable_batch"], summary.dead_letters["unreadable_batch"]) == (1, 1)
    kept = "SELECT topic, log_offset, detail FROM dead_letters WHERE reason = 'unreadable_batch'"
    ((buried, offset, detail),) = query(ours, kept)
    assert (buried, offset) == (topics.FACTORS, first)
    assert detail.startswith(f"offsets {first} to {first + 2}: ")
    assert keep(ours).dead_letters == {}


def letters(feed: Feed) -> list[dict[str, bytes]]:
    return [dict(message.headers()) for message in feed.written(topics.dead_letters(feed.topic))]


def test_engine_passes_over_a_bomb_live_and_in_recovery_with_one_letter(settings: Settings) -> None:
    feed = Feed(settings, [A, B], snapshot_seconds=3600.0)
    with feed.engine():
        feed.send([quote(A, 0.1, 99, 101), quote(B, 0.2, 99, 101)])
        feed.flush()
        first = append_bomb_batch(feed.settings, feed.topic)
        feed.send([quote(A, 1.1, 99, 102)])
        feed.send(heartbeats(3, since=2))
    with feed.engine():
        feed.send([quote(B, 3.1, 98, 101)])
        feed.send(heartbeats(5, since=4))
    (told,) = letters(feed)
    names = ("reason", "kind", "refused_by", "origin_offset", "last_offset", "codec")
    assert [told[name].decode() for name in names] == [
        "unreadable_batch", "record", "engine", str(first), str(first + 2), "zstd",
    ]  # fmt: skip
    assert feed.rows(topics.FEATURES)
    assert m.bits(feed.rows(topics.FEATURES), with_offsets=False) == m.bits(without_bombs(feed), with_offsets=False)
    proof = verify_feed(feed.settings, feed.name, quiet=True)
    assert (proof.sound, proof.refused) == (True, {"unreadable_batch": 1})
    assert refusals(feed) == ["nobody can unpack it: have its writer send the records again"]


def refusals(feed: Feed) -> list[str]:
    """Why the feed's dead letters are not replayed."""
    routes = Routes(feed.settings)
    found = map(letter.read, feed.written(topics.dead_letters(feed.topic)))
    plan = routes.plan(found, [])
    routes.close()
    return [why for _, why in plan.refused]


def without_bombs(feed: Feed) -> list[OutputRecord]:
    """What the brokerless driver writes to `features` over the log's records alone, each at its offset."""
    driver = Driver(FixedRegistry([Instrument(name) for name in (A, B)]), feed.topic, 0)
    reader = kafka.consumer(feed.settings)
    for message in kafka.read_range(reader, feed.topic, 0, 0, feed.end()):
        if isinstance(message, UnreadableBatch):
            continue
        driver.task.feed(message.offset(), message.value(), message.headers(), message.timestamp()[1] * 1_000_000)
    reader.close()
    return [record for record in driver.outgoing() if record.topic == topics.FEATURES]
