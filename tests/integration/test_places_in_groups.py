"""Whose place in a consumer group a static name is."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams import members
from streams.members import Membership
from tapewatch import logs
from tapewatch.contract import topics
from tapewatch.runtime import kafka, transactions
from tapewatch.settings import Settings
from tests.eventually import eventually

NAME = "one"
LOG = logs.get("test")


@pytest.fixture
def joined(settings: Settings) -> Iterator[tuple[str, Consumer, Membership]]:
    """A group with one member: its name, the member's consumer and place."""
    kafka.create_topics(settings, topics.shared_topics(settings.topics))
    group, given = f"places-{uuid4().hex[:8]}", list[TopicPartition]()
    consumer = members.member_consumer(settings, group, NAME)
    membership = Membership(consumer, [topics.BARS], lambda _, places: given.extend(places), given.clear)
    try:

        def is_given() -> bool:
            membership.settle_in()
            consumer.consume(1, timeout=0.1)
            return bool(given)

        eventually(is_given, what="a partition is given", pause=0.0)
        yield group, consumer, membership
    finally:
        consumer.close()


def test_place_is_a_twins_only_where_another_member_id_holds_it(
    settings: Settings, joined: tuple[str, Consumer, Membership]
) -> None:
    group, _, membership = joined
    assert not members.has_twin(settings, group, NAME, membership.member_id)
    assert members.has_twin(settings, group, NAME, "an id before this one")
    assert not members.has_twin(settings, group, "two", "")


def test_fenced_producer_has_a_successor_unless_another_process_has_the_place(
    settings: Settings, joined: tuple[str, Consumer, Membership]
) -> None:
    """A broker fences whom it ends a transaction of for its time-out, as it does whom a process of the same name
    follows: the producer hears the same of both.
    """
    group, consumer, membership = joined
    own = membership.member_id

    def writer() -> transactions.Writer:
        return transactions.Writer(
            lambda: transactions.make_producer(settings, f"{group}-{NAME}"),
            members.make_way(settings, group, NAME, lambda: own),
        )

    def commit(to: transactions.Writer) -> None:
        transactions.begin(to.producer)
        place = TopicPartition(topics.BARS, 0, 0)
        transactions.commit(to.producer, [place], consumer.consumer_group_metadata())

    first = writer()
    commit(first)
    second = writer()
    with pytest.raises(KafkaException) as fenced:
        commit(first)
    assert fenced.value.args[0].fatal()
    first.abort(fenced.value, LOG)
    commit(first)
    with pytest.raises(KafkaException) as fenced:
        commit(second)
    own = "an id before this one"
    with pytest.raises(members.PlaceLostError, match="another process"):
        second.abort(fenced.value, LOG)
