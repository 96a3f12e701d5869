"""What was put in force by control rows, and taking it back: it would hold for every later test of the session."""

from confluent_kafka import OFFSET_END, TopicPartition

from tapewatch import control_rows, kafka, topics
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
