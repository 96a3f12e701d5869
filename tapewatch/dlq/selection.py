"""Which dead letters are meant: by topic, reason, who refused them, instrument and time, or by their ids."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from confluent_kafka import Consumer, TopicPartition

from tapewatch.dlq.letter import Letter, Place, id_of, is_letters, read
from tapewatch.errors import TapewatchError
from tapewatch.logs import printable
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

Say = Callable[[str, int, int], None]
"""Called as a topic is read: its name, records read, records in all."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked for; what is empty asks for nothing.

    topic : of the dead letters, or the topic that they come from; reason : may hold * and ?
    since, until : UTC nanoseconds at which a letter was written, [since, until); places : these alone
    """

    topic: str = ""
    reason: str = ""
    by: str = ""
    instrument: str = ""
    since: int = 0
    until: int = 2**62
    places: tuple[Place, ...] = ()

    def has(self, letter: Letter) -> bool:
        """Whether a letter is meant."""
        return (
            (not self.places or letter.place in self.places)
            and (not self.reason or fnmatchcase(letter.reason, self.reason))
            and (not self.by or letter.by == self.by)
            and self.since <= letter.at < self.until
            and (not self.instrument or letter.speaks_of(self.instrument))
        )

    def topics(self, known: Mapping[str, int]) -> dict[str, int]:
        """The dead-letter topics to look at, with their partitions. TapewatchError for one that is not there."""
        there = {name: count for name, count in sorted(known.items()) if is_letters(name)}
        if self.places:
            asked = {place.topic for place in self.places}
        elif self.topic:
            asked = {self.topic if is_letters(self.topic) else f"{self.topic}.dlq"}
        else:
            return there
        if asked - there.keys():
            listed = f"There are: {', '.join(there)}." if there else "There are none: nothing was refused."
            raise TapewatchError(f"there is no topic {printable(', '.join(sorted(asked - there.keys())))}", listed)
        return {name: there[name] for name in sorted(asked)}


def found(settings: Settings, selection: Selection, say: Say = lambda *_: None) -> Iterator[Letter]:
    """The letters that are meant, topic by topic, in the order in which they lie there.

    TapewatchError where an id names no letter.
    """
    known = selection.topics(kafka.existing_topics(kafka.admin(settings)))
    missing = set(selection.places)
    reader = kafka.consumer(settings, "tapewatch-dlq")
    try:
        for topic, partitions in known.items():
            for letter in _of_topic(reader, topic, partitions, selection, say):
                missing.discard(letter.place)
                if selection.has(letter):
                    yield letter
    finally:
        reader.close()
    if missing:
        names = ", ".join(id_of(place) for place in sorted(missing))
        raise TapewatchError(f"there is no dead letter {names}", "See `tapewatch dlq show` for their ids.")


def _of_topic(reader: Consumer, topic: str, partitions: int, selection: Selection, say: Say) -> Iterator[Letter]:
    """Every letter of a topic that may be meant."""
    for partition in range(partitions):
        low, high = kafka.watermarks(reader, topic, partition)
        for start, end in _ranges(reader, (topic, partition), (low, high), selection):
            total = end - start
            for number, message in enumerate(kafka.read_range(reader, topic, partition, start, end), 1):
                if number % 1000 == 0 or number == total:
                    say(topic, number, total)
                yield read(message)


def _ranges(
    reader: Consumer, log: tuple[str, int], bounds: tuple[int, int], selection: Selection
) -> Iterable[tuple[int, int]]:
    """Offsets to read of a partition: of the ids alone, else from the time asked for on."""
    low, high = bounds
    if selection.places:
        wanted = sorted(place.offset for place in selection.places if (place.topic, place.partition) == log)
        return [(offset, offset + 1) for offset in wanted if low <= offset < high]
    if not selection.since:
        return [(low, high)]
    place = TopicPartition(*log, max(0, selection.since // 1_000_000))
    start = kafka.offsets_at(reader, [place])[0].offset
    return [(max(low, start), high)] if start >= 0 else []
