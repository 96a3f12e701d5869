"""A record that one reader refused, sent to that reader alone: sent to its topic again, every other one would have it
twice.

`retry.<reader>` carries the record's value and headers as they were, and where it lay.
"""

from dataclasses import dataclass
from typing import Any

from confluent_kafka import Message

from tapewatch.contract.frames import Headers
from tapewatch.errors import ContractError
from tapewatch.market_log import dead_letters

READERS = (dead_letters.POSTGRES, dead_letters.ELASTICSEARCH, dead_letters.CASES, dead_letters.NEWS)
"""Who can be asked to take a record once more."""

_LETTER, _TOPIC, _PARTITION, _OFFSET, _APPENDED = (
    "retry_letter",
    "retry_topic",
    "retry_partition",
    "retry_offset",
    "retry_appended",
)
_OURS = {_LETTER, _TOPIC, _PARTITION, _OFFSET, _APPENDED}


@dataclass(frozen=True, slots=True)
class RetryRecord:
    """A record as its reader would have met it, in the shape of a Kafka client's message.

    letter : id of the dead letter; origin : topic, partition, offset; appended_ms : UTC milliseconds
    """

    letter: str
    origin: tuple[str, int, int]
    appended_ms: int
    content: bytes
    kept: Headers

    def topic(self) -> str:
        """Where it lay."""
        return self.origin[0]

    def partition(self) -> int:
        """Where it lay."""
        return self.origin[1]

    def offset(self) -> int:
        """Where it lay."""
        return self.origin[2]

    def value(self) -> bytes:
        """What it holds."""
        return self.content

    def headers(self) -> Headers:
        """Its own."""
        return self.kept

    def timestamp(self) -> tuple[int, int]:
        """When it was written: kind and UTC milliseconds."""
        return 0, self.appended_ms


def headers(retried: RetryRecord) -> list[tuple[str, bytes]]:
    """What a record of `retry.<reader>` carries beside the value."""
    topic, partition, offset = retried.origin
    ours = {
        _LETTER: retried.letter,
        _TOPIC: topic,
        _PARTITION: str(partition),
        _OFFSET: str(offset),
        _APPENDED: str(retried.appended_ms),
    }
    return [*retried.kept, *((name, text.encode()) for name, text in ours.items())]


def opened(carried: Any, value: bytes | None) -> RetryRecord:
    """The record that a retry carries. carried : its headers; ContractError("bad_headers") where it is none."""
    pairs = [(str(name), bytes(text or b"")) for name, text in carried or ()]
    found = {name: text for name, text in pairs if name in _OURS}
    try:
        origin = (found[_TOPIC].decode(), int(found[_PARTITION]), int(found[_OFFSET]))
        appended, letter = int(found[_APPENDED]), found[_LETTER].decode()
    except (KeyError, ValueError) as error:
        raise ContractError("bad_headers", f"no retry: {error!r}") from error
    return RetryRecord(letter, origin, appended, value or b"", [pair for pair in pairs if pair[0] not in _OURS])


def of_message(letter: str, origin: Message) -> RetryRecord:
    """A record read at its origin."""
    pairs: Any = origin.headers() or ()
    place = (str(origin.topic()), int(origin.partition() or 0), int(origin.offset() or 0))
    kept = [(name, value or b"") for name, value in pairs if name not in _OURS]
    return RetryRecord(letter, place, int(origin.timestamp()[1]), origin.value() or b"", kept)
