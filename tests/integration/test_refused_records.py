"""A record that the broker refuses for good is an error that says so, whoever sends it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

from console.api.labels import LabelLog
from producers.base.collector import RefusedMessage
from producers.base.metrics import FeedMetrics
from producers.base.outlet import KafkaOutlet
from sinks.dead_letters import DeadLetterTopics
from sinks.postgres.sink import PostgresSink, Progress
from streams.engine import control
from streams.engine.models import shipped
from tapewatch.clock import WALL
from tapewatch.contract import topics
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import Label
from tapewatch.desk import case_client, paper_commands, proposals
from tapewatch.errors import TapewatchError
from tapewatch.market_log import control_rows, registry
from tapewatch.market_log.control_rows import CONFIG, Order
from tapewatch.market_log.dead_letters import DeadLetter
from tapewatch.runtime import kafka, transactions
from tapewatch.settings import Settings
from tests.eventually import eventually
from tests.integration.postgres_kept import query

TOO_LARGE = "Message size too large"


@contextmanager
def narrow(settings: Settings, topic: str) -> Iterator[None]:
    """A topic that takes no record meanwhile; the broker heeds a setting a moment after it has agreed to it."""
    client, producer = kafka.admin(settings), kafka.producer(settings, linger_ms=0)

    def put(act: AlterConfigOpType) -> None:
        entry = ConfigEntry("max.message.bytes", "60", incremental_operation=act)
        wanted = ConfigResource("topic", topic, incremental_configs=[entry])
        for done in client.incremental_alter_configs([wanted]).values():
            done.result()

    def is_open() -> bool:
        """An empty record means nothing to any reader."""
        probe = kafka.Deliveries(producer)
        probe.send(topic, b"", b"probe", partition=0)
        with suppress(kafka.DeliveryError):
            probe.settle()
        return bool(probe.offsets)

    put(AlterConfigOpType.SET)
    eventually(lambda: not is_open(), what=f"{topic} to take nothing")
    try:
        yield
    finally:
        put(AlterConfigOpType.DELETE)
        eventually(is_open, what=f"{topic} to take records")


@pytest.fixture
def market(settings: Settings, request: pytest.FixtureRequest) -> str:
    """A market topic of the test's own, with its dead letters; all shared topics are there."""
    feed = f"r{abs(hash(request.node.name)) % 10**9}"
    specs = topics.market_topics(feed, settings.topics, 2)
    kafka.create_topics(settings, [*specs, *topics.shared_topics(settings.topics)])
    kafka.create_topics(settings, [*topics.case_topics(settings.topics), *topics.paper_topics(settings.topics)])
    kafka.create_topics(settings, [topics.dead_letter_topic(topics.dead_letters(topics.market(feed)))])
    return topics.market(feed)


def refused(settings: Settings, topic: str, act: Callable[[], object]) -> kafka.DeliveryError:
    with narrow(settings, topic), pytest.raises(kafka.DeliveryError) as refusal:
        act()
    assert refusal.value.message == f"Kafka did not take a record for {topic}: Broker: {TOO_LARGE}"
    assert refusal.value.hint == "Raise the topic's max.message.bytes; then do it again."
    return refusal.value


def test_dead_letter_that_is_refused_is_not_said_to_be_buried(settings: Settings, market: str) -> None:
    burial, topic = DeadLetterTopics(settings), topics.dead_letters(market)
    letters = [DeadLetter(topic, b"letter", [("reason", b"late")])]
    refused(settings, topic, lambda: burial.send(letters))
    burial.send(letters)


def test_sink_waits_with_a_letter_that_is_refused_and_goes_on_once_it_is_taken(ours: Settings) -> None:
    producer, letters = kafka.Deliveries(kafka.producer(ours)), topics.dead_letters(topics.ALERTS)
    kafka.create_topics(ours, [topics.dead_letter_topic(letters)])
    producer.send(topics.ALERTS, b"no alert", partition=1)
    producer.settle()
    sink, told = PostgresSink(ours), list[str]()

    def report(progress: Progress) -> None:
        told.append(progress.trouble)
        if len([each for each in told if each]) == 2:
            taken.set()

    taken = threading.Event()
    with narrow(ours, letters):
        sink.run(taken, 0.2, report)
    assert f"Kafka did not take a record for {letters}: Broker: {TOO_LARGE}" in told
    sink.run(threading.Event(), 0.2)
    assert query(ours, "SELECT count(*) FROM dead_letters WHERE topic = %s", topics.ALERTS) == [(1,)]


