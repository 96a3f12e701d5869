"""Rows in a partition that is not their instrument's: refused by engine and store, each second is closed once."""

import threading
import uuid

import msgspec
from confluent_kafka import Message

from producers.feed import open_feed
from streams.driver import table
from streams.engine.process import Engine
from streams.engine.task import OutputRecord
from tapewatch.contract import topics
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.instruments import Instrument
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tests.integration.postgres_kept import counted, keep, migrated
from tests.unit import engine_market as m

PLACES = {"A.SIMX": 2, "B.SIMX": 1}
"""Where Kafka's Java client lays them, of three partitions."""
SECONDS = 6


def test_rows_of_each_instrument_count_in_its_own_partition_alone(settings: Settings) -> None:
    name = f"t{uuid.uuid4().hex[:10]}"
    topic = topics.market(name)
    with migrated(settings) as ours:
        open_feed(ours, name, [Instrument(each) for each in PLACES], 3)
        producer = kafka.producer(ours, linger_ms=1)
        for second in range(SECONDS):
            frame = m.frame([m.quote(each, second + 0.2, 99, 101) for each in PLACES], [*PLACES])
            for partition in range(3):
                headers = FrameHeaders("quote", "test", 1, second, 0).to_kafka()
                producer.produce(topic, frame, partition=partition, headers=headers)
        assert producer.flush(30) == 0
        engine = msgspec.structs.replace(ours.engine, feeds=(name,), group=name, instance=name)
        Engine(msgspec.structs.replace(ours, engine=engine)).run(threading.Event(), until_idle_s=1.0)
        keep(ours)
        features, letters = list[OutputRecord](), list[tuple[int, str, bytes]]()
        kafka.read_all(
            ours, topics.FEATURES, lambda found: features.append(_outgoing(found)) if _is(found, name) else None
        )
        kafka.read_all(ours, topics.dead_letters(topic), lambda found: letters.append(_letter(found)))
        written = table(features, "features")
        closed = sorted(zip(written["instrument"].tolist(), written["ts"].tolist(), strict=True))
        assert closed == [
            (each, (m.START + second + 1) * 10**9) for each in sorted(PLACES) for second in range(SECONDS - 1)
        ]
        # Both in the first partition, one in each other.
        assert sorted(letters) == sorted(
            [(0, "wrong_partition", b"0"), (0, "wrong_partition", b"1")] * SECONDS
            + [(1, "wrong_partition", b"0"), (2, "wrong_partition", b"1")] * SECONDS
        )
        assert counted(ours, "quotes", name) == 2 * SECONDS


def _is(message: Message, feed: str) -> bool:
    return dict(message.headers() or ()).get("feed") == feed.encode()


def _outgoing(message: Message) -> OutputRecord:
    return OutputRecord(topics.FEATURES, message.value() or b"", message.key(), message.headers() or [])


def _letter(message: Message) -> tuple[int, str, bytes]:
    """Partition, reason and row of a dead letter."""
    headers = dict(message.headers() or ())
    return int(headers["origin_partition"]), headers["reason"].decode(), headers["row"]
