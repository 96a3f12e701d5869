"""Waiting for an engine, so that a show does not begin before anybody looks on."""

import threading

from confluent_kafka import KafkaException

from tapewatch.contract import topics
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

LOOK_S = 0.05
ANSWER_S = 1.0
"""A broker that has just started may leave a question about a group it does not know yet without an answer."""


def await_engine(settings: Settings, feed: str, partitions: int, stop: threading.Event) -> None:
    """Create the feed's topics and wait until the engine's group has taken them up, or until `stop` is set."""
    kafka.create_topics(settings, topics.market_topics(feed, settings.topics, partitions))
    client, topic, group = kafka.admin(settings), topics.market(feed), settings.engine.group
    while not stop.wait(LOOK_S):
        try:
            members = client.describe_consumer_groups([group], request_timeout=ANSWER_S)[group].result().members
        except KafkaException:
            continue
        if any(place.topic == topic for member in members for place in member.assignment.topic_partitions):
            return