def test_instrument_that_is_refused_is_not_said_to_be_registered(settings: Settings, market: str) -> None:
    instrument = Instrument("REFUSED.XTST", "REFUSED")
    refused(settings, topics.INSTRUMENTS, lambda: registry.register(settings, [instrument]))
    assert registry.register(settings, [instrument]) == 1


def test_control_row_that_is_refused_is_not_said_to_be_in_force(settings: Settings, market: str) -> None:
    order = Order(CONFIG, "a" * 32, 7, "2026-01-05T08:00:00.000000000Z", "ann", "why", "b" * 64, None, ())
    rows = {CONFIG: order}
    refused(settings, market, lambda: control_rows.write(settings, rows, {market: [0, 1]}))
    assert control_rows.write(settings, rows, {market: [0, 1]})[market].keys() == {0, 1}


def test_model_that_is_refused_is_not_promoted(settings: Settings, market: str) -> None:
    data, before = next(iter(shipped().values())), control_rows.orders(settings)
    # Its bytes are refused, or where an engine has published them the order of what is in force.
    refused(settings, topics.MODELS, lambda: control.promote(settings, data, "a try"))
    assert control_rows.orders(settings) == before


def test_label_that_is_refused_is_not_said_to_be_given(settings: Settings, market: str) -> None:
    log = LabelLog(settings)
    label = Label(
        id="a" * 32, kind="alert", subject="a", label="genuine", who="ann", at="2026-01-05T08:00:00.000000000Z"
    )
    refused(settings, topics.LABELS, lambda: log.give(label))


def test_what_people_say_and_is_refused_is_told_to_them(settings: Settings, market: str) -> None:
    proposal = proposals.made("configuration", "a" * 32, "text", "ann", "why")
    refused(settings, topics.PROPOSALS, lambda: proposals.write(settings, [proposal]))
    refused(settings, topics.PAPER_COMMANDS, lambda: paper_commands.give(settings, "stop", "", "why"))
    cases = case_client.CaseClient(settings)
    order = case_client.command("assign", "ann", case="c", owner="ann", why="why")
    refused(settings, topics.CASE_COMMANDS, lambda: cases.send(order, 0.1))
    cases.close()


def test_refused_message_of_a_venue_whose_letter_is_refused_ends_the_producer(settings: Settings, market: str) -> None:
    feed = topics.feed_of(market)

    async def scene() -> None:
        outlet = KafkaOutlet(settings, "venue", FeedMetrics(feed))
        await outlet.open(feed, [Instrument("REFUSED.XTST", "REFUSED")])
        outlet.refuse([RefusedMessage("unreadable", "stream", b"{", WALL.now())])
        await outlet.close(WALL.now())

    with narrow(settings, topics.dead_letters(market)), pytest.raises(TapewatchError, match=rf"\.dlq .*{TOO_LARGE}"):
        asyncio.run(scene())


def test_transaction_with_a_refused_record_is_not_committed(settings: Settings, market: str) -> None:
    producer = transactions.fenced(transactions.make_producer(settings, market))
    with narrow(settings, market):
        transactions.begin(producer)
        kafka.enqueue(producer, market, b"record", partition=0)
        assert producer.flush(8) == 0, "by the queue's length it was delivered"
        with pytest.raises(KafkaException, match=TOO_LARGE):
            transactions.commit(producer, [], kafka.consumer(settings, market).consumer_group_metadata())
    transactions.abort(producer)


def test_topic_that_is_not_there_is_named(settings: Settings) -> None:
    sent = kafka.Deliveries(kafka.producer(settings, topic_metadata_propagation_max_ms=500))
    sent.send("nobody.made.this", b"record")
    with pytest.raises(kafka.DeliveryError, match=r"nobody\.made\.this: .*[Uu]nknown topic") as refusal:
        sent.settle()
    assert refusal.value.hint == "Look whether somebody has deleted the topic; then do it again."


def test_record_that_nobody_answers_for_is_not_taken_for_delivered(settings: Settings) -> None:
    sent = kafka.Deliveries(kafka.producer(settings))
    sent.send("nobody.made.this", b"record")
    with pytest.raises(kafka.DeliveryError, match=r"nobody\.made\.this: Local: Message timed out"):
        sent.settle(0.2)


def test_record_that_the_client_refuses_is_refused_at_once(settings: Settings, market: str) -> None:
    sent = kafka.Deliveries(kafka.producer(settings, message_max_bytes=2_000))
    with pytest.raises(kafka.DeliveryError, match=TOO_LARGE):
        sent.send(market, bytes(3_000))
    sent.send(market, b"record", partition=1)
    sent.settle()
    assert sent.offsets == {(market, 1): 0}
