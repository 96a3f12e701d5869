"""A dead letter as it lies in its topic. Nothing in it is trusted: whoever wrote the record wrote most of it."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from confluent_kafka import Message

from tapewatch.contract import readable, topics
from tapewatch.errors import TapewatchError
from tapewatch.market_log import dead_letters

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
