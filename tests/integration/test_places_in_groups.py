"""Whose place in a consumer group a static name is."""

import time
from uuid import uuid4

from confluent_kafka import TopicPartition

from streams import members
from streams.members import Membership
from tapewatch import kafka, topics
from tapewatch.settings import Settings


def test_place_is_a_twins_only_where_another_member_id_holds_it(settings: Settings) -> None:
    kafka.create_topics(settings, topics.shared_topics(settings.topics))
    group, given = f"places-{uuid4().hex[:8]}", list[TopicPartition]()
    consumer = members.member_consumer(settings, group, "one")
    membership = Membership(consumer, [topics.BARS], lambda _, places: given.extend(places), given.clear)
    try:
        deadline = time.monotonic() + 60
        while not given:
            assert time.monotonic() < deadline, "no partition was given"
            membership.settle_in()
            consumer.consume(1, timeout=0.1)
        assert not members.has_twin(settings, group, "one", membership.member_id)
        assert members.has_twin(settings, group, "one", "an id before this one")
        assert not members.has_twin(settings, group, "two", "")
    finally:
        consumer.close()
