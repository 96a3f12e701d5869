"""Topics' ids: the broker gives a topic that is made anew another one, and its offsets begin anew with it.

Whoever keeps an offset keeps the id beside it: to go on at the old offset would pass over what the new topic holds.
"""

from collections.abc import Collection, Mapping

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka

SEE = "Restore the topic, or see docs/exactly-once.md, Topics that are made anew."


class TopicRecreatedError(TapewatchError):
    """A topic is not the one whose offsets are kept."""


def present(client: AdminClient, names: Collection[str]) -> dict[str, str]:
    """The id of each of these topics, without those that are gone. KafkaException where the broker does not answer."""
    if not names:
        return {}
    found: dict[str, str] = {}
    asked = client.describe_topics(TopicCollection(sorted(names)), request_timeout=kafka.TIMEOUT_S)
    for name, future in asked.items():
        try:
            found[name] = str(future.result().topic_id)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
    return found


def check(kept: Mapping[str, str], there: Mapping[str, str], keeper: str, hint: str) -> None:
    """TopicRecreatedError where a topic has another id than is kept of it; one of which none is kept passes.

    keeper : who keeps it, for the message; hint : what to do, with {topic} for its name
    """
    for topic in sorted(kept.keys() & there.keys()):
        if kept[topic] and kept[topic] != there[topic]:
            raise TopicRecreatedError(
                f"{topic} was made anew: its id is {there[topic]}, and {keeper} keeps offsets of {kept[topic]}",
                hint.format(topic=topic),
            )
