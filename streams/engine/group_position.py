"""Where a group stands: by the offsets that it committed, and by what the log says of its work.

A group's offset and the commit record of its transaction (`engine.commits`) are committed together, so they name the
same place. Offsets can be lost all the same: they expire where a group is away for longer than the broker's
`offsets.retention.minutes`, and tools set them to other places. Whoever began there would write everything again, or
pass over what was never read.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from streams.engine import opening_snapshots
from streams.engine.recovery import Recovery
from streams.engine.snapshots import Pointers
from streams.members import Key
from tapewatch import logs
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.contract.message import UNREADABLE
from tapewatch.errors import TapewatchError
from tapewatch.runtime import group_offsets, kafka, topic_ids
from tapewatch.settings import Settings

log = logs.get("engine")

BEFORE = 20_000
"""Where none is committed: commit records that are looked through though they are older than the partition's log."""
LONGEST_LOOK = 500_000
"""Where an offset is committed: a partition that was idle for longer is taken at its word."""
CLOCKS_MS = 3_600_000
"""What the clock of an engine, which stamps commit records, may be behind the broker's, ms."""
ANEW = (
    "Restore the topic; or let a new feed take its place. What is written of the old one names its offsets, so a new "
    "engine.group, which begins at the new one's beginning, is for who keeps nothing of the old."
)
AT_ONCE = 8
"""Partitions of the commit records that are looked through at a time."""
SETTLED_S = 15.0
"""How long open transactions are waited for before an offset and a record that differ are told, s."""


class _CommitRecord(msgspec.Struct, frozen=True):
    """What of a commit record matters here."""

    topic: str
    partition: int
    next_offset: int
    group: str = ""
    topic_id: str = ""


