"""Records that a transaction took back after the broker had them: the next transaction's are written all the same.

A broker of its own, which tells its clients to come through a proxy that can hold answers back.
"""

from collections.abc import Iterator

import msgspec
import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from benchmarks.engine_run import own_stack
from infra.chaos.proxy import Proxy
from infra.embedded.kafka import free_port
from tapewatch import logs, settings
from tapewatch.contract.topics import TopicSpec
from tapewatch.runtime import kafka, transactions
from tapewatch.settings import Settings

TOPIC = "taken-back"
HELD_S = 0.5
AGAIN_MS = 3_000
"""Longer than the test takes from the lost answer to the abort: the record waits to be sent again."""


@pytest.fixture(scope="module")
def through() -> Iterator[tuple[Settings, Proxy]]:
    outer = free_port("kafka_port", 0, 0, 0)
    inner = free_port("kafka_port", 0, 0, outer)
    usual = settings.load(environment={})
    told = {"advertised.listeners": f"PLAINTEXT://127.0.0.1:{outer}"}
    embedded = msgspec.structs.replace(usual.embedded, kafka_port=inner, kafka_properties=told)
    with Proxy(outer, inner) as proxy, own_stack(msgspec.structs.replace(usual, embedded=embedded)) as own:
        kafka.create_topics(own, [TopicSpec(TOPIC, 1)])
        yield own, proxy


def test_records_after_an_aborted_transaction_are_not_taken_for_its_repeats(through):
    own, proxy = through

    def make() -> Producer:
        return kafka.producer(
            own, transactional_id="taken-back", retry_backoff_ms=AGAIN_MS, retry_backoff_max_ms=AGAIN_MS, linger_ms=1
        )

    writer = transactions.Writer(make)
    _write(writer, b"first")
    writer.producer.begin_transaction()
    writer.producer.produce(TOPIC, b"aborted", partition=0)
    assert writer.producer.flush(10) == 0
    proxy.delay(HELD_S)
    writer.producer.produce(TOPIC, b"taken back", partition=0)
    writer.producer.poll(1.5 * HELD_S)  # by then the broker has it, and its answer is on its way
    proxy.cut()
    proxy.delay(0)
    writer.abort(_failure(), logs.get("test"))
    _write(writer, b"second")
    _write(writer, b"third")
    reader = kafka.consumer(own)
    try:
        low, high = kafka.watermarks(reader, TOPIC, 0)
        kept = [message.value() for message in kafka.read_range(reader, TOPIC, 0, low, high)]
    finally:
        reader.close()
    assert kept == [b"first", b"second", b"third"]
    # Records, the marker of each transaction, what was aborted, and what was taken back: the broker did have it.
    assert high - low == 2 * len(kept) + 3


def _write(writer: transactions.Writer, value: bytes) -> None:
    writer.producer.begin_transaction()
    writer.producer.produce(TOPIC, value, partition=0)
    writer.producer.commit_transaction(30)


def _failure() -> KafkaException:
    return KafkaException(KafkaError(KafkaError._TRANSPORT, "the answer never came", False, True, True))
