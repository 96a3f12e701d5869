"""What a low-rate stage reads, and what follows from it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from streams import members
from tapewatch.contract.messages import Message
from tapewatch.dlq import retry
from tapewatch.market_log.dead_letters import DeadLetter


class Record(NamedTuple):
    """A record as it was read. place : topic and partition; appended : UTC nanoseconds"""

    place: members.Key
    offset: int
    value: bytes
    appended: int
    headers: tuple[tuple[str, bytes], ...] = ()

    @classmethod
    def of(cls, message: Any) -> "Record":
        """From Faust's message."""
        place = (message.topic, message.partition)
        pairs = message.headers.items() if isinstance(message.headers, Mapping) else message.headers or ()
        headers = tuple((name, value or b"") for name, value in pairs)
        return cls(place, message.offset, message.value or b"", int(message.timestamp * 1000) * 1_000_000, headers)

    def original(self) -> "Record":
        """What a retry carries, in its own place; ContractError where it is none."""
        retried = retry.opened(self.headers, self.value)
        topic, partition, offset = retried.origin
        return Record((topic, partition), offset, retried.content, retried.appended_ms * 1_000_000)


def fresh(records: Iterable[Record], behind: Mapping[members.Key, int]) -> list[Record]:
    """Those that were not taken before, each once: after a rebalance Faust hands out anew what still waits here.

    behind : by partition the offset behind what was taken
    """
    following, found = dict(behind), []
    for each in records:
        if each.offset >= following.get(each.place, 0):
            following[each.place] = each.offset + 1
            found.append(each)
    return found


Keyed = tuple[bytes, Message]
"""A message under its Kafka key."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What follows from a record. said : in order; letter : the record, where it could not be read"""

    said: Sequence[Keyed] = ()
    letter: DeadLetter | None = None


@dataclass(slots=True)
class EventStageTotals:
    """What every such process counts."""

    refused: int = 0
    transactions: int = 0
    aborted: int = 0


class Work(Protocol):
    """What a stage makes of its records. Its state is a function of the log."""

    @property
    def totals(self) -> EventStageTotals:
        """What was counted."""
        ...

    def recall(self, behind: Mapping[members.Key, int]) -> None:
        """Read the state anew, as the last transaction left it. behind : the group's offsets"""
        ...

    def begin(self) -> None:
        """A transaction's records are about to be taken."""
        ...

    def take(self, record: Record) -> Sequence[Keyed]:
        """What follows from a record; ContractError for one that cannot be read: it becomes a dead letter."""
        ...

    def count(self, record: Record, outcome: Outcome) -> None:
        """A record's outcome is committed."""
        ...