class OffsetVerifier:
    """Holds a group's offsets against its commit records."""

    def __init__(self, settings: Settings, recovery: Recovery) -> None:
        self._settings, self._recovery = settings, recovery
        self._group = settings.engine.group
        self._proved: set[Key] = set()
        self._restored: list[TopicPartition] = []

    def proved(self, consumer: Consumer, given: Sequence[TopicPartition]) -> list[TopicPartition]:
        """Where the consumer's group stands in these partitions, each held against the log at its first sight: with the
        log's offset where that is to be restored, and with a snapshot where the metadata was lost.

        TapewatchError where offset and log differ, where a topic has another number of partitions than it had, and
        where it is another topic; UnansweredError where the broker does not answer.
        """
        with kafka.asking("where the group stands"):
            return self._asked(consumer, given)

    def _asked(self, consumer: Consumer, given: Sequence[TopicPartition]) -> list[TopicPartition]:
        names = {place.topic for place in given}
        ids = topic_ids.present(kafka.admin(self._settings), names)
        counts = self._counted(consumer, names, ids)
        places = group_offsets.committed(consumer, list(given))
        stands = {(place.topic, place.partition): max(place.offset, -1) for place in places}
        asked = {key: offset for key, offset in stands.items() if key not in self._proved}
        reader = kafka.consumer(self._settings)
        try:
            written = self._compared(reader, asked) if asked else {}
            self._known({each.topic: each.topic_id for each in written.values() if each.topic_id}, ids)
            stood = [self._stood(reader, place, written.get((place.topic, place.partition))) for place in places]
        finally:
            reader.close()
        # What was restored is proved once the group has committed it.
        self._proved |= asked.keys() - written.keys()
        found = []
        for place, (offset, pointers) in zip(places, stood, strict=True):
            count, topic_id = counts[place.topic], ids.get(place.topic, "")
            metadata = msgspec.structs.replace(pointers, partitions=count, topic_id=topic_id).encoded()
            found.append(TopicPartition(place.topic, place.partition, offset, metadata=metadata))
        self._restored = [place for place in found if (place.topic, place.partition) in written]
        return found

    def keep_restored(self, consumer: Consumer) -> None:
        """Commit what was restored: who dies before its first transaction, and who starts beside this process without
        being told to restore, would find the group without offsets again.
        """
        if not self._restored:
            return
        try:
            consumer.commit(offsets=self._restored, asynchronous=False)
        except KafkaException as error:
            # The group is being assigned anew, or the coordinator moves: it is restored at the next assignment.
            log.warning("restored offsets are not kept yet", why=str(error.args[0]))

    def _known(self, kept: Mapping[str, str], there: Mapping[str, str]) -> None:
        """Nobody may go on where a topic is not the one that the group worked on. kept, there : ids"""
        topic_ids.check(kept, there, f"the group {self._group}", ANEW)

    def _counted(self, consumer: Consumer, names: Collection[str], ids: Mapping[str, str]) -> dict[str, int]:
        """How many partitions each topic has: as many as when the group began with it, or nobody may go on."""
        there = kafka.existing_topics(consumer)
        counts = {name: there.get(name, 0) for name in names}
        every = [TopicPartition(name, number) for name, count in counts.items() for number in range(count)]
        for place in group_offsets.committed(consumer, every):
            kept = Pointers.decoded(place.metadata)
            self._known({place.topic: kept.topic_id}, ids)
            had, has = kept.partitions, counts[place.topic]
            if had not in (0, has):
                right = f"tapewatch rescale {topics.feed_of(place.topic)} --partitions {has}"
                raise TapewatchError(
                    f"{place.topic} has {has} partitions, and had {had} when the group {self._group} began with it: an "
                    "instrument's rows would go to another partition, and its seconds be closed twice",
                    f"Let a new feed take its place. What gives a feed other partitions is `{right}`, see "
                    "docs/rescale.md.",
                )
        return counts

    def _compared(self, reader: Consumer, asked: dict[Key, int]) -> dict[Key, _CommitRecord]:
        """The newest commit record, where it ends at another offset than asked[partition]: -1 where the group has
        none.
        """
        until = WALL.elapsed() + int(SETTLED_S * NANOS)
        differing = self._differing(reader, asked)
        ends = self._open_ends(reader) if differing else {}
        while differing and WALL.elapsed() < until:
            # A transaction that is decided may not be visible in each of its topics yet.
            settled = all(kafka.watermarks(reader, topics.COMMITS, number)[1] >= end for number, end in ends.items())
            differing = self._differing(reader, {key: asked[key] for key in differing})
            if settled:
                break
            WALL.sleep(0.2)
        return differing

    def _differing(self, reader: Consumer, asked: dict[Key, int]) -> dict[Key, _CommitRecord]:
        return {key: said for key, said in self._written(reader, asked).items() if said.next_offset != asked[key]}

    def _open_ends(self, reader: Consumer) -> dict[int, int]:
        """Where the commit records end, those of open transactions among them."""
        ends = kafka.consumer(self._settings, isolation_level="read_uncommitted")
        try:
            count = kafka.existing_topics(reader).get(topics.COMMITS, 0)
            return {number: kafka.watermarks(ends, topics.COMMITS, number)[1] for number in range(count)}
        finally:
            ends.close()

    def _written(self, reader: Consumer, asked: dict[Key, int]) -> dict[Key, _CommitRecord]:
        """The group's newest commit record of each partition; without those that have none."""
        count = kafka.existing_topics(reader).get(topics.COMMITS, 0)
        by_place: dict[int, list[Key]] = defaultdict(list)
        for key in asked if count else ():
            by_place[key[1] % count].append(key)
        if not by_place:
            return {}
        # What takes the time is the broker's answers, one after the other.
        with ThreadPoolExecutor(min(len(by_place), AT_ONCE), thread_name_prefix="standing") as asking:
            asks = [{key: asked[key] for key in keys} for keys in by_place.values()]
            return {key: said for found in asking.map(self._newest, by_place, asks) for key, said in found.items()}

    def _newest(self, place: int, asked: dict[Key, int]) -> dict[Key, _CommitRecord]:
        """Look through a partition of the commit records from its end: for a key without an offset as far back as its
        log goes, and a little further: the broker forgets the offsets of a topic that is deleted, and who made it anew
        began its log then.
        """
        reader = kafka.consumer(self._settings)
        try:
            return self._found(reader, place, asked)
        finally:
            reader.close()

    def _found(self, reader: Consumer, place: int, asked: dict[Key, int]) -> dict[Key, _CommitRecord]:
        low, end = kafka.watermarks(reader, topics.COMMITS, place)
        lows = {
            key: max(
                low, end - LONGEST_LOOK if offset >= 0 else min(self._earliest(reader, place, key, end), end - BEFORE)
            )
            for key, offset in asked.items()
        }
        newest = kafka.newest(reader, topics.COMMITS, place, lows, end, self._own)
        return {key: msgspec.json.decode(message.value() or b"", type=_CommitRecord) for key, message in newest.items()}

    def _own(self, message: Message) -> Key | None:
        """The partition that a commit record of this group is of."""
        try:
            said = msgspec.json.decode(message.value() or b"", type=_CommitRecord)
        except UNREADABLE:
            return None
        return (said.topic, said.partition) if said.group == self._group else None

    def _earliest(self, reader: Consumer, place: int, key: Key, end: int) -> int:
        """The first commit record that can be of a partition: none is older than the partition's first record."""
        low, high = kafka.watermarks(reader, *key)
        for message in kafka.read_range(reader, *key, low, high):
            since_ms = message.timestamp()[1] - CLOCKS_MS
            (found,) = kafka.offsets_at(reader, [TopicPartition(topics.COMMITS, place, max(since_ms, 0))])
            return end if found.offset < 0 else int(found.offset)
        return end

    def _stood(self, reader: Consumer, place: TopicPartition, written: _CommitRecord | None) -> tuple[int, Pointers]:
        """Offset and snapshots with which the group is to take a place up. written : by the log, where that is another
        offset
        """
        offset, pointers = max(place.offset, -1), Pointers.decoded(place.metadata)
        if written is not None:
            ends = written.next_offset
            risk = "records would be passed over" if offset > ends else "all since would be written again"
            group_offsets.restore(
                self._group, place, ends, self._settings.engine.restore_offsets, log,
                f"its own commit records end at {ends:,}: {risk}",
                "`tapewatch run engine --restore-offsets` goes on where the records end; see docs/exactly-once.md.",
            )  # fmt: skip
            offset, pointers = ends, Pointers()
        if offset > 0 and pointers.are_lost:
            task = self._recovery.empty_task(place.topic, place.partition)
            pointers = Pointers(opening_snapshots.newest(reader, task, self._group, offset))
        return offset, pointers
