"""A dead letter as it lies in its topic. Nothing in it is trusted: whoever wrote the record wrote most of it.

Which dead letters are meant: by topic, reason, who refused them, instrument and time, or by their ids.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from confluent_kafka import Consumer, Message, TopicPartition

from tapewatch.contract import readable, topics
from tapewatch.errors import TapewatchError
from tapewatch.logs import printable
from tapewatch.market_log import dead_letters
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

UNKNOWN = "unknown"
NOWHERE = -1
_ID = re.compile(r"(?P<topic>[A-Za-z0-9._-]{1,249})@(?P<partition>\d{1,9})\.(?P<offset>\d{1,18})")


class Place(NamedTuple):
    """A record's place. -1 for a partition or offset that is not known."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter.

    place : of the letter itself; at : UTC nanoseconds at which it was written; origin : of what was refused
    reason : stable code, `unknown` where it has none; by : who refused it, empty where it does not say
    kind : row, rows, record or line; row : the first one's place in its frame, -1 where it is no row; rows : how many
    detail : the reason in words
    whole : whether the value is all of what was refused
    """

    place: Place
    at: int
    origin: Place
    reason: str
    by: str
    kind: str
    row: int
    rows: int
    detail: str
    size: int
    whole: bool
    value: bytes
    headers: Mapping[str, str]

    @property
    def id(self) -> str:
        """TOPIC@PARTITION.OFFSET: where it lies."""
        return id_of(self.place)

    @property
    def digest(self) -> str:
        """SHA-256 of the value, hex: the same place of a topic that was made anew holds another letter."""
        return hashlib.sha256(self.value).hexdigest()

    def speaks_of(self, instrument: str) -> bool:
        """Whether what was refused names the instrument."""
        return readable.read(self.value, instrument, 1) is not None

    @property
    def instrument(self) -> str:
        """The instrument of a refused row or message; empty where it names none, or several."""
        content = readable.read(self.value, limit=2)
        rows: list[Any] = [] if content is None else content.rows or [content.tree]
        named = [row["instrument"] for row in rows if isinstance(row, dict) and isinstance(row.get("instrument"), str)]
        return named[0] if len(named) == 1 else ""


def id_of(place: Place) -> str:
    """A letter's id by its place."""
    return f"{place.topic}@{place.partition}.{place.offset}"


def place_of(text: str) -> Place:
    """The place that an id names; TapewatchError for what is no id."""
    found = _ID.fullmatch(text)
    if found is None or not is_letters(found["topic"]):
        raise TapewatchError(
            f"{text!r} is no dead letter's id", "An id is TOPIC.dlq@PARTITION.OFFSET: see `tapewatch dlq show`."
        )
    return Place(found["topic"], int(found["partition"]), int(found["offset"]))


def is_letters(topic: str) -> bool:
    """Whether a topic holds dead letters."""
    return topic.endswith(topics.dead_letters("")) and not topic.startswith("__")


def read(message: Message) -> Letter:
    """A record of a dead-letter topic, whatever is in it."""
    value = message.value() or b""
    headers = readable.header_texts(message.headers())
    place = Place(str(message.topic()), _number(message.partition()), _number(message.offset()))
    origin = Place(
        headers.get("origin_topic", place.topic.removesuffix(topics.dead_letters(""))),
        _number(headers.get("origin_partition")),
        _number(headers.get("origin_offset")),
    )
    size = _number(headers.get("bytes")) if "bytes" in headers else len(value)
    told = headers.get("sha256")
    return Letter(
        place=place,
        at=int(message.timestamp()[1]) * 1_000_000,
        origin=origin,
        reason=headers.get("reason") or UNKNOWN,
        by=headers.get("refused_by") or _presumed(place, origin, headers),
        kind=headers.get("kind", "record"),
        row=_number(headers.get("row")),
        rows=max(_number(headers.get("rows", "1" if headers.get("kind") == "row" else "0")), 0),
        detail=headers.get("detail", ""),
        size=size,
        whole=size == len(value) and told in (None, hashlib.sha256(value).hexdigest()),
        value=value,
        headers=headers,
    )


def _presumed(place: Place, origin: Place, headers: Mapping[str, str]) -> str:
    """Who refused a letter of before `refused_by`: only the engine refuses rows of market topics."""
    of_market = topics.is_market(origin.topic)
    is_row = headers.get("kind") == "row" and origin.offset >= 0
    return dead_letters.ENGINE if of_market and is_row and place.topic == topics.dead_letters(origin.topic) else ""


def _number(text: object) -> int:
    """A decimal number of at most 18 digits; -1 for anything else."""
    found = str(text)
    return int(found) if re.fullmatch(r"\d{1,18}", found) else NOWHERE


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
