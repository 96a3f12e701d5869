"""How long the logs are, and who reads them: asked of the broker in a few calls, however many partitions there are."""

import re
from typing import NamedTuple

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from tapewatch.contract import topics
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

Log = tuple[str, int]
_MARKET = re.compile(topics.MARKET_PATTERN)
OURS = re.compile(r"^tapewatch")


class Ends(NamedTuple):
    """ends : next offset of each partition; dead : records that lie in each dead-letter topic"""

    ends: dict[Log, int]
    dead: dict[str, int]


class Group(NamedTuple):
    """A consumer group. state : stable, empty, ...; lag : records it has not committed, None where it keeps none"""

    name: str
    state: str
    members: int
    lag: int | None


class LogEnds:
    """Asks with one administrative client."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin = kafka.admin(settings)

    def look(self) -> Ends:
        """Ends of all partitions. KafkaException where the broker does not answer."""
        there = self._admin.list_topics(timeout=kafka.TIMEOUT_S).topics
        logs = [
            TopicPartition(name, number)
            for name, topic in there.items()
            if not name.startswith("__")
            for number in topic.partitions
        ]
        ends = self._offsets(logs, OffsetSpec.latest())
        letters = [log for log in logs if log.topic.endswith(".dlq")]
        begins = self._offsets(letters, OffsetSpec.earliest())
        dead: dict[str, int] = {}
        for log, begin in begins.items():
            dead[log[0]] = dead.get(log[0], 0) + ends.get(log, begin) - begin
        return Ends(ends, dead)

    def _offsets(self, logs: list[TopicPartition], which: OffsetSpec) -> dict[Log, int]:
        if not logs:
            return {}
        asked = self._admin.list_offsets(dict.fromkeys(logs, which), request_timeout=kafka.TIMEOUT_S)
        found: dict[Log, int] = {}
        for log, future in asked.items():
            try:
                found[log.topic, log.partition] = int(future.result().offset)
            except KafkaException:
                # A partition whose topic has just gone is no reason to tell nothing of the others.
                continue
        return found

    def groups(self, ends: dict[Log, int]) -> list[Group]:
        """Our consumer groups with what they have not read."""
        listed = self._admin.list_consumer_groups(request_timeout=kafka.TIMEOUT_S).result().valid
        names = sorted(group.group_id for group in listed if OURS.match(group.group_id))
        if not names:
            return []
        described = self._admin.describe_consumer_groups(names, request_timeout=kafka.TIMEOUT_S)
        found = []
        for name in names:
            try:
                group = described[name].result()
            except KafkaException:
                continue
            found.append(Group(name, group.state.name.lower(), len(group.members), self._lag(name, ends)))
        return found

    def _lag(self, name: str, ends: dict[Log, int]) -> int | None:
        """Records behind the group's committed offsets; None where it has none."""
        asked = self._admin.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(name)], request_timeout=kafka.TIMEOUT_S
        )
        try:
            committed = asked[name].result().topic_partitions or []
        except KafkaException:
            return None
        behind = [
            max(ends.get((each.topic, each.partition), each.offset) - each.offset, 0)
            for each in committed
            if each.offset >= 0
        ]
        return sum(behind) if behind else None


def is_market(topic: str) -> bool:
    """Whether a topic is a feed's."""
    return _MARKET.fullmatch(topic) is not None
