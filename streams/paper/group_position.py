"""Where the paper broker's group stands: by the offsets that it committed, and by the states that it wrote with them.

A partition's state and the offset that names it are of one transaction. Where the newest state is another one, the
offset expired (the group was away for longer than the broker's `offsets.retention.minutes`), or somebody set it: who
went on there would write orders and fills a second time, or leave some out.
"""

from collections.abc import Iterable, Mapping, Sequence

from confluent_kafka import Consumer, Message, TopicPartition

from streams.members import Key
from streams.paper import paper_partition
from tapewatch import logs
from tapewatch.clock import WALL
from tapewatch.contract import topics
from tapewatch.runtime import group_offsets, kafka, topic_ids
from tapewatch.settings import Settings

log = logs.get("paper")

ASKED = 3
"""How often offset and state are read before they are said to differ: a transaction may be decided between the two."""
ANEW = (
    "Restore the topic; or let a new feed take its place, or let the broker begin again with a paper.group of its own."
)


class PaperOffsetVerifier:
    """Holds the group's offsets against its states, each partition's at its first sight."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._group = settings, settings.paper.group
        self._proved: set[Key] = set()

    def proved(
        self, consumer: Consumer, reader: Consumer, given: Sequence[TopicPartition], ids: Mapping[str, str]
    ) -> list[TopicPartition]:
        """Where the consumer's group stands. Where the newest state's place is to be restored, it is committed.

        ids : of the topics

        TapewatchError where offset and state differ, and where a topic is not the one that the state is of.
        """
        places = group_offsets.committed(consumer, list(given))
        asked = [place for place in places if (place.topic, place.partition) not in self._proved]
        differing = self._differing(reader, asked, ids)
        for _ in range(ASKED - 1):
            if not differing:
                break
            WALL.sleep(0.2)
            places = group_offsets.committed(consumer, list(given))
            asked_again = [each for each in places if (each.topic, each.partition) in differing]
            differing = self._differing(reader, asked_again, ids)
        found = [self._taken_up(place, differing.get((place.topic, place.partition))) for place in places]
        if differing:
            consumer.commit(offsets=found, asynchronous=False)
        self._proved |= {(place.topic, place.partition) for place in asked}
        return found

    def _differing(
        self, reader: Consumer, places: Iterable[TopicPartition], ids: Mapping[str, str]
    ) -> dict[Key, Message]:
        """The group's newest state of each partition whose offset names another, or none."""
        named = {(place.topic, place.partition): place.metadata or "" for place in places}
        newest = self._newest(reader, named)
        for (topic, _), state in newest.items():
            topic_ids.check({topic: paper_partition.topic_id(state)}, ids, f"the group {self._group}", ANEW)
        return {key: state for key, state in newest.items() if paper_partition.pointer_to(state) != named[key]}

    def _newest(self, reader: Consumer, named: Mapping[Key, str]) -> dict[Key, Message]:
        """The newest state of each partition that this group wrote; looked for from the one that its offset names."""
        keys, found = {paper_partition.state_key(key): key for key in named}, dict[Key, Message]()

        def of(message: Message) -> Key | None:
            return keys.get(message.key() or b"") if paper_partition.group(message) == self._group else None

        count = kafka.existing_topics(reader).get(topics.PAPER_SNAPSHOTS, 0)
        if not count:
            return found
        for number in sorted({paper_partition.state_partition(key, count) for key in named}):
            low, end = kafka.watermarks(reader, topics.PAPER_SNAPSHOTS, number)
            lows = {
                key: max(low, place[1])
                if (place := paper_partition.pointed_to(metadata)) and place[0] == number
                else low
                for key, metadata in named.items()
                if paper_partition.state_partition(key, count) == number
            }
            found |= kafka.newest(reader, topics.PAPER_SNAPSHOTS, number, lows, end, of)
        return found

    def _taken_up(self, place: TopicPartition, state: Message | None) -> TopicPartition:
        """The place, or that of the state. The process ends unless it was told to restore."""
        if state is None:
            return place
        begin = paper_partition.begin(state)
        group_offsets.restore(
            self._group, place, begin, self._settings.paper.restore_offsets, log,
            f"its newest state is of offset {begin:,}: orders and fills would be written again, or left out",
            "`tapewatch run paper --restore-offsets` goes on with that state; see docs/trading.md.",
        )  # fmt: skip
        return TopicPartition(place.topic, place.partition, begin, metadata=paper_partition.pointer_to(state))
