"""Records that a sink has refused: what no store can hold is missing from none."""

from collections.abc import Iterator, Mapping

from confluent_kafka import Consumer

from sinks.log_reader import headers_of
from tapewatch.contract import topics
from tapewatch.runtime import kafka

Origin = tuple[str, int, int]
"""Topic, partition and offset."""


def refused_records(
    reader: Consumer, there: Mapping[str, int], topic: str, start: Mapping[int, int] | None = None
) -> Iterator[tuple[str, Origin]]:
    """Who refused a record of a topic, and which. there : topics by name; start : dead letters read before"""
    buried, begun = topics.dead_letters(topic), start or {}
    for partition in range(there.get(buried, 0)):
        low, high = kafka.watermarks(reader, buried, partition)
        for letter in kafka.read_range(reader, buried, partition, max(low, begun.get(partition, low)), high):
            told = {name: value.decode() for name, value in headers_of(letter)}
            if "refused_by" in told:
                origin = (told["origin_topic"], int(told["origin_partition"]), int(told["origin_offset"]))
                yield told["refused_by"], origin
