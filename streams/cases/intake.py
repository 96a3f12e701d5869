"""Records as they were read become alerts and commands for the desk; what is neither is answered, or a dead letter."""

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from streams.cases.desk import CaseDesk, Output
from tapewatch import dead_letters, messages, topics
from tapewatch.dead_letters import DeadLetter
from tapewatch.errors import ContractError
from tapewatch.messages import Alert, CaseAnswer, CaseCommand
from tapewatch.reach_settings import CaseSettings
from tapewatch.registry import Registry
from tapewatch.rfc3339 import to_rfc3339

_ID = re.compile("[0-9a-f]{32}")


class Record(NamedTuple):
    """A record of alerts or commands. place : topic and partition; appended : UTC nanoseconds"""

    place: tuple[str, int]
    offset: int
    value: bytes
    appended: int

    @classmethod
    def of(cls, message: Any) -> "Record":
        """From Faust's message."""
        place = (message.topic, message.partition)
        return cls(place, message.offset, message.value or b"", int(message.timestamp * 1000) * 1_000_000)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What follows from a record. said : in order; letter : the record, where it is neither alert nor command"""

    said: list[Output] = field(default_factory=list)
    letter: DeadLetter | None = None

    @staticmethod
    def key(message: Output) -> bytes:
        """A message's Kafka key."""
        return (message.command if isinstance(message, CaseAnswer) else message.id).encode()


class _Named(msgspec.Struct):
    """What an unreadable command may still say."""

    id: str


class Intake:
    """A desk behind the contract's check."""

    def __init__(self, settings: CaseSettings, registry: Registry) -> None:
        self._registry = registry
        self.desk = CaseDesk(settings, registry.instruments)

    @property
    def cases(self) -> int:
        """How many cases there are."""
        return len(self.desk.shelf.cases)

    def take(self, record: Record) -> Outcome:
        """What follows from a record: never an error that could stop the stream."""
        try:
            if record.place[0] == topics.ALERTS:
                alert = messages.decode(Alert, record.value)
                # Reads on in the registry where the instrument is not known yet.
                self._registry.since(alert.instrument)
                return Outcome(self.desk.take(alert))
            return self._command(record)
        except ContractError as error:
            origin = (*record.place, record.offset)
            return Outcome(letter=dead_letters.of_record(origin, error.reason, str(error), record.value))

    def _command(self, record: Record) -> Outcome:
        """A command's outcome; one that cannot be read is refused under its id, where it has one."""
        try:
            command = messages.decode(CaseCommand, record.value)
        except ContractError as error:
            found = _id_of(record.value)
            if not found:
                raise
            at = to_rfc3339(record.appended)
            return Outcome(self.desk.refuse(found, f"this is no command: {error}"[:500], at))
        return Outcome(self.desk.take(command))


def _id_of(value: bytes) -> str:
    """The id that an unreadable command bears; empty where there is none."""
    try:
        found = msgspec.json.decode(value, type=_Named).id
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return found if _ID.fullmatch(found) else ""
