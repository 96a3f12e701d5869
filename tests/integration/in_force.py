"""What tests leave on the session's broker, and taking it back: it would hold for every later test, or slow it down."""

from collections.abc import Mapping

from confluent_kafka import OFFSET_END, TopicPartition
from confluent_kafka.admin import ConfigEntry, ConfigResource

from tapewatch.contract import topics
from tapewatch.market_log import control_rows
from tapewatch.runtime import kafka
from tapewatch.settings import Settings


def forget(settings: Settings) -> None:
    """Nothing is in force by order any more, for topics that are yet to come."""
    producer = kafka.producer(settings, linger_ms=0)
    for order in control_rows.orders(settings).values():
        producer.produce(topics.MODELS, key=control_rows.record(order)[0], value=None)
    producer.flush(10)


def empty(settings: Settings, *names: str) -> None:
    """Delete every record of these topics: later tests of the session read them whole."""
    client = kafka.admin(settings)
    partitions = kafka.existing_topics(client)
    places = [TopicPartition(name, number, OFFSET_END) for name in names for number in range(partitions.get(name, 0))]
    for done in client.delete_records(places).values():
        done.result()


def empty_all(settings: Settings) -> None:
    """Delete every record of every topic that keeps no newest value a key: a sink of a new database reads them all."""
    client = kafka.admin(settings)
    names = [name for name in kafka.existing_topics(client) if not name.startswith("__")]
    if not names:
        return
    asked = client.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, name) for name in names])
    empty(settings, *(each.name for each, answer in asked.items() if _is_plain(answer.result())))


def _is_plain(values: Mapping[str, ConfigEntry]) -> bool:
    return values["cleanup.policy"].value == "delete"
