"""What tests of topics that are made anew share."""

from tapewatch.contract import topics
from tapewatch.runtime import kafka, topic_ids
from tapewatch.settings import Settings
from tests.eventually import eventually


def id_of(settings: Settings, topic: str) -> str:
    return topic_ids.present(kafka.admin(settings), [topic])[topic]


def make_anew(settings: Settings, feed: str, partitions: int) -> tuple[str, str]:
    """Delete a feed's topic and make it anew; its ids before and after."""
    client, topic = kafka.admin(settings), topics.market(feed)
    before = id_of(settings, topic)
    client.delete_topics([topic])[topic].result()
    eventually(lambda: topic not in kafka.existing_topics(client), what="the topic is gone")
    kafka.create_topics(settings, topics.market_topics(feed, settings.topics, partitions))
    eventually(lambda: topic_ids.present(client, [topic]), what="the topic has an id")
    after = id_of(settings, topic)
    assert after != before
    return before, after
